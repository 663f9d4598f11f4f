"""Parts of the user's own, each trained for a few steps: what their code gives is what all else uses."""

from pathlib import Path
from typing import Any

import numpy as np
import own_parts
import pytest
import tiny
import torch

from shoestring import api
from shoestring.core.errors import DataError, RecipeError
from shoestring.core.run import Run
from shoestring.model.build import build
from shoestring.recipes.lookup import recipe
from shoestring.recipes.recipe import Recipe
from shoestring.report.run_data import read


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return own_parts.write(tmp_path, own_parts.TRAINING, "my_parts.py")


def train(asked: Recipe, run: Path) -> Run:
    assert Recipe.from_json(asked.to_json()) == asked
    return api.train(asked, run, device="cpu")


@pytest.mark.parametrize("name", ["gan", "told_gan"])
def test_a_gan_of_two_modules(name: str, tmp_path: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = own_parts.write(tmp_path, own_parts.GAN)
    asked = recipe(tiny.gan(pictures), net=f"{file}:{name}", task={"conditional": name == "told_gan"})
    run = train(asked, tmp_path / "run")
    assert run.has_pictures()
    tiny.forget_code(monkeypatch)
    first = api.sample(run.folder, 3, device="cpu")
    assert torch.equal(api.sample(run.folder, 3, device="cpu"), first)
    assert first.shape == (3, 3, 32, 32)
    assert api.load(run.folder, "cpu").interpolate(1, 3, 0, tiny.Heard()).shape == (1, 3, 3, 32, 32)


@pytest.mark.parametrize(
    ("kind", "options", "names"),
    [
        ("noise", {"count": 30}, ("0", "1", "2")),
        ("noise", {"layout": "last"}, ("red", "green", "blue")),
        ("Items", {}, ("r", "g", "b")),
        ("sets", {}, ("r", "g", "b")),
    ],
)
def test_data_of_a_function_or_a_data_set(
    kind: str, options: Any, names: tuple[str, ...], tmp_path: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = own_parts.write(tmp_path, own_parts.DATA, "my_data.py")
    asked = recipe(tiny.classifier(pictures), data={"kind": f"{file}:{kind}", "options": options, "tune": 6})
    run = train(asked, tmp_path / "run")
    assert run.metrics()["tune"]["accuracy"]["n"] == 6
    assert tuple(run.read_json("classes.json")) == names
    assert run.read_recipe()["data"]["image_shape"] == [3, 8, 8]
    tiny.forget_code(monkeypatch)
    assert api.evaluate(run.folder, "test", device="cpu")["accuracy"].n == options.get("count", 24)
    again = recipe(asked, data={"names": ["x", "y", "z"]})
    assert again.data.classes == ("x", "y", "z")


def test_data_of_a_program(tmp_path: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 3), dtype=np.uint8)
    sets = {"train": (pixels[:30], np.arange(30) % 3), "test": (pixels[30:], np.arange(10) % 3)}
    run = api.train(tiny.classifier(pictures), tmp_path / "run", device="cpu", data=sets)
    assert run.metrics()["test"]["accuracy"]["n"] == 10
    monkeypatch.setattr("shoestring.data.given._given", {})
    assert api.load(run.folder, "cpu").logits(torch.zeros(1, 3, 8, 8)).shape == (1, 3)  # the model needs no data
    with pytest.raises(DataError, match="images were given by a program and are not kept: give them again"):
        api.evaluate(run.folder, "test", device="cpu")
    single = recipe(tiny.classifier(pictures), data=(pixels, np.arange(40) % 3))
    assert single.data.content != run.read_recipe()["data"]["content"]


def test_a_loss_of_a_function(tmp_path: Path, pictures: Path, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = recipe(tiny.classifier(pictures), task={"kind": f"{file}:focal", "options": {"gamma": 0.0}})
    run = train(asked, tmp_path / "run")
    plain = train(recipe(tiny.classifier(pictures), task={"label_smoothing": 0.0}), tmp_path / "plain")
    assert run.log("train")[-1]["mean"] == plain.log("train")[-1]["mean"]  # of gamma 0, it is the cross-entropy
    assert read([run])[0].classifies
    assert "accuracy" in run.report_file.read_text()
    tiny.forget_code(monkeypatch)
    assert api.evaluate(run.folder, "tune", device="cpu")["accuracy"].n == 6
    mixed = recipe(tiny.classifier(pictures), task={"kind": f"{file}:mean", "mixup": 0.3})
    with pytest.raises(RecipeError, match=r"'my_parts.py:mean' gives a mean, but task.mixup weighs images"):
        build(mixed)


def test_an_augmentation_of_a_function(tmp_path: Path, pictures: Path, file: Path) -> None:
    asked = recipe(tiny.classifier(pictures), augment=f"{file}:noisy")
    whole = train(asked, tmp_path / "whole")
    with pytest.raises(tiny.Crash):
        api.train(asked, tmp_path / "cut", device="cpu", progress=tiny.Crashing(after=8))
    cut = train(asked, tmp_path / "cut").read_weights()
    assert all(torch.equal(tensor, cut[name]) for name, tensor in whole.read_weights().items())
    with pytest.raises(RecipeError, match=r"'my_parts.py:careless' gives other images for the same torch.Generator"):
        build(recipe(asked, augment=f"{file}:careless"))
    with pytest.raises(RecipeError, match=r"augment 'my_parts.py:mean' fails: "):
        build(recipe(asked, augment=f"{file}:mean"))


@pytest.mark.parametrize("kind", ["torch.optim:SGD", "torch.optim:RMSprop", "FILE:Lion"])
def test_an_optimiser_by_name(kind: str, tmp_path: Path, pictures: Path, file: Path, monkeypatch: Any) -> None:
    values = {"kind": kind.replace("FILE", str(file)), "learning_rate": 0.03}
    options = {"momentum": 0.9, "weight_decay": 1e-4} if "Lion" not in kind else {"beta": 0.8}

    def asked() -> Recipe:
        return recipe(tiny.classifier(pictures), optimiser=values | {"options": options}, schedule=f"{file}:linear")

    whole = train(asked(), tmp_path / "whole")
    rates = {record["step"]: record["learning_rate"] for record in whole.log("train")}
    assert rates[12] == pytest.approx(0.03 * (1 - 0.9 * 11 / 12))
    with pytest.raises(tiny.Crash):
        api.train(asked(), tmp_path / "cut", device="cpu", progress=tiny.Crashing(after=8))
    tiny.forget_code(monkeypatch)
    cut = train(asked(), tmp_path / "cut").read_weights()
    assert all(torch.equal(tensor, cut[name]) for name, tensor in whole.read_weights().items())


def test_what_is_no_optimiser_or_schedule_is_refused(pictures: Path, file: Path) -> None:
    start = tiny.classifier(pictures)
    with pytest.raises(RecipeError, match=r"unknown key of SGD 'momentun'; did you mean 'momentum'\?"):
        recipe(start, optimiser={"kind": "torch.optim:SGD", "options": {"momentun": 0.9}})
    with pytest.raises(RecipeError, match=r"torch.optim:SGDW: unknown name 'SGDW'; did you mean 'SGD'\?"):
        recipe(start, optimiser="torch.optim:SGDW")
    with pytest.raises(RecipeError, match=r"'my_parts.py:focal' is no subclass of torch.optim.Optimizer"):
        build(recipe(start, optimiser={"kind": f"{file}:focal", "options": {"labels": 1}}))
    with pytest.raises(RecipeError, match=r"optimiser.options.labels: Field required"):
        recipe(start, optimiser=f"{file}:focal")
    with pytest.raises(RecipeError, match=r"LBFGS.step\(\) missing 1 required positional argument: 'closure'"):
        build(recipe(start, optimiser="torch.optim:LBFGS"))
    with pytest.raises(RecipeError, match=r"gives -1.0 for step 0 of 12, not a number of at least 0"):
        build(recipe(start, schedule=f"{file}:below"))
