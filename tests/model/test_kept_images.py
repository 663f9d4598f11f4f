import pytest
import tiny

from shoestring.core.progress import Progress
from shoestring.core.run import Run
from shoestring.data.addnist import AddNIST
from shoestring.data.cifar100 import CIFAR100
from shoestring.data.given import GivenData
from shoestring.data.manifest import manifest
from shoestring.model.kept_images import images_kept, read
from shoestring.model.run_splits import load_training_data
from shoestring.recipes.lookup import recipe


@pytest.fixture
def loads(monkeypatch):
    """Which data sets were read, as (kind, tune, split)."""
    found = []

    def load(self, split, folder, progress):
        found.append((self.kind, self.tune, split))
        return tiny.patterns(self)

    for kind in (CIFAR100, AddNIST, GivenData):
        monkeypatch.setattr(kind, "load", load)
    return found


def test_images_are_read_once_inside_and_anew_outside(loads, tmp_path):
    data = CIFAR100()
    with images_kept():
        first = read(data, "train", tmp_path, Progress())
        assert read(CIFAR100(), "train", tmp_path, Progress()) is first
        read(data, "tune", tmp_path, Progress())
        read(data, "tune", tmp_path, Progress())
    assert first[1] == manifest(first[0], listed=False)
    assert loads == [("cifar100", 5000, "train"), ("cifar100", 5000, "tune")]
    read(data, "train", tmp_path, Progress())
    with images_kept():
        read(data, "train", tmp_path, Progress())
    assert len(loads) == 4


def test_other_data_or_another_folder_are_not_taken_for_the_same(loads, tmp_path):
    with images_kept():
        for data, folder in ((CIFAR100(), "a"), (CIFAR100(tune=6), "a"), (AddNIST(), "a"), (AddNIST(), "b")):
            read(data, "train", tmp_path / folder, Progress())
        assert len(loads) == 4
        read(CIFAR100(), "train", tmp_path / "a", Progress())  # one at a time is kept
        assert len(loads) == 5


def test_a_training_gets_the_same_images_and_records(loads, tmp_path):
    asked, run = recipe("cifar100-best"), Run(tmp_path / "run")
    with images_kept():
        first, second = (load_training_data(asked, run, tmp_path, Progress()) for _ in range(2))
    third = load_training_data(asked, run, tmp_path, Progress())
    assert first.manifests == second.manifests == third.manifests
    assert first.train is second.train
    assert [split for _, _, split in loads] == ["train", "tune"] * 2
