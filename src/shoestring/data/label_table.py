"""A CSV of files and their labels, as another way to say which images there are."""

import csv
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from shoestring.core.errors import DataError
from shoestring.data.dataset import SPLIT_NAMES, Split

FILE_COLUMNS = ("file", "file_name", "filename", "path", "image", "image_path", "image_id", "id")
LABEL_COLUMNS = ("label", "class", "class_name", "category", "target", "species")
SPLIT_COLUMNS = ("split", "subset", "fold", "set")
ENDINGS = (".csv", ".tsv")


@dataclass(frozen=True)
class Row:
    """An image in a table.

    Attributes:
        path: Its file.
        label: Its class by name; empty where the table has none.
        split: What the table says of its split, in lower case; empty where it says nothing.
    """

    path: Path
    label: str
    split: str


def is_table(path: Path) -> bool:
    """Whether a path names a table of labels."""
    return path.suffix.lower() in ENDINGS and path.is_file()


def rows(table: Path) -> list[Row]:
    """What a table says, in order.

    Args:
        table: Comma-, semicolon- or tab-separated, with a line of names: one of `FILE_COLUMNS`, one of `LABEL_COLUMNS`
            and perhaps one of `SPLIT_COLUMNS`, in whatever case. Files are relative to the table's folder; those not
            there are looked for by their name, with or without ending, anywhere below it.

    Raises:
        DataError: It cannot be read, or lacks such a column.
    """
    try:
        with table.open(encoding="utf-8-sig", newline="") as file:
            first = file.readline()
            file.seek(0)
            mark = max(",;\t", key=first.count)
            found = csv.DictReader(file, delimiter=mark)
            names = list(found.fieldnames or ())
            chosen = [_column(names, known) for known in (FILE_COLUMNS, LABEL_COLUMNS, SPLIT_COLUMNS)]
            lines = [["" if name is None else (line[name] or "").strip() for name in chosen] for line in found]
        if any("\x00" in cell for line in lines for cell in line):
            raise ValueError("it has a NUL character, which no name of a file can have")
    except (OSError, ValueError, csv.Error) as error:
        raise DataError(f"{table} cannot be read as a table of labels: {error}") from error
    if chosen[0] is None or chosen[1] is None:
        raise DataError(
            f"{table} has the columns {', '.join(names) or 'none'}; it should have one of files "
            f"({', '.join(FILE_COLUMNS)}) and one of labels ({', '.join(LABEL_COLUMNS)}): rename them"
        )
    below = _Below(table.parent)
    return [Row(below.find(name), label, split.lower()) for name, label, split in lines if name]


def classes(found: list[Row]) -> tuple[str, ...]:
    """The labels in a table, sorted; numbers by their size."""
    labels = {row.label for row in found if row.label}
    return tuple(sorted(labels, key=int) if all(label.isdecimal() for label in labels) else sorted(labels))


def split_of(row: Row, table: Path) -> Split:
    """The split of an image by what the table says of it: "train" where that is nothing.

    Raises:
        DataError: The table says something unknown.
    """
    if not row.split:
        return "train"
    known: dict[str, Split] = {name: split for split, names in SPLIT_NAMES.items() for name in names}
    known["eval"] = "test"
    if row.split not in known:
        raise DataError(f"{table} puts {row.path.name} into the split {row.split!r}; known are {', '.join(known)}")
    return known[row.split]


def _column(names: list[str], known: tuple[str, ...]) -> str | None:
    lower = {name.strip().lower(): name for name in reversed(names)}
    return next((lower[name] for name in known if name in lower), None)


class _Below:
    """Files below a folder, by what a table may call them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def find(self, name: str) -> Path:
        direct = self.folder / name
        return direct if direct.is_file() else self._by_name.get(Path(name).name, direct)

    @cached_property
    def _by_name(self) -> dict[str, Path]:
        found: dict[str, list[Path]] = {}
        for place, _, files in os.walk(self.folder):
            for file in files:
                for name in {file, Path(file).stem}:
                    found.setdefault(name, []).append(Path(place) / file)
        return {name: paths[0] for name, paths in found.items() if len(paths) == 1}
