import gzip
import os
import struct
from hashlib import md5
from pathlib import Path

import numpy as np
import pytest
import torch

from shoestring.core.errors import DataError
from shoestring.core.progress import Progress
from shoestring.data import mnist
from shoestring.data.dataset import Split
from shoestring.data.download import checksum_of
from shoestring.data.mnist import MNISTDigits, read_digits

SPLITS: tuple[Split, ...] = ("train", "tune", "test")
real = pytest.mark.skipif("SHOESTRING_DATA" not in os.environ, reason="needs the real files in SHOESTRING_DATA")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(mnist, "COUNTS", {"train": 200, "t10k": 50})
    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for prefix in ("train", "t10k"):
        images, labels = made_up(prefix)
        (raw / f"{prefix}-images-idx3-ubyte").write_bytes(struct.pack(">4i", 2051, *images.shape) + images.tobytes())
        (raw / f"{prefix}-labels-idx1-ubyte").write_bytes(struct.pack(">2i", 2049, len(labels)) + labels.tobytes())
    return tmp_path


def made_up(prefix: str) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(len(prefix))
    count = {"train": 200, "t10k": 50}[prefix]
    return random.integers(0, 256, (count, 28, 28), dtype=np.uint8), np.arange(count, dtype=np.uint8) % 10


@pytest.mark.parametrize("packed", [False, True])
def test_idx_files_raw_or_packed(folder: Path, packed: bool) -> None:
    if packed:
        for path in list((folder / "MNIST" / "raw").iterdir()):
            path.with_name(path.name + ".gz").write_bytes(gzip.compress(path.read_bytes()))
            path.unlink()
        # What lies packed in the folder is checked like a download.
        sums = {path.stem: "md5:" + checksum_of(path, "md5") for path in folder.rglob("*.gz")}
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(mnist, "CHECKSUMS", sums)
            train, test = (read_digits(part, folder, Progress()) for part in ("train", "test"))
        with pytest.raises(DataError, match="is not the expected file"):
            read_digits("train", folder, Progress())
    else:
        train, test = (read_digits(part, folder, Progress()) for part in ("train", "test"))
    for digits, prefix in ((train, "train"), (test, "t10k")):
        np.testing.assert_array_equal(digits.images, made_up(prefix)[0])
        np.testing.assert_array_equal(digits.labels, made_up(prefix)[1])
        assert digits.labels.dtype == np.int64


@pytest.mark.parametrize("packed", [False, True])
def test_only_what_the_official_files_hold_is_called_official(
    folder: Path, packed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw = folder / "MNIST" / "raw"
    contents = {path.name: path.read_bytes() for path in raw.iterdir()}
    monkeypatch.setattr(mnist, "UNPACKED", {name: md5(content).hexdigest() for name, content in contents.items()})

    def source(changed: str | None = None) -> str:
        sums: dict[str, str] = {}
        for name, content in contents.items():
            (raw / name).unlink(missing_ok=True)
            written = content[:-1] + bytes([content[-1] ^ 1]) if name == changed else content
            path = raw / (f"{name}.gz" if packed else name)
            path.write_bytes(gzip.compress(written, 1) if packed else written)
            sums[name] = "md5:" + checksum_of(path, "md5")
        monkeypatch.setattr(mnist, "CHECKSUMS", sums)  # packed files of another checksum are refused anyway
        return MNISTDigits().load("test", folder, Progress()).source

    assert source() == source("train-images-idx3-ubyte") == "MNIST, official files"
    for changed in ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"):
        assert source(changed) == "MNIST, files as found, whose checksum is not the official one"


def test_splits_hold_every_digit_once(folder: Path) -> None:
    source = MNISTDigits(tune=33)
    train, tune, test = (source.load(split, folder, Progress()) for split in SPLITS)
    assert (len(train), len(tune), len(test)) == (167, 33, 50)
    assert tune.images.shape[1:] == source.shape == (1, 28, 28)
    assert torch.bincount(tune.labels).tolist() == [4, 4, 4, 3, 3, 3, 3, 3, 3, 3]
    expected = {image.tobytes(): int(label) for image, label in zip(*made_up("train"), strict=True)}
    images, labels = torch.cat([train.images, tune.images]).numpy(), torch.cat([train.labels, tune.labels]).tolist()
    assert {image.tobytes(): label for image, label in zip(images, labels, strict=True)} == expected


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("train-images-idx3-ubyte", struct.pack(">4i", 2049, 200, 28, 28) + bytes(200 * 784)),
        ("train-images-idx3-ubyte", struct.pack(">4i", 2051, 199, 28, 28) + bytes(200 * 784)),
        ("train-images-idx3-ubyte", struct.pack(">4i", 2051, 200, 28, 28) + bytes(200 * 784 - 1)),
        ("train-images-idx3-ubyte", struct.pack(">4i", 2051, 200, 28, 28) + bytes(200 * 784 + 1)),
        ("train-labels-idx1-ubyte", b""),
        ("train-labels-idx1-ubyte", struct.pack(">2i", 2049, 200) + bytes([10] * 200)),
    ],
)
def test_damaged_files_are_named(folder: Path, name: str, content: bytes) -> None:
    (folder / "MNIST" / "raw" / name).write_bytes(content)
    with pytest.raises(DataError, match=f"{name}.*fetch it again"):
        MNISTDigits().load("train", folder, Progress())


def test_missing_files_are_asked_of_both_mirrors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(urls: list[str], path: Path, checksum: str, progress: Progress, *, remedy: str) -> None:
        assert [url.rsplit("/", 1)[1] for url in urls] == ["t10k-images-idx3-ubyte.gz"] * 2
        assert path == tmp_path / "MNIST" / "raw" / "t10k-images-idx3-ubyte.gz"
        assert checksum == "md5:9fb629c4189551a2d022fa330f9573f3"
        raise DataError(remedy)

    monkeypatch.setattr(mnist, "fetch", fail)
    with pytest.raises(DataError, match="put the four files"):
        MNISTDigits().load("test", tmp_path, Progress())


@real
def test_the_real_digits_have_the_published_mean_and_deviation() -> None:
    digits = read_digits("train", Path(os.environ["SHOESTRING_DATA"]), Progress())
    assert digits.official
    assert np.bincount(digits.labels).tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    counts = np.bincount(digits.images.ravel(), minlength=256)
    mean = np.average(np.arange(256) / 255, weights=counts)
    std = np.sqrt(np.average((np.arange(256) / 255 - mean) ** 2, weights=counts))
    assert mean == pytest.approx(0.1307, abs=5e-5)
    assert std == pytest.approx(0.3081, abs=5e-5)
