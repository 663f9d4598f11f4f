"""What a folder of images is like, found before any training: what is in it, what is not used, what looks wrong."""

from collections import Counter
from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from shoestring.core.class_balance import is_uneven, majority
from shoestring.core.progress import Advance, Progress
from shoestring.data.dataset import SPLITS, Split, holds_out
from shoestring.data.decode import Decoder
from shoestring.data.folder_layout import PassedOver
from shoestring.data.image_folder import FolderImages, ImageFolder
from shoestring.data.image_reader import BadFile

FEWEST = 10  # images of a class to learn from; fewer are said
NAMED = 3  # that a warning names


@dataclass(frozen=True)
class Copies:
    """Files that hold the same upright pixels.

    Attributes:
        paths: The files, sorted.
        splits: The splits they are in.
        classes: The classes they are in.
    """

    paths: tuple[Path, ...]
    splits: tuple[str, ...]
    classes: tuple[str, ...]


@dataclass(frozen=True)
class FolderReport:
    """What a folder of images holds.

    Attributes:
        folder: The folder.
        classes: Class names by label.
        counts: Images of each class, by split.
        carved: The splits that are carved from others, as the folder has none of its own.
        formats: Images by format, the most frequent first.
        widths: Smallest, median and largest width in pixels.
        heights: Smallest, median and largest height.
        smaller: Images that are smaller than they are to become.
        size: Height and width that all images become.
        passed_over: Files and folders that no image is taken from.
        bad: Files that cannot be read.
        copies: Groups of files with the same pixels.
        grey: Images without colour.
        dark: What to say of images with more than 8 bits that are nearly black; else "".
    """

    folder: Path
    classes: tuple[str, ...]
    counts: dict[str, tuple[int, ...]]
    carved: tuple[str, ...]
    formats: dict[str, int]
    widths: tuple[int, int, int]
    heights: tuple[int, int, int]
    smaller: int
    size: int
    passed_over: tuple[PassedOver, ...]
    bad: tuple[BadFile, ...]
    copies: tuple[Copies, ...]
    grey: int
    dark: str

    @property
    def total(self) -> int:
        """Images of all splits."""
        return sum(map(sum, self.counts.values()))

    @property
    def warnings(self) -> tuple[str, ...]:
        """What looks wrong, each in a sentence or two; what matters most comes first."""
        found = [*self._copies(), *self._classes(), *self._pixels()]
        return tuple(one for one in found if one)

    @property
    def summary(self) -> str:
        """The folder in a line."""
        parts = ", ".join(f"{split} {sum(counts):,}" for split, counts in self.counts.items())
        return f"{self.folder.name}: {self.total:,} images of {len(self.classes):,} classes ({parts})"

    def to_json(self) -> dict[str, Any]:
        """Plain JSON values, with the warnings."""
        unused = {"passed_over": self.passed_over, "bad": self.bad}
        return asdict(self) | {
            "folder": _text(self.folder),
            "total": self.total,
            "warnings": list(self.warnings),
            "copies": [asdict(one) | {"paths": [_text(path) for path in one.paths]} for one in self.copies],
            **{
                name: [{"path": _text(one.path), "reason": one.reason} for one in files]
                for name, files in unused.items()
            },
        }

    def _copies(self) -> Iterable[str]:
        across = [one for one in self.copies if len(one.splits) > 1]
        labels = [one for one in self.copies if len(one.classes) > 1]
        rest = len(self.copies) - len({id(one) for one in (*across, *labels)})
        if across:
            yield (
                f"the same in two splits, so that what is measured was seen before: {_images(len(across))}, "
                f"{_listed(_pair(one) for one in across)}. Keep each in one"
            )
        if labels:
            yield f"the same under two labels: {_images(len(labels))}, {_listed(_pair(one) for one in labels)}"
        if rest:
            yield f"more than once in one class and split: {_images(rest)}"

    def _classes(self) -> Iterable[str]:
        for split in ("test", "tune"):
            counts = self.counts.get(split)
            if counts and (absent := [name for name, n in zip(self.classes, counts, strict=True) if not n]):
                yield f"no image of {_listed(absent)} is in {split}: its accuracy will not be known"
        train = self.counts.get("train", ())
        few = [f"{name} ({n})" for name, n in zip(self.classes, train, strict=True) if n < FEWEST]
        if few:
            yield f"few images to learn from: {_listed(few)}"
        whole = [sum(counts) for counts in zip(*self.counts.values(), strict=True)]
        if is_uneven(whole):
            most, fraction = majority(whole)
            yield (
                f"classes are uneven, {min(whole):,} to {max(whole):,} images: always answering "
                f"{self.classes[most]} would be right for {fraction:.1%}; look at balanced accuracy, and try "
                "--task.class-weights"
            )

    def _pixels(self) -> Iterable[str]:
        yield self.dark
        if self.total and self.grey == self.total:
            yield "all images are grey: three channels hold the same"
        elif self.grey:
            yield f"grey, while the others are in colour: {_images(self.grey)}"
        if self.smaller:
            yield f"smaller than {self.size}x{self.size}, and so enlarged: {_images(self.smaller)}"


def inspect(spec: ImageFolder, folder: Path, progress: Progress, *, strict: bool = False) -> FolderReport:
    """What a folder holds, as a training by this spec would divide it.

    Args:
        spec: The folder, and how it is read.
        folder: The data folder.
        progress: Reports reading.
        strict: Refuse bad files, as the training would; else they are only reported.

    Raises:
        DataError: There are no classes, a class or split has no image, or bad files are refused.
    """
    return report((spec if strict else spec.replace(skip_bad=True)).read(folder, _Quiet(progress)))


def report(found: FolderImages) -> FolderReport:
    """What images are like that were read of all of a folder."""
    spec, listing = found.spec, found.listing
    splits: dict[str, tuple[int, ...]] = {}
    where: dict[int, Split] = {}
    for split in SPLITS:
        if split == "tune" and not holds_out(spec):
            continue
        chosen = found.chosen(split)
        where |= dict.fromkeys(chosen.tolist(), split)
        splits[split] = tuple(np.bincount(found.labels[chosen], minlength=len(listing.classes)).tolist())
    facts = [one.facts for one in found.read]
    decoder = Decoder()
    for path, one in zip(found.paths, facts, strict=True):
        decoder.note(path, one.bits, one.brightest)
    return FolderReport(
        folder=listing.root,
        classes=listing.classes,
        counts=splits,
        carved=tuple(split for split in splits if split != "train" and split not in listing.splits),
        formats=dict(Counter(one.form for one in facts).most_common()),
        widths=_spread([one.width for one in facts]),
        heights=_spread([one.height for one in facts]),
        smaller=sum(min(one.width, one.height) < spec.size for one in facts),
        size=spec.size,
        passed_over=listing.passed_over,
        bad=tuple(found.bad),
        copies=tuple(_copies(found, where)),
        grey=sum(one.grey for one in facts),
        dark=decoder.dark,
    )


def _copies(found: FolderImages, where: dict[int, Split]) -> Iterable[Copies]:
    groups: dict[bytes, list[int]] = {}
    for index, one in enumerate(found.read):
        groups.setdefault(one.pixels, []).append(index)
    for group in groups.values():
        if len(group) > 1:
            splits = {where[index] for index in group if index in where}
            names = {found.listing.classes[int(found.labels[index])] for index in group}
            yield Copies(
                tuple(sorted(found.paths[index] for index in group)),
                tuple(split for split in SPLITS if split in splits),
                tuple(sorted(names)),
            )


def _spread(values: Sequence[int]) -> tuple[int, int, int]:
    return (min(values), int(np.median(values)), max(values)) if values else (0, 0, 0)


def _images(count: int) -> str:
    return "1 image" if count == 1 else f"{count:,} images"


def _pair(one: Copies) -> str:
    return " = ".join(str(path) for path in one.paths[:2])


def _listed(given: Iterable[str]) -> str:
    names = list(given)
    return ", ".join(names[:NAMED]) + (f" and {len(names) - NAMED:,} more" if len(names) > NAMED else "")


def _text(path: Path) -> str:
    return str(path).encode(errors="replace").decode()


class _Quiet(Progress):
    """Shows work; what would be said is in the report."""

    def __init__(self, progress: Progress) -> None:
        self.shown = progress

    @contextmanager
    def task(self, title: str, total: int, unit: str = "", start: int = 0) -> Generator[Advance]:
        """Work, shown as ever."""
        with self.shown.task(title, total, unit, start) as advance:
            yield advance
