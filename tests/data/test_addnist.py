import os
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from scipy import stats

from shoestring.core.errors import DataError
from shoestring.core.progress import Progress
from shoestring.data import addnist
from shoestring.data.addnist import CHECKSUMS, TRIPLES, AddNIST
from shoestring.data.dataset import Images, Split
from shoestring.data.embedded_digits import read_embedded_digits
from shoestring.data.mnist import Digits, read_digits

SPLITS: tuple[Split, ...] = ("train", "tune", "test")
GOLDEN = ["e9b14fe6f5a9183f", "1e97c9e6d152b7fb", "f7c67b54de2afec7"]
COUNTS = {"train": 300, "valid": 100, "test": 60}
real = pytest.mark.skipif("SHOESTRING_DATA" not in os.environ, reason="needs the real files in SHOESTRING_DATA")


class Listening(Progress):
    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, message: str) -> None:
        self.said.append(message)


def digits_of(images: Images, digits: Digits) -> np.ndarray:
    """The digit in each channel, (n, 3), looked up by its bytes."""
    label_of = {image.tobytes(): int(label) for image, label in zip(digits.images, digits.labels, strict=True)}
    channels = images.images.numpy().reshape(-1, 784)
    return np.array([label_of[channel.tobytes()] for channel in channels]).reshape(-1, 3)


def channels_of(images: Images) -> set[bytes]:
    return {channel.tobytes() for channel in images.images.numpy().reshape(-1, 784)}


def test_triples_are_the_915_with_a_label() -> None:
    # The coefficients of (1 + x + ... + x^9)^3 count the triples by sum.
    by_sum = np.convolve(np.convolve(np.ones(10), np.ones(10)), np.ones(10)).astype(int)
    assert [len(triples) for triples in TRIPLES] == by_sum[1:21].tolist()
    assert sum(len(triples) for triples in TRIPLES) == 915
    for label, triples in enumerate(TRIPLES):
        assert (triples.sum(axis=1) == label + 1).all()
        assert len({tuple(triple) for triple in triples.tolist()}) == len(triples)


def test_class_names_say_the_sum() -> None:
    source = AddNIST()
    assert source.classes[0] == "sum 1"
    assert source.classes[19] == "sum 20"
    assert len(source.classes) == 20
    assert source.shape == (3, 28, 28)


@pytest.mark.parametrize("tune", [5003, 0, 10_000])
def test_the_embedded_rebuild_follows_the_rule(tune: int, tmp_path: Path) -> None:
    source = AddNIST(digits="embedded", tune=tune)
    train, held_out, test = (source.load(split, tmp_path, Progress()) for split in SPLITS)
    assert (len(train), len(held_out), len(test)) == (20_000 - tune, tune, 4_000)
    for images, part in ((train, "train"), (held_out, "train"), (test, "test")):
        labels = digits_of(images, read_embedded_digits(part)).sum(axis=1) - 1 if len(images) else np.empty(0)
        np.testing.assert_array_equal(labels, images.labels.numpy())
    assert torch.bincount(test.labels).tolist() == [200] * 20
    both = torch.bincount(torch.cat([train.labels, held_out.labels]))
    assert both.tolist() == [1000] * 20
    if tune:
        counts = torch.bincount(held_out.labels)
        assert counts.max() - counts.min() == (tune % 20 > 0)
    assert not channels_of(train) & channels_of(held_out)
    assert not channels_of(train) & channels_of(test)
    # Enough draws that all but a few digits of each pool appear.
    of_tune = 10 * -(-500 * tune // 20_000)
    for images, pool in ((train, 5000 - of_tune), (held_out, of_tune), (test, 1000)):
        assert pool - 5 <= len(channels_of(images)) <= pool


def test_triples_and_digits_are_drawn_uniformly(tmp_path: Path) -> None:
    train = AddNIST(digits="embedded", tune=0).load("train", tmp_path, Progress())
    digits = digits_of(train, read_embedded_digits("train"))
    for label in (0, 1, 9, 19):
        of_label = digits[train.labels.numpy() == label] @ [100, 10, 1]
        counts = [int((of_label == code).sum()) for code in TRIPLES[label] @ [100, 10, 1]]
        assert sum(counts) == 1000
        assert stats.chisquare(counts).pvalue > 1e-3
    images = train.images.numpy().reshape(-1, 784)[digits.ravel() == 4]
    _, counts = np.unique(images, axis=0, return_counts=True)
    assert len(counts) == 500
    assert stats.chisquare(counts).pvalue > 1e-3
    # Rows carry no order: neighbours have the same label one time in twenty.
    same = (train.labels[1:] == train.labels[:-1]).double().mean().item()
    assert same == pytest.approx(0.05, abs=5 * np.sqrt(0.05 * 0.95 / 20_000))


def test_the_rebuild_is_a_function_of_its_seed(tmp_path: Path) -> None:
    def digest(split: Split, seed: int) -> str:
        images = AddNIST(digits="embedded", tune=5000, rebuild_seed=seed).load(split, tmp_path, Progress())
        return sha256(images.images.numpy().tobytes() + images.labels.numpy().tobytes()).hexdigest()[:16]

    # Golden: another NumPy or a change of the code that alters the set would show here.
    assert [digest(split, 0) for split in SPLITS] == GOLDEN
    assert all(digest(split, 1) != golden for split, golden in zip(SPLITS, GOLDEN, strict=True))


def test_the_source_says_how_it_was_made(tmp_path: Path) -> None:
    images = AddNIST(digits="embedded", tune=0, rebuild_seed=3).load("test", tmp_path, Progress())
    assert images.source == "AddNIST, rebuilt from the 5,000-digit MNIST subset in the package, seed 3"


def test_more_than_half_held_out_is_refused() -> None:
    with pytest.raises(ValidationError, match="give at most 30,000"):
        AddNIST(tune=30_001)
    with pytest.raises(ValidationError, match="with digits 'embedded' give at most 10,000"):
        AddNIST(digits="embedded")


def as_floats(images: np.ndarray) -> np.ndarray:
    """What ToTensor and Normalize make of bytes."""
    return (images.astype(np.float32) / np.float32(255) - np.float32(0.1307)) / np.float32(0.3081)


def made_up() -> dict[str, np.ndarray]:
    random = np.random.default_rng(0)
    arrays: dict[str, np.ndarray] = {}
    for part, count in COUNTS.items():
        arrays[f"{part}_x"] = random.integers(0, 256, (count, 3, 28, 28), dtype=np.uint8)
        arrays[f"{part}_y"] = np.arange(count) % 20
    arrays["train_x"][0].flat[:256] = np.arange(256)  # every byte value
    arrays["valid_x"][:40] = arrays["train_x"][100:140]  # copies, as in the published files
    return arrays


@pytest.fixture
def official(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(addnist, "COUNTS", COUNTS)
    folder = tmp_path / "AddNIST"
    folder.mkdir()
    for name, array in made_up().items():
        np.save(folder / f"{name}.npy", as_floats(array) if name.endswith("x") else array)
    sums = {name: sha256((folder / f"{name}.npy").read_bytes()).hexdigest() for name in CHECKSUMS}
    monkeypatch.setattr(addnist, "CHECKSUMS", sums)
    return tmp_path


def test_official_floats_become_the_bytes_they_were_made_of(official: Path) -> None:
    progress, arrays = Listening(), made_up()
    for split in ("train", "test"):
        images = AddNIST(tune=50).load(split, official, progress)
        np.testing.assert_array_equal(images.images.numpy(), arrays[f"{split}_x"])
        np.testing.assert_array_equal(images.labels.numpy(), arrays[f"{split}_y"])
        assert images.source == "AddNIST, official AddNIST files"
    assert progress.said == []


def test_official_tune_has_no_copies_of_train(official: Path) -> None:
    arrays = made_up()
    new = {image.tobytes() for image in arrays["valid_x"][40:]}
    whole = AddNIST(tune=15_000).load("tune", official, Progress())
    assert {image.tobytes() for image in whole.images.numpy()} == new
    cut = AddNIST(tune=20).load("tune", official, Progress())
    assert {image.tobytes() for image in cut.images.numpy()} < new
    assert torch.bincount(cut.labels).tolist() == [1] * 20
    label_of = {image.tobytes(): label for image, label in zip(arrays["valid_x"], arrays["valid_y"], strict=True)}
    assert [label_of[image.tobytes()] for image in cut.images.numpy()] == cut.labels.tolist()


def test_official_train_takes_valid_when_nothing_is_held_out(official: Path) -> None:
    arrays = made_up()
    train = AddNIST(tune=0).load("train", official, Progress())
    np.testing.assert_array_equal(train.images.numpy(), np.concatenate([arrays["train_x"], arrays["valid_x"]]))
    np.testing.assert_array_equal(train.labels.numpy(), np.concatenate([arrays["train_y"], arrays["valid_y"]]))
    assert len(AddNIST(tune=0).load("tune", official, Progress())) == 0


def test_another_checksum_is_told_and_no_error(official: Path) -> None:
    np.save(official / "AddNIST" / "test_y.npy", np.zeros(60, np.int64))
    progress = Listening()
    images = AddNIST().load("test", official, progress)
    assert images.labels.sum() == 0
    assert images.source == "AddNIST, files as found, whose checksum is not the official one"
    assert AddNIST().load("train", official, Progress()).source == "AddNIST, official AddNIST files"
    assert len(progress.said) == 1
    assert "test_y.npy is not the published file" in progress.said[0]


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("test_x", np.zeros((59, 3, 28, 28), np.float32), r"should hold float32 \(60, 3, 28, 28\), found float32 \(59"),
        ("test_x", np.zeros((60, 3, 28, 28), np.float64), "found float64"),
        ("test_x", np.full((60, 3, 28, 28), 0.5, np.float32), "is not"),
        ("test_x", np.full((60, 3, 28, 28), 100, np.float32), "is not"),
        ("test_x", np.full((60, 3, 28, 28), np.nan, np.float32), "is not"),
        ("test_y", np.zeros(60, np.int32), "found int32"),
        ("test_y", np.full(60, 20), "labels 20..20, outside 0..19"),
        ("test_y", np.array([{}] * 60, dtype=object), "cannot be read"),
    ],
)
def test_wrong_official_files_are_named(official: Path, name: str, array: np.ndarray, message: str) -> None:
    np.save(official / "AddNIST" / f"{name}.npy", array)
    with pytest.raises(DataError, match=message) as caught:
        AddNIST().load("test", official, Progress())
    assert f"{name}.npy" in str(caught.value)


def test_empty_and_missing_official_files_are_named(official: Path) -> None:
    path = official / "AddNIST" / "test_x.npy"
    path.write_bytes(b"")
    with pytest.raises(DataError, match=r"test_x.npy cannot be read.*empty file"):
        AddNIST().load("test", official, Progress())
    path.unlink()
    with pytest.raises(DataError, match=r"lacks test_x.npy"):
        AddNIST().load("train", official, Progress())


def test_embedded_digits_leave_official_files_alone(official: Path) -> None:
    images = AddNIST(digits="embedded", tune=0).load("test", official, Progress())
    assert len(images) == 4000


@real
def test_the_rebuild_from_mnist_follows_the_rule() -> None:
    folder, source = Path(os.environ["SHOESTRING_DATA"]), AddNIST()
    loaded = {split: source.load(split, folder, Progress()) for split in SPLITS}
    for split, per_class in (("train", 2250), ("tune", 750), ("test", 500)):
        images = loaded[split]
        assert images.source == "AddNIST, rebuilt from MNIST, seed 0"
        assert torch.bincount(images.labels).tolist() == [per_class] * 20
        digits = digits_of(images, read_digits("test" if split == "test" else "train", folder, Progress()))
        np.testing.assert_array_equal(digits.sum(axis=1) - 1, images.labels.numpy())
    channels = {split: channels_of(images) for split, images in loaded.items()}
    assert not channels["train"] & channels["tune"]
    assert not channels["train"] & channels["test"]
    assert not channels["tune"] & channels["test"]
