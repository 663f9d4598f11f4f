"""Shards of WebDataset: tar files in which files of the same name with different endings make one sample."""

import json
import os
import re
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, cast

from shoestring.core.errors import DataError
from shoestring.data.columns import FOUND, Columns
from shoestring.data.dataset import SPLIT_NAMES
from shoestring.data.given import LABEL_KEYS
from shoestring.data.hub_dataset import HubImage
from shoestring.data.image_files import image_endings

PATTERNS = ("*.tar", "*/*.tar")
NAMES_FILES = ("classnames.txt", "classes.txt", "labels.txt")
"""Where the names of classes may stand, one a line, by label."""
LABEL_ENDINGS = (".cls", ".label", ".txt")
"""Of files whose text is the label, the first one first."""


def shards(folder: Path) -> list[Path]:
    """The shards in a folder, sorted; none if it holds no data set of this kind."""
    for pattern in PATTERNS:
        if found := sorted(file for file in folder.glob(pattern) if not file.name.startswith(".")):
            return found
    return []


def shard_images(folder: Path, columns: Columns = FOUND) -> tuple[tuple[str, ...], list[HubImage]]:
    """The names of the classes by label, and all images by shard and name in it.

    Args:
        folder: Where the shards are.
        columns: The ending of the images, such as "png", and of the labels, such as "cls", or a key of their JSON.

    Raises:
        DataError: A shard cannot be read, or a sample has no image or label.
    """
    names = _class_names(folder)
    images: list[HubImage] = []
    for shard in shards(folder):
        split = _split(shard, folder)
        for image, label in _samples(shard, columns):
            number = int(label) if label.isdecimal() else len(names)
            name = names[number] if number < len(names) else label
            if names and name not in names:
                raise DataError(
                    f"{shard}: the label {label} of {image} is none of the {len(names)} classes, whose "
                    f"names, one a line, are those of the labels 0 to {len(names) - 1}"
                )
            images.append(HubImage(shard / image, name, split))
    return names or tuple(sorted({one.label for one in images}, key=_as_number)), images


@dataclass(frozen=True)
class ShardRows:
    """Fetches images by the paths that `shard_images` gives."""

    folder: Path
    _lock: threading.Lock = field(default_factory=threading.Lock, compare=False)
    _places: dict[Path, dict[str, tuple[int, int]]] = field(
        default_factory=dict[Path, dict[str, tuple[int, int]]], compare=False
    )

    def stat(self, path: Path) -> os.stat_result:
        """The facts of the shard that an image lies in."""
        return self._shard(path).stat()

    def read(self, path: Path) -> bytes:
        """The bytes of an image.

        Raises:
            DataError: The shard is no longer as it was.
        """
        shard = self._shard(path)
        with self._lock:  # threads share what is known of shards
            if shard not in self._places:
                self._places[shard] = {
                    PurePosixPath(one.name).as_posix(): (one.offset_data, one.size)  # without "./" in front
                    for one in _members(shard)
                    if one.isfile()
                }
            place = self._places[shard].get(path.relative_to(shard).as_posix())
        if place is None:
            raise DataError(f"{path} is no longer in its shard")
        with shard.open("rb") as file:
            file.seek(place[0])
            return file.read(place[1])

    def _shard(self, path: Path) -> Path:
        """The shard of a path: its first part below the folder that is a file."""
        return next(place for place in reversed([path, *path.parents]) if place.is_file())


def _samples(shard: Path, columns: Columns) -> Iterator[tuple[str, str]]:
    """Of each sample that has an image the name of its file, and the label."""
    groups: dict[str, dict[str, tarfile.TarInfo]] = {}
    try:
        with tarfile.open(shard, "r:") as archive:
            for member in archive:
                if member.isfile():
                    folder, slash, name = member.name.rpartition("/")
                    key, _, ending = name.partition(".")
                    groups.setdefault(f"{folder}{slash}{key}", {})[f".{ending.lower()}"] = member
            wanted = {f".{columns.image.lower()}"} if columns.image else image_endings()
            for key, files in groups.items():
                if image := next((files[ending] for ending in files if ending in wanted), None):
                    yield image.name, _label(archive, shard, key, files, columns.label)
    except (tarfile.TarError, OSError) as error:
        raise DataError(f"{shard} cannot be read: {error}; shards are tar files without compression") from error


def _label(archive: tarfile.TarFile, shard: Path, key: str, files: dict[str, tarfile.TarInfo], asked: str) -> str:
    endings = [f".{asked}"] if f".{asked}" in files else [] if asked else list(LABEL_ENDINGS)
    for ending in endings:
        if ending in files:
            return _content(archive, files[ending]).decode(errors="replace").strip()
    keys = [asked] if asked else [*LABEL_KEYS, "class", "cls"]
    if ".json" in files:
        try:
            values: Any = json.loads(_content(archive, files[".json"]))
        except ValueError as error:
            raise DataError(f"{shard}: the JSON of {key} cannot be read: {error}") from error
        known = cast(dict[str, Any], values) if isinstance(values, dict) else {}
        for name in keys:
            if name in known:
                return str(known[name])
    raise DataError(
        f"{shard}: the sample {key} has {', '.join(sorted(files))} and no label; name its ending, or its key in the "
        "JSON, in data.label_column"
    )


def _content(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    file = archive.extractfile(member)
    return file.read() if file else b""


def _members(shard: Path) -> list[tarfile.TarInfo]:
    with tarfile.open(shard, "r:") as archive:
        return archive.getmembers()


def _class_names(folder: Path) -> tuple[str, ...]:
    for name in NAMES_FILES:
        if (folder / name).is_file():
            try:
                return tuple((folder / name).read_text(encoding="utf-8").strip().splitlines())
            except ValueError as error:
                raise DataError(f"{folder / name} cannot be read: {error}; save it in UTF-8") from error
    return ()


def _as_number(label: str) -> tuple[int, str]:
    """Numbers in their order, then other labels in theirs."""
    return (int(label), "") if label.isdecimal() else (1 << 60, label)


def _split(shard: Path, folder: Path) -> str:
    """What a data set calls the split of a shard, by its name or its folder's; empty where neither says.

    Such as "train-000000.tar", "cifar-test-0001.tar" and "val/0000.tar".
    """
    known = {name for names in SPLIT_NAMES.values() for name in names}
    words = re.split(r"[^a-z]+", shard.stem.lower()) + ([] if shard.parent == folder else [shard.parent.name.lower()])
    return next((word for word in words if word in known), "")
