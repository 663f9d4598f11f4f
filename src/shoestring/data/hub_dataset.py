"""An image data set of Hugging Face as it lies on disk: parquet files of its hub, or what `save_to_disk` wrote."""

import json
import os
import threading
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, cast

from shoestring.core.errors import DataError
from shoestring.data.columns import FOUND, Columns
from shoestring.data.dataset import SPLIT_NAMES
from shoestring.data.decode import read
from shoestring.data.given import IMAGE_KEYS, LABEL_KEYS

PATTERNS = ("*.parquet", "data/*.parquet", "*/*.parquet", "*/*/*.parquet", "*.arrow", "*/*.arrow")
OPEN = 2  # tables that are held open at once


@dataclass(frozen=True)
class HubImage:
    """An image of the data set.

    Attributes:
        path: The table's file and the row in it, as if that were a file in a folder.
        label: Its class by name.
        split: What the data set calls its split, in lower case; empty where it has but one.
    """

    path: Path
    label: str
    split: str


def tables(folder: Path) -> list[Path]:
    """The tables of a data set in a folder, sorted; none if it is no data set."""
    for pattern in PATTERNS:
        if found := sorted(folder.glob(pattern)):
            return [file for file in found if not file.name.startswith(".")]
    return []


def hub_images(folder: Path, columns: Columns = FOUND) -> tuple[tuple[str, ...], list[HubImage]]:
    """The names of the classes by label, and all images by table and row.

    Args:
        folder: Where the tables are.
        columns: Which to take; the usual ones where they are not named.

    Raises:
        DataError: pyarrow is not there, a table cannot be read, or has no images or labels.
    """
    names: tuple[str, ...] = ()
    images: list[HubImage] = []
    for file in tables(folder):
        column, feature = _column(file, "label", columns.label)
        names = names or tuple(feature.get("names") or ())
        values: list[Any] = column.to_pylist()
        split = _split(file, folder)
        for row, value in enumerate(values):
            if value is not None and value != -1:  # the label of images without one
                name = _name(names, value, file)
                images.append(HubImage(file / f"{row:06d}", name, split))
    return names or tuple(sorted({image.label for image in images})), images


def _name(names: tuple[str, ...], value: Any, file: Path) -> str:
    if not names or not isinstance(value, int):
        return str(value)
    if not 0 <= value < len(names):
        raise DataError(f"{file}: the label {value} is none of its {len(names)} classes")
    return names[value]


@dataclass(frozen=True)
class HubRows:
    """Fetches images by the paths that `hub_images` gives."""

    folder: Path
    columns: Columns = FOUND
    _lock: threading.Lock = field(default_factory=threading.Lock, compare=False)
    _columns: dict[Path, Any] = field(default_factory=dict[Path, Any], compare=False)

    def stat(self, path: Path) -> os.stat_result:
        """The facts of the file that an image lies in."""
        return path.parent.stat()

    def read(self, path: Path) -> bytes:
        """The bytes of an image.

        Raises:
            DataError: There are none.
        """
        with self._lock:  # threads share what is open
            if path.parent not in self._columns:
                while len(self._columns) >= OPEN:
                    del self._columns[next(iter(self._columns))]
                self._columns[path.parent], _ = _column(path.parent, "image", self.columns.image)
            value: Any = self._columns[path.parent][int(path.name)].as_py()
        found = cast(dict[str, Any], value) if isinstance(value, dict) else {"bytes": value}
        if isinstance(content := found.get("bytes"), bytes):
            return content
        if found.get("path"):
            return read(self.folder / str(found["path"]))
        raise DataError(f"{path.parent}: row {path.name} holds no image")


def _split(file: Path, folder: Path) -> str:
    """What a data set calls the split of a table, by its name or its folder's; empty where neither says.

    Such as "train-00000-of-00002.parquet", "train/0000.parquet" and "train/data-00000-of-00001.arrow".
    """
    known = {name for names in SPLIT_NAMES.values() for name in names}
    words = (file.stem.split("-")[0].lower(), "" if file.parent == folder else file.parent.name.lower())
    return next((word for word in words if word in known), "")


def _column(file: Path, what: Literal["image", "label"], asked: str = "") -> tuple[Any, dict[str, Any]]:
    """The images or the labels in a table, and what the data set says of that column."""
    try:
        if file.suffix == ".arrow":
            mapped = import_module("pyarrow").memory_map(str(file))
            table: Any = import_module("pyarrow.ipc").open_stream(mapped).read_all()
            name, feature = _named(table.schema, what, file, asked)
        else:
            parquet = import_module("pyarrow.parquet")
            name, feature = _named(parquet.read_schema(file), what, file, asked)
            table = parquet.read_table(file, columns=[name])
    except ImportError as error:
        raise DataError(f"{file} needs pyarrow: pip install 'shoestring[parquet]'") from error
    except (OSError, ValueError) as error:  # pyarrow's own errors are of these
        raise DataError(f"{file} cannot be read: {error}") from error
    return table.column(name), feature


def _named(schema: Any, what: Literal["image", "label"], file: Path, asked: str) -> tuple[str, dict[str, Any]]:
    """The column of images or of labels: the one asked for, a usual one, or what the data set says is one."""
    metadata: dict[bytes, bytes] = schema.metadata or {}
    info: dict[str, Any] = json.loads(metadata.get(b"huggingface", b"{}"))
    features: dict[str, Any] = info.get("info", {}).get("features", {})
    kind, usual = {"image": ("Image", IMAGE_KEYS), "label": ("ClassLabel", LABEL_KEYS)}[what]
    names: list[str] = list(schema.names)
    said = [name for name in names if features.get(name, {}).get("_type") == kind]
    found = next((name for name in ([asked] if asked else (*usual, *said)) if name in names), None)
    if found is None:
        where = f"data.{what}_column names {asked!r}" if asked else f"the {what} is looked for under {', '.join(usual)}"
        raise DataError(f"{file} has the columns {', '.join(names)}; {where}: say which in data.{what}_column")
    return found, features.get(found, {})
