"""Recipes that train in a second: a classifier and a generator on a folder of small pictures."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest
import torch

from shoestring.core import outside, registry, trust
from shoestring.core.budget import Budget
from shoestring.core.image_grid import to_pil
from shoestring.core.progress import Advance, Progress
from shoestring.core.rng import generator
from shoestring.data.augment import Augment
from shoestring.data.dataset import Images, Source
from shoestring.data.image_folder import ImageFolder
from shoestring.nets.dcgan import PlainDCGAN
from shoestring.nets.mbconv import MBConvNet
from shoestring.optim.configs import Adam
from shoestring.optim.lr_schedule import OneCycle, StepDecay
from shoestring.recipes.recipe import Cadence, Recipe
from shoestring.tasks.classification import Classify
from shoestring.tasks.gan.task import Adversarial

CLASSES = ("blue", "green", "red")


def write_pictures(root: Path, train: int = 12, test: int = 5, size: int = 8) -> Path:
    """PATH/train/CLASS/*.png and PATH/test/CLASS/*.png: noise, one colour brighter than the others."""
    for part, count in (("train", train), ("test", test)):
        for label, name in enumerate(CLASSES):
            folder = root / part / name
            folder.mkdir(parents=True)
            for index in range(count):
                noise = torch.randint(0, 128, (3, size, size), generator=generator(0, part, label, index))
                noise[2 - label] += 100
                to_pil(noise.to(torch.uint8)).save(folder / f"{index:02d}.png")
    return root


def patterns(source: Source) -> Images:
    """48 soft patterns of a source's shape, the same on every machine."""
    channels, height, width = source.shape
    coarse = torch.rand(48, channels, 4, 4, generator=generator(0, "golden"))
    fine = torch.nn.functional.interpolate(coarse, (height, width), mode="bilinear")
    return Images((255 * fine).to(torch.uint8), torch.arange(48) % len(source.classes), "patterns")


def classifier(pictures: Path, **changes: Any) -> Recipe:
    """12 steps; classes drawn in colour, running mean of the weights, tune split."""
    recipe = Recipe(
        name="tiny-classifier",
        budget=Budget(parameters=2_000, steps=12),
        data=ImageFolder(path=pictures, size=8, tune=6),
        augment=Augment(horizontal_flip=True, rotation_degrees=10),
        net=MBConvNet(stem=4, widths=(4, 6), depth=1),
        task=Classify(label_smoothing=0.1),
        optimiser=Adam(learning_rate=0.01, weight_decay=1e-4),
        schedule=OneCycle(),
        batch_size=8,
        ema=(0.9,),
        cadence=Cadence(log=4, evaluate=6, checkpoint=3),
    )
    return changed(recipe, changes)


def gan(pictures: Path, **changes: Any) -> Recipe:
    """12 steps of both nets, with soft labels and instance noise."""
    recipe = Recipe(
        name="tiny-gan",
        budget=Budget(parameters=20_000, steps=12, nfe=1),
        data=ImageFolder(path=pictures, size=32, tune=0),
        net=PlainDCGAN(latent=4, width=4),
        task=Adversarial(label_bound=0.1, instance_noise=0.25),
        anneal={"task.instance_noise": StepDecay(decay=0.9, every=1)},
        optimiser=Adam(learning_rate=0.002, betas=(0.5, 0.999)),
        schedule=StepDecay(decay=0.5, every=5),
        batch_size=4,
        cadence=Cadence(log=4, evaluate=6, checkpoint=3),
    )
    return changed(recipe, changes)


AS_PUBLISHED: dict[str, Any] = {
    "net": {"order": "norm-first", "initialisation": "normal"},
    "task": {"augment": {"colour": 0, "translation": 0, "cutout": 0}},
    "ema": [],
}
"""What makes of cifar100-dcgan-64 what its paper says to the letter."""


def changed(recipe: Recipe, changes: dict[str, Any]) -> Recipe:
    """The recipe with other values; keys are dotted with double underscores, such as budget__steps=3."""
    values = recipe.to_json()
    for key, value in changes.items():
        *path, last = key.split("__")
        inner = values
        for part in path:
            inner = inner[part]
        inner[last] = value
    return Recipe.from_json(values)


def toml(values: dict[str, Any], path: str = "") -> str:
    """The values as TOML, without those that are None, which TOML does not know."""
    plain = [f"{k} = {json.dumps(v)}" for k, v in values.items() if not isinstance(v, dict) and v is not None]
    tables = [f"[{path}{key}]\n{toml(v, f'{path}{key}.')}" for key, v in values.items() if isinstance(v, dict)]
    return "\n".join([*plain, *tables]) + "\n"


def forget_code(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes this process one that has seen no code of users, and was told to run none."""
    for module, names in ((registry, ("_code", "_modules", "_given")), (outside, ("_types",))):
        for name in names:
            monkeypatch.setattr(module, name, {})
    monkeypatch.setattr(trust, "_allowed", set())


class Heard(Progress):
    """Remembers what was said."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    def say(self, message: str) -> None:
        self.messages.append(message)


class Crash(Exception):
    """Stands for anything that ends a process in the middle of a training."""


class Crashing(Progress):
    """Raises as soon as a training reports that a number of steps is done, before anything is saved then."""

    def __init__(self, after: int, error: type[BaseException] = Crash) -> None:
        self.after = after
        self.error = error

    def task(self, title: str, total: int, unit: str = "", start: int = 0):
        return _Context(_CrashingAdvance(self, start) if unit == "steps" else Advance())


class _CrashingAdvance(Advance):
    def __init__(self, owner: Crashing, start: int) -> None:
        self.owner = owner
        self.done = start

    def __call__(self, amount: int = 1, **facts: str) -> None:
        self.done += amount
        if self.done >= self.owner.after:
            raise self.owner.error


class _Context:
    def __init__(self, advance: Advance) -> None:
        self.advance = advance

    def __enter__(self) -> Advance:
        return self.advance

    def __exit__(self, *_: object) -> None:
        return None


def require_heard(number: int) -> None:
    """Skips where these tests were started so that they, and what they start, ignore a signal."""
    if signal.getsignal(number) == signal.SIG_IGN:
        pytest.skip("started by nohup, or in the background of a shell")
