"""The verb that looks at a folder of images before training."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from tyro.conf import FlagCreatePairsOff, Positional, arg

from shoestring.cli.display import Display
from shoestring.cli.options import Options

if TYPE_CHECKING:
    from shoestring.data.inspection import FolderReport

CLASSES, FILES = 40, 20  # that are listed for people; --json has all


@dataclass(frozen=True, kw_only=True)
class Inspect(Options):
    """Look at your own images before training: classes, splits, sizes, and what is wrong, all at once.

    Says which files cannot be read, which are passed over and why, and which images are there twice. Ends with status 1
    if files cannot be read, unless --skip-bad is given.
    """

    target: Annotated[Positional[str], arg(metavar="FOLDER")]
    """CLASS/*, or train/CLASS/* with test/CLASS/* or val/CLASS/*; or a recipe file whose data are such a folder."""
    size: int | None = None
    """Height and width that images are to become. By default 32, or as the recipe says."""
    skip_bad: FlagCreatePairsOff[bool] = False
    """Files that cannot be read are no error, as of `train --skip-bad`."""

    def do(self, display: Display) -> int | None:
        """Prints what there is."""
        from shoestring import api
        from shoestring.data.image_reader import cache_size

        found = api.inspect(
            self.target, self.data_folder, display, **({} if self.size is None else {"size": self.size})
        )
        cache, size = cache_size()
        display.result(found.to_json() | {"cache": {"file": str(cache), "bytes": size}})
        _counts(found, display)
        display.line(f"formats   {', '.join(f'{form} {count:,}' for form, count in found.formats.items()) or 'none'}")
        sides = " x ".join(f"{low:,}..{middle:,}..{high:,}" for low, middle, high in (found.widths, found.heights))
        display.line(f"sizes     {sides} (width x height; smallest, median, largest), all become {found.size}")
        if found.passed_over:
            rows = [[str(one.path), one.reason] for one in found.passed_over[:FILES]]
            more = _more(len(found.passed_over), FILES)
            display.table(f"Passed over: {len(found.passed_over):,}{more}", ("file or folder", "why"), rows)
        if found.bad:
            rows = [[str(one.path), one.reason] for one in found.bad]
            display.table(f"Cannot be read: {len(found.bad):,}", ("file", "why"), rows)
        for warning in found.warnings:
            display.line(f"note: {warning}.")
        display.line(f"cache     {cache}, {size / 1e6:,.1f} MB of decoded images; it may be deleted at any time")
        return 1 if found.bad and not self.skip_bad else None


def _counts(found: "FolderReport", display: Display) -> None:
    """The table of images by class and split: all classes, or those with most and with fewest images."""
    rows = [
        [name, *(f"{count:,}" for count in counts)]
        for name, *counts in zip(found.classes, *found.counts.values(), strict=True)
    ]
    if len(rows) > CLASSES:
        order = sorted(range(len(rows)), key=lambda label: sum(counts[label] for counts in found.counts.values()))
        shown = sorted(order[: CLASSES // 2] + order[-CLASSES // 2 :])
        rows = [rows[label] for label in shown]
    rows.append(["all", *(f"{sum(counts):,}" for counts in found.counts.values())])
    splits = [f"{split} (carved)" if split in found.carved else split for split in found.counts]
    display.line(found.summary)
    display.table(f"Images{_more(len(found.classes), CLASSES)}", ("class", *splits), rows, numbers=splits)


def _more(count: int, shown: int) -> str:
    return f"; {shown} are shown, --json has all" if count > shown else ""
