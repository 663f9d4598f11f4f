"""The GAN with every option of the adversarial task on goes through the one loop as any other net does."""

from pathlib import Path

import pytest
import tiny
import torch
from PIL import Image
from torch import Tensor

from shoestring.core.device import Engine, Machine
from shoestring.core.progress import Progress
from shoestring.core.run import Run
from shoestring.evaluation import sample_grids
from shoestring.model.build import build
from shoestring.model.train_state import State
from shoestring.recipes.recipe import Recipe
from shoestring.training.step import TrainStep
from shoestring.training.train import train

NET = {
    "kind": "conditional-dcgan",
    "generator": (8, 8, 8, 8),
    "discriminator": (8, 8, 8, 8),
    "latent": 8,
    "embedding": 8,
}
TASK = {
    "kind": "adversarial",
    "rule": "relativistic",
    "conditional": True,
    "augment": {"colour": 0.5, "translation": 0.125, "cutout": 0.25},
    "r1": 0.1,
    "r2": 0.1,
    "penalty_fraction": 0.5,
}


def gan(pictures: Path, **changes: object) -> Recipe:
    options = {
        "net": NET,
        "task": TASK,
        "budget__steps": 20,
        "budget__parameters": 30_000,
        "cadence__evaluate": 20,
        "optimiser__betas": (0, 0.99),
        "ema": (0.9, 0.99),
    }
    return tiny.changed(tiny.gan(pictures), options | changes)


def everything(run: Run) -> dict[str, Tensor]:
    checkpoint = torch.load(run.checkpoints.last(), weights_only=True)  # type: ignore[arg-type]
    found = {f"{decay}/{name}": t for decay, nets in checkpoint["ema"].items() for name, t in nets.items()}
    return found | dict(checkpoint["nets"]) | run.read_weights()


def test_resumed_after_a_crash_it_ends_bitwise_the_same_and_makes_images_of_classes(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sample_grids, "SCORED", 32)  # making the pictures would take longer than training
    recipe = gan(pictures)
    whole, broken = Run(tmp_path / "whole"), Run(tmp_path / "broken")
    model = train(recipe, whole, Path(), "cpu", Progress(), {})
    with pytest.raises(tiny.Crash):
        train(recipe, broken, Path(), "cpu", tiny.Crashing(after=11), {})
    train(recipe, broken, Path(), "cpu", Progress(), {})
    assert whole.finished()
    assert len(broken.read_json("environment.json")["sessions"]) == 2
    first, again = everything(whole), everything(broken)
    assert first.keys() == again.keys()
    assert all(torch.equal(tensor, again[name]) for name, tensor in first.items())
    records = whole.log("train")
    assert records[-1]["step"] == 20
    facts = {"discriminator/loss", "generator/loss", "real", "fake", "real_squared_gradient", "fake_squared_gradient"}
    assert facts <= set(records[-1]["mean"])
    # The same latent vectors in other classes are other images.
    blue, red = (model.sample(4, 0, Progress(), model.labels(4, name)) for name in ("blue", "red"))
    assert not torch.equal(blue, red)
    every = model.sample(4, 0, Progress())
    assert torch.equal(every[0], blue[0])
    assert torch.equal(every[2], red[2])
    untold = model.sample(4, 0, Progress(), model.labels(4, "none"))
    assert not torch.equal(untold, blue)
    assert model.score(untold).shape == (4,)
    assert not torch.equal(model.score(blue), model.score(blue, model.labels(4, "blue")))
    sample_grids.draw_samples(model, whole, Progress())
    drawn = {picture["file"]: picture["caption"] for picture in whole.read_json("samples/pictures.json")}
    assert "blue, green, red" in drawn["classes.png"]
    with Image.open(whole.pictures / "classes.png") as picture:
        assert picture.width > 2 * picture.height  # 8 images of each of 3 classes
    assert model.interpolate(2, 3, 0, Progress()).shape == (2, 3, 3, 32, 32)


def losses(recipe: Recipe, engine: Engine, steps: int = 3, generator_rate: float = 1.0) -> Tensor:
    machine = Machine.choose(engine, "cpu")
    state = State.start(recipe, build(recipe).nets, machine)
    state.optimisers["generator"].param_groups[0]["relative_rate"] = generator_rate
    take_step = TrainStep(recipe, state, machine, recipe.data.load("train", Path(), Progress()))
    return torch.stack([torch.stack(list(take_step().values())) for _ in range(steps)])


def test_penalties_and_losses_in_bfloat16_and_any_memory_format_are_those_of_float32(pictures: Path) -> None:
    recipe = gan(pictures, optimiser__learning_rate=1e-4)
    plain = losses(recipe, Engine(precision="float32", channels_last=False))
    assert torch.allclose(losses(recipe, Engine(precision="float32")), plain, rtol=1e-3, atol=1e-4)
    rough = losses(recipe, Engine(precision="bfloat16"))
    assert not torch.equal(rough, plain)
    assert torch.allclose(rough, plain, rtol=0.05, atol=0.02)


def test_the_discriminator_learns_to_tell_noise_from_what_the_generator_makes(pictures: Path) -> None:
    recipe = gan(pictures, task__r1=0.01, task__r2=0.01, optimiser__learning_rate=0.006)
    facts = losses(recipe, Engine(), 20, generator_rate=0.0)
    assert facts[-5:, 0].mean() < facts[0, 0] - 0.3


def test_a_task_that_tells_the_class_to_nets_that_take_none_is_refused(pictures: Path) -> None:
    with pytest.raises(Exception, match="this net takes none"):
        gan(pictures, net={"kind": "plain-dcgan"})
