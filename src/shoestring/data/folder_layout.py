"""Which images a folder holds, of which class and in which split, and what in it is passed over and why."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from shoestring.core.errors import DataError
from shoestring.data.columns import FOUND, Columns
from shoestring.data.dataset import SPLIT_NAMES, Split
from shoestring.data.decode import HEIF_REMEDY
from shoestring.data.hub_dataset import HubImage, HubRows, hub_images, tables
from shoestring.data.image_files import image_endings, list_images
from shoestring.data.image_reader import FILES, Fetch
from shoestring.data.label_table import Row, is_table, split_of
from shoestring.data.label_table import classes as classes_of
from shoestring.data.label_table import rows as table_rows
from shoestring.data.webdataset import ShardRows, shard_images, shards

HEIF = frozenset({".heic", ".heif", ".hif"})
LAYOUTS = "images lie in CLASS/*, or in train/CLASS/* and test/CLASS/*, perhaps with val/CLASS/*"


@dataclass(frozen=True)
class ImageFile:
    """An image as a folder lists it.

    Attributes:
        path: Where it lies.
        label: Of its class.
        split: That of the folder it lies in; "train" where the folder has no splits.
    """

    path: Path
    label: int
    split: Split


@dataclass(frozen=True)
class PassedOver:
    """A file or folder that no image is taken from.

    Attributes:
        path: Which.
        reason: Why, in a few words, and what to do about it.
    """

    path: Path
    reason: str


@dataclass(frozen=True)
class Listing:
    """What a folder holds, before any image is read.

    Attributes:
        root: The folder.
        classes: Class names by label.
        files: All images, by split, class and path.
        splits: The splits that the folder itself has; none where it holds CLASS/*.
        passed_over: All else in it but hidden files, by path.
        fetch: Where the bytes of the images come from.
    """

    root: Path
    classes: tuple[str, ...]
    files: tuple[ImageFile, ...]
    splits: frozenset[Split]
    passed_over: tuple[PassedOver, ...]
    fetch: Fetch = FILES


def class_names(root: Path, nested: bool = True, columns: Columns = FOUND) -> tuple[str, ...]:
    """The names of the classes of a folder, sorted.

    Args:
        root: The folder.
        nested: As of `listing`.
        columns: As of `listing`.

    Raises:
        DataError: It has none, or one whose name is no text.
    """
    if is_table(root):
        return classes_of(table_rows(root))
    if nested and (packed := _packed(root, columns)):
        return packed[0]
    folders = _split_folders(root, nested)
    names = _subfolders(folders.get("train", root))
    if not names:
        found = "has no folders of images" if root.is_dir() else "does not exist"
        raise DataError(
            f"{root} {found}; {LAYOUTS}. Correct data.path, or say where the folder is now with --data-folder."
        )
    if strange := [name for name in names if name.encode(errors="ignore").decode() != name]:
        raise DataError(
            f"{root / strange[0]} is no name for a class, since it is not UTF-8: rename the folder (? stands for what "
            "cannot be read)"
        )
    return tuple(names)


def listing(root: Path, nested: bool = True, own_tune: bool = True, columns: Columns = FOUND) -> Listing:
    """All images of a folder.

    Args:
        root: The folder: CLASS/*, or splits with CLASS/* in each. Or a table of files and labels, or a folder with a
            data set of Hugging Face or shards of WebDataset.
        nested: Take images from folders inside those of classes, and know splits by all of `SPLIT_NAMES` in whatever
            case, and "eval": that is test, or tune beside a test folder. Without, only "train" and "test" are splits
            and folders inside classes are passed over, as before version 0.2.
        own_tune: Whether the folder's own tune split is to be used; otherwise it is passed over.
        columns: Of a data set, where they are not to be found.

    Raises:
        DataError: As of `class_names`; or a class has no image to train on, or a split has a class that train has not.
    """
    if is_table(root):
        found = table_rows(root)
        return _tabled(root, classes_of(found), found, own_tune, FILES)
    if nested and (packed := _packed(root, columns)):
        names, images, fetch = packed
        return _tabled(root, names, [Row(one.path, one.label, one.split) for one in images], own_tune, fetch)
    classes = class_names(root, nested, columns)
    folders = _split_folders(root, nested)
    passed = [] if not folders else [_beside(item) for item in _items(root) if item not in folders.values()]
    if not own_tune and "tune" in folders:
        passed.append(PassedOver(folders.pop("tune"), "data.tune says what to hold out, of train"))
    files: list[ImageFile] = []
    for split, folder in (folders or {"train": root}).items():
        if extra := sorted(set(_subfolders(folder)) - set(classes)):
            raise DataError(
                f"{folder} has classes that train has not: {', '.join(extra)}; rename them as in train, or move them "
                f"out of {root}"
            )
        passed += [_why(item) for item in _items(folder) if not item.is_dir()]
        for label, name in enumerate(classes):
            found, others = _images(folder / name, nested)
            if not found and split == "train":
                inner = next((other.path.name for other in others if other.path.is_dir()), None)
                what = f"has no images, but the folder {inner}" if inner else "has no images"
                raise DataError(
                    f"{folder / name} {what}; {LAYOUTS}: add some, or name a folder that holds them so in data.path"
                )
            files += [ImageFile(file, label, split) for file in found]
            passed += others
    return Listing(
        root, classes, tuple(files), frozenset[Split](folders), tuple(sorted(passed, key=lambda one: one.path))
    )


def _packed(root: Path, columns: Columns) -> tuple[tuple[str, ...], list[HubImage], Fetch] | None:
    """Classes and images of a folder that holds tables or shards, and no folders of images; else None."""
    if any(list_images(root / name)[0] for name in _subfolders(root)):
        return None
    if tables(root):
        return *hub_images(root, columns), HubRows(root, columns)
    if shards(root):
        return *shard_images(root, columns), ShardRows(root)
    return None


def _tabled(table: Path, classes: tuple[str, ...], found: Sequence[Row], own_tune: bool, fetch: Fetch) -> Listing:
    """All images that a table of labels, or those of a data set, name."""
    passed = [PassedOver(row.path, f"no label in {table.name}") for row in found if not row.label]
    labels = {name: label for label, name in enumerate(classes)}
    files = [ImageFile(row.path, labels[row.label], split_of(row, table)) for row in found if row.label]
    if not own_tune:
        reason = "data.tune says what to hold out, of train"
        passed += [PassedOver(file.path, reason) for file in files if file.split == "tune"]
        files = [file for file in files if file.split != "tune"]
    to_train_on = {file.label for file in files if file.split == "train"}
    if absent := [name for name in classes if labels[name] not in to_train_on]:
        raise DataError(f"{table} has no image of {', '.join(absent)} to train on; add some")
    order = {split: place for place, split in enumerate(SPLIT_NAMES)}
    files.sort(key=lambda file: (order[file.split], file.path))  # so that each table of a data set is opened once
    splits = frozenset[Split](file.split for file in files)
    return Listing(
        table, classes, tuple(files), splits if len(splits) > 1 else frozenset[Split](), tuple(passed), fetch
    )


def said(passed_over: Sequence[PassedOver]) -> str:
    """What is passed over, in a line; empty if nothing is."""
    if not passed_over:
        return ""
    first, *others = passed_over
    return f"passed over {first.path} ({first.reason})" + (f" and {len(others):,} more" if others else "")


def _split_folders(root: Path, nested: bool) -> dict[Split, Path]:
    """The folders of splits, by what lies inside: a class may well be called "train". Empty where there are none."""
    if not nested:
        pair: dict[Split, Path] = {"train": root / "train", "test": root / "test"}
        return pair if all(map(_subfolders, pair.values())) else {}
    by_name: dict[str, list[Path]] = {}
    for name in _subfolders(root):
        by_name.setdefault(name.lower(), []).append(root / name)
    found: dict[Split, list[Path]] = {
        split: [folder for name in names for folder in by_name.get(name, []) if _holds_classes(folder)]
        for split, names in SPLIT_NAMES.items()
    }
    if not found["train"]:
        return {}
    evaluated = [folder for folder in by_name.get("eval", []) if _holds_classes(folder)]
    found["tune" if found["test"] else "test"] += evaluated
    for split, folders in found.items():
        if len(folders) > 1:
            names = " and ".join(folder.name for folder in folders)
            raise DataError(f"{root} has {names}, which are both {split}; keep one there and move the other elsewhere")
    return {split: folders[0] for split, folders in found.items() if folders}


def _holds_classes(folder: Path) -> bool:
    """Whether a folder holds folders of images, as that of a split does, and no more images beside than in them."""
    inner = _subfolders(folder)
    return bool(inner) and len(list_images(folder)[0]) <= sum(len(_images(folder / name, True)[0]) for name in inner)


def _images(folder: Path, nested: bool) -> tuple[list[Path], list[PassedOver]]:
    """The images of a class, sorted, and what else is there."""
    known = image_endings() if nested else image_endings() - HEIF  # runs of before know no HEIC
    images: list[Path] = []
    others: list[PassedOver] = []
    for path in _walk(folder) if nested else _items(folder):
        if path.is_dir():
            reason = "a link to a folder" if nested else "a folder inside a class"
            others.append(PassedOver(path, reason))
        elif path.suffix.lower() in known and path.is_file():
            images.append(path)
        else:
            others.append(_why(path))
    return sorted(images), others


def _walk(folder: Path) -> Iterator[Path]:
    """All files below a folder that are not hidden, and links to folders, which may lead in circles."""
    for place, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        links = [name for name in folders if (Path(place) / name).is_symlink()]
        yield from (Path(place) / name for name in (*links, *files) if not name.startswith("."))


def _items(folder: Path) -> list[Path]:
    return sorted(item for item in folder.glob("*") if not item.name.startswith("."))


def _subfolders(root: Path) -> list[str]:
    return sorted(item.name for item in root.glob("*") if item.is_dir() and not item.name.startswith("."))


def _beside(item: Path) -> PassedOver:
    if not item.is_dir():
        return _why(item)
    known = image_endings()
    without = item.name.lower() in {*sum(SPLIT_NAMES.values(), ()), "eval"} and any(
        one.suffix.lower() in known for one in item.glob("*")
    )
    return PassedOver(item, "images without folders of classes" if without else "a folder beside train")


def _why(file: Path) -> PassedOver:
    """Why a file is no image of a class."""
    ending = file.suffix.lower()
    if ending in HEIF and ending not in image_endings():
        reason = f"HEIC; {HEIF_REMEDY}"
    elif ending in image_endings():
        reason = "in no folder of a class"
    elif not ending:
        form = _form(file)
        reason = f"no ending; by its content it is {form}, so end its name in .{form.lower()}" if form else "no ending"
    else:
        reason = _REASONS.get(ending, f"{ending} is no format of images")
    return PassedOver(file, reason)


_REASONS: Mapping[str, str] = {
    ".pdf": "PDF; save its pages as images",
    **dict.fromkeys((".cr2", ".cr3", ".nef", ".arw", ".dng", ".raf", ".orf", ".rw2"), "raw; export it as JPEG or TIFF"),
    **dict.fromkeys((".mp4", ".mov", ".avi", ".mkv", ".webm"), "a video; save frames of it as images"),
    **dict.fromkeys((".svg", ".ai", ".psb"), "a drawing; export it as PNG"),
    **dict.fromkeys((".zip", ".tar", ".gz", ".7z", ".rar"), "an archive; unpack it"),
}


def _form(file: Path) -> str:
    """The format of a file by its content, empty if it is no image."""
    try:
        with Image.open(file) as image:
            return image.format or ""
    except Exception:  # whatever Pillow raises on any content
        return ""
