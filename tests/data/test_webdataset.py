"""Shards of WebDataset, written as its own writer does, read as images with classes and splits."""

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from shoestring.core.errors import DataError
from shoestring.core.progress import Progress
from shoestring.data.folder_layout import listing
from shoestring.data.image_folder import ImageFolder


def pixels(number: int) -> Any:
    return np.random.default_rng(number).integers(0, 256, (8, 8, 3), np.uint8)


def png(number: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels(number)).save(buffer, "PNG")
    return buffer.getvalue()


def write(file: Path, numbers: range, label: str = "cls", **more: bytes) -> None:
    """A shard of images whose label is the parity of their number."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(file, "w") as archive:
        for number in numbers:
            contents = {"png": png(number)} | more
            contents |= {"cls": str(number % 2).encode()} if label == "cls" else {}
            contents |= {"json": json.dumps({label: number % 2}).encode()} if label != "cls" else {}
            for ending, content in contents.items():
                member = tarfile.TarInfo(f"{number:04d}.{ending}")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))


def check(source: ImageFolder, root: Path, split: Any, numbers: range) -> None:
    images = source.load(split, root, Progress())
    found = {image.numpy().tobytes(): int(label) for image, label in zip(images.images, images.labels, strict=True)}
    assert found == {pixels(n).transpose(2, 0, 1).tobytes(): n % 2 for n in numbers}


@pytest.mark.parametrize("label", ["cls", "label", "target"])
def test_shards_are_images_with_classes_and_splits(label: str, tmp_path: Path) -> None:
    write(tmp_path / "train-000000.tar", range(0, 12), label)
    write(tmp_path / "train-000001.tar", range(12, 20), label)
    write(tmp_path / "test-000000.tar", range(20, 26), label)
    source = ImageFolder(path=tmp_path, size=8, tune=0)
    assert source.classes == ("0", "1")
    check(source, tmp_path, "train", range(0, 20))
    check(source, tmp_path, "test", range(20, 26))
    assert listing(tmp_path).splits == {"train", "test"}


def test_classes_have_names_where_a_file_says_them_and_folders_can_be_splits(tmp_path: Path) -> None:
    write(tmp_path / "train" / "0000.tar", range(0, 12))
    write(tmp_path / "val" / "0000.tar", range(12, 20))
    (tmp_path / "classnames.txt").write_text("even\nodd\n")
    source = ImageFolder(path=tmp_path, size=8)
    assert source.classes == ("even", "odd")
    assert listing(tmp_path).splits == {"train", "tune"}
    check(source, tmp_path, "tune", range(12, 20))


def test_columns_can_be_named(tmp_path: Path) -> None:
    write(tmp_path / "0.tar", range(0, 12), "parity", cls=b"7", jpg=b"no picture")
    assert ImageFolder(path=tmp_path, size=8).classes == ("7",)
    source = ImageFolder(path=tmp_path, size=8, tune=0, image_column="png", label_column="parity")
    assert source.classes == ("0", "1")
    found = [*source.load("train", tmp_path, Progress()).images, *source.load("test", tmp_path, Progress()).images]
    assert len(found) == 12


def test_shards_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    write(tmp_path / "0.tar", range(4), "other")
    with pytest.raises(DataError, match=r"the sample 0000 has \.json, \.png and no label; .* data\.label_column"):
        listing(tmp_path)
    (tmp_path / "0.tar").write_bytes(b"no tar" * 100)
    with pytest.raises(DataError, match="without compression"):
        listing(tmp_path)


def test_members_may_begin_with_a_dot_as_tar_writes_a_folder(tmp_path: Path) -> None:
    write(tmp_path / "0.tar", range(0))
    with tarfile.open(tmp_path / "0.tar", "w") as archive:
        for number in range(12):
            for ending, content in (("png", png(number)), ("cls", str(number % 2).encode())):
                member = tarfile.TarInfo(f"./{number:04d}.{ending}")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    source = ImageFolder(path=tmp_path, size=8, tune=0)
    found = [*source.load("train", tmp_path, Progress()).images, *source.load("test", tmp_path, Progress()).images]
    assert sorted(one.numpy().tobytes() for one in found) == sorted(
        pixels(n).transpose(2, 0, 1).tobytes() for n in range(12)
    )


def test_names_of_classes_that_do_not_fit_are_told(tmp_path: Path) -> None:
    write(tmp_path / "0.tar", range(12))
    names = tmp_path / "classes.txt"
    names.write_text("even\nodd\n\n")
    assert ImageFolder(path=tmp_path, size=8).classes == ("even", "odd")
    names.write_text("even\n")
    with pytest.raises(DataError, match=r"the label 1 of 0001.png is none of the 1 classes"):
        listing(tmp_path)
    names.write_bytes("gerade\nüngerade".encode("latin-1"))
    with pytest.raises(DataError, match=r"classes.txt cannot be read: .*; save it in UTF-8"):
        listing(tmp_path)
