"""Sets of images by name: what a training takes is what a comparison takes."""

import os
from pathlib import Path
from typing import get_args

import pytest
import tiny
import torch

from shoestring import api
from shoestring.core.errors import DataError, RecipeError
from shoestring.core.progress import Progress
from shoestring.data.paths import VARIABLE
from shoestring.evaluation.compare import DATA_SETS, read_set
from shoestring.recipes.lookup import located
from shoestring.recipes.recipe import ShippedData

real = pytest.mark.skipif(VARIABLE not in os.environ, reason=f"{VARIABLE} names no folder with the real data")


def test_every_kind_of_data_without_a_path_is_a_set_with_all_of_train() -> None:
    kinds = {kind.model_fields["kind"].default for kind in get_args(ShippedData)}
    assert set(DATA_SETS) == kinds - {"folder", "given"}
    assert {"cifar100", "mnist", "addnist"} <= set(DATA_SETS)
    assert [getattr(source, "tune", None) for source in DATA_SETS.values()] == [0] * len(DATA_SETS)


def test_a_recipe_file_with_its_split_is_what_it_trains_on(pictures: Path, tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(tiny.toml(tiny.classifier(Path(pictures.name)).to_json()))
    data = located(api.recipe(file), pictures.parent).data
    for split in ("train", "tune", "test"):
        found = read_set(f"{file}:{split}", pictures.parent, Progress())
        assert torch.equal(found.images, data.load(split, pictures.parent, Progress()).images)
        further = None if found.further is None else len(found.further)
        assert (len(found.images), further) == {"train": (30, None), "tune": (6, 30), "test": (15, 30)}[split]
    file.write_text(tiny.toml(tiny.classifier(pictures, data__tune=0).to_json()))
    with pytest.raises(DataError, match="has no tune split, since it holds nothing out"):
        read_set(f"{file}:tune", tmp_path, Progress())
    with pytest.raises(RecipeError, match="there is no recipe file"):
        read_set(f"{tmp_path / 'absent.toml'}:test", tmp_path, Progress())


def test_a_shipped_recipe_with_its_split_is_what_it_trains_on(tmp_path: Path) -> None:
    found = read_set("addnist-quick:test", tmp_path, Progress())
    assert torch.equal(found.images, api.recipe("addnist-quick").data.load("test", tmp_path, Progress()).images)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("cifar10:test", "did you mean 'cifar100'"),
        ("mist:test", "did you mean 'mnist'"),
        ("cifar100", "with its split, such as cifar100:test"),
        ("cifar100:validation", "with its split, such as cifar100:test"),
        ("nowhere", "a folder of images, a .npy or .npz file"),
    ],
)
def test_what_is_no_set_is_refused(name: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=said):
        read_set(name, tmp_path, Progress())


def test_a_folder_is_compared_with_a_recipe_of_it(tmp_path: Path) -> None:
    pictures = tiny.write_pictures(tmp_path / "pictures", train=20, test=18, size=16)
    file = tmp_path / "mine.toml"
    file.write_text(tiny.toml(tiny.classifier(pictures, data__size=16).to_json()))
    found = api.compare_images(pictures / "test", f"{file}:test", None, tmp_path, "cpu", inception="none")
    assert found["high_frequency_energy"].value == pytest.approx(1, abs=1e-6)
    assert (found["diversity_pixels"].n, found["diversity_pixels"].n_real) == (54, 54)


@real
def test_grey_digits_are_seen_in_colour() -> None:
    found = read_set("mnist:test", Path(os.environ[VARIABLE]), Progress())
    assert found.images.shape == (10_000, 3, 28, 28)
    assert found.further is not None
    assert found.further.shape == (60_000, 3, 28, 28)
    assert (found.images[:, :1] == found.images).all()
