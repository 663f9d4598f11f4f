"""A run knows the images of its splits again: what the training writes, resuming and evaluating read."""

import shutil
from pathlib import Path

import pytest
import tiny
import torch
from PIL import Image

from shoestring import api
from shoestring.core.errors import DataError, RunError
from shoestring.core.progress import Progress
from shoestring.core.rng import generator
from shoestring.core.run import Run
from shoestring.data.addnist import AddNIST
from shoestring.data.manifest import manifest
from shoestring.recipes.recipe import Recipe


class Listening(Progress):
    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, message: str) -> None:
        self.said.append(message)


def add(root: Path, first: int, last: int) -> list[Path]:
    """Noise pictures in two classes, each like no other."""
    files: list[Path] = []
    for label, name in enumerate(("ant", "bee")):
        (root / name).mkdir(parents=True, exist_ok=True)
        for number in range(first, last):
            noise = torch.randint(0, 256, (8, 8, 3), generator=generator(0, name, label, number)).to(torch.uint8)
            files.append(root / name / f"{number}.png")
            Image.fromarray(noise.numpy()).save(files[-1])
    return files


def recipe_for(root: Path, **changes: object) -> Recipe:
    return tiny.classifier(root, data={"kind": "folder", "path": str(root), "size": 8, "tune": 0} | changes)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    add(tmp_path / "mine", 0, 30)
    return tmp_path / "mine"


def begun(recipe: Recipe, folder: Path) -> Run:
    """A training that was interrupted after its first checkpoints."""
    with pytest.raises(tiny.Crash):
        api.train(recipe, folder, device="cpu", progress=tiny.Crashing(after=8))
    return Run(folder)


def test_a_run_keeps_what_its_splits_hold(folder: Path, tmp_path: Path) -> None:
    kept = api.train(recipe_for(folder, tune=10), tmp_path / "run", device="cpu").read_json("splits.json")
    assert set(kept) == {"train", "tune", "test"}
    assert kept["tune"]["count"] == 10
    assert sum(split["count"] for split in kept.values()) == 60
    assert len({image for split in kept.values() for image in split["images"]}) == 60
    data = AddNIST(digits="embedded", tune=100).model_dump(mode="json")
    run = begun(tiny.classifier(folder, data=data), tmp_path / "digits")
    kept = run.read_json("splits.json")
    assert {split: (one["count"], one["images"]) for split, one in kept.items()} == {
        "train": (19_900, []),
        "tune": (100, []),
    }


def test_a_training_goes_on_with_the_images_it_began_with_or_not_at_all(folder: Path, tmp_path: Path) -> None:
    recipe = recipe_for(folder, tune=10)
    run = begun(recipe, tmp_path / "run")
    shutil.copytree(tmp_path / "run", tmp_path / "copy")
    more = add(folder, 30, 40)
    with pytest.raises(RunError, match=r"run began with have changed: 20 added(, \d+ moved between splits)?\. Restore"):
        api.train(recipe, run.folder, device="cpu")
    for file in more:
        file.unlink()
    (folder / "ant" / "3.png").rename(tmp_path / "3.png")
    with pytest.raises(RunError, match="1 removed"):
        api.train(recipe, run.folder, device="cpu")
    (tmp_path / "3.png").rename(folder / "bee" / "another name.png")
    with pytest.raises(RunError, match="1 labelled otherwise"):
        api.train(recipe, run.folder, device="cpu")
    (folder / "bee" / "another name.png").rename(folder / "ant" / "another name.png")
    for file in sorted(folder.glob("*/*")):  # the same pixels, saved anew
        Image.open(file).save(file.with_suffix(".bmp"))
        file.unlink()
    assert api.train(recipe, run.folder, device="cpu").finished()
    assert not Run(tmp_path / "copy").finished()


def test_data_of_any_kind_that_changed_is_refused(folder: Path, tmp_path: Path) -> None:
    data = AddNIST(digits="embedded", tune=100).model_dump(mode="json")
    recipe = tiny.classifier(folder, data=data)
    run = begun(recipe, tmp_path / "digits")
    kept = run.read_json("splits.json")
    run.write_json("splits.json", kept | {"tune": kept["tune"] | {"digest": 32 * "0"}})  # as of other MNIST files
    with pytest.raises(RunError, match="tune has other images or labels, as many as before"):
        api.train(recipe, run.folder, device="cpu")
    run.write_json("splits.json", kept)
    assert api.train(recipe, run.folder, device="cpu").finished()


def test_a_run_without_a_step_takes_what_there_is(folder: Path, tmp_path: Path) -> None:
    recipe = recipe_for(folder)
    with pytest.raises(tiny.Crash):
        api.train(recipe, tmp_path / "run", device="cpu", progress=tiny.Crashing(after=1))
    add(folder, 30, 40)
    run = api.train(recipe, tmp_path / "run", device="cpu")
    assert sum(split["count"] for split in run.read_json("splits.json").values()) == 80


def test_growing_a_folder_never_tests_on_what_was_trained_on_and_is_said(folder: Path, tmp_path: Path) -> None:
    run = api.train(recipe_for(folder), tmp_path / "run", device="cpu")
    n = run.metrics()["test"]["accuracy"]["n"]
    assert "changed" not in run.metrics()["test"]["accuracy"]["source"]
    for file in sorted(folder.glob("*/*")):  # the same pixels, saved anew
        Image.open(file).save(file, compress_level=1)
    progress = Listening()
    assert api.evaluate(run.folder, device="cpu", progress=progress)["accuracy"].n == n
    assert progress.said == []
    add(folder, 30, 60)
    grown = api.evaluate(run.folder, device="cpu", progress=progress)["accuracy"].n
    assert grown > n
    (said,) = progress.said
    assert said.startswith(f"test has changed since {run.folder} first had it ({grown - n} added)")
    recorded = run.metrics()["test"]["accuracy"]
    assert (recorded["n"], recorded["source"].split("; ")[1:]) == (
        grown,
        [f"changed since the run first had it: {grown - n} added"],
    )


def test_no_run_is_measured_on_images_it_was_trained_on(tmp_path: Path) -> None:
    root = tmp_path / "mine"
    add(root / "train", 0, 20)
    test = add(root / "test", 100, 110)
    shutil.copy(root / "train" / "ant" / "0.png", root / "test" / "ant")  # in both from the start: the user's choice
    recipe = recipe_for(root, tune=6)
    run = api.train(recipe, tmp_path / "run", device="cpu")
    assert api.evaluate(run.folder, device="cpu")["accuracy"].n == len(test) + 1
    for number in (1, 2, 3):
        (root / "train" / "ant" / f"{number}.png").rename(root / "test" / "ant" / f"{number}.png")
    now = manifest(recipe.data.load("test", root, Progress()), listed=True)
    held = {image.split()[0] for image in run.read_json("splits.json")["tune"]["images"]}
    leaked = 3 - len(held & now.pixels)
    with pytest.raises(RunError, match=f"was trained on {leaked} of the images that are now in test"):
        api.evaluate(run.folder, device="cpu")
    for file in (root / "train").glob("*/?.png"):
        file.unlink()
    with pytest.raises(RunError, match="that are now in tune"):  # what is left has to fill it
        api.evaluate(run.folder, "tune", device="cpu")


def test_the_first_look_at_test_is_said_where_images_are_held_out_to_choose_by(folder: Path, tmp_path: Path) -> None:
    run = api.train(recipe_for(folder, tune=10), tmp_path / "run", device="cpu")
    progress = Listening()
    api.evaluate(run.folder, "tune", device="cpu", progress=progress)
    assert progress.said == []
    for _ in range(2):
        api.evaluate(run.folder, device="cpu", progress=progress)
    assert [said.split(",")[0] for said in progress.said] == ["this is the first look at test"]


def test_runs_without_a_record_are_resumed_and_measured_as_they_were_begun(folder: Path, tmp_path: Path) -> None:
    recipe = recipe_for(folder, tune=10)
    run = begun(recipe, tmp_path / "run")
    (run.folder / "splits.json").unlink()
    assert api.train(recipe, run.folder, device="cpu").finished()
    assert not (run.folder / "splits.json").exists()
    former = recipe.data.former().load("test", folder, Progress())
    assert len(former) == 12
    assert api.evaluate(run.folder, device="cpu")["accuracy"].n == 12


def test_a_damaged_test_image_is_found_before_the_training(folder: Path, tmp_path: Path) -> None:
    (folder / "ant" / "3.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"3\.png cannot be read"):
        api.train(recipe_for(folder, tune=10), tmp_path / "run", device="cpu")
    assert not (tmp_path / "run" / "checkpoints").exists()
