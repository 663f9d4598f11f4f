"""What the user's own folder of images was like when the training began."""

from dataclasses import dataclass

from shoestring.report.format import integer
from shoestring.report.run_data import RunData

LISTED = 20  # classes, and files


@dataclass(frozen=True)
class OwnImages:
    """The folder, worded for the template.

    Attributes:
        summary: The folder in a line.
        splits: Names of the columns.
        rows: Class and images by split; of many classes those with the fewest.
        left_out: How many classes are not in `rows`.
        details: Name and value of what else is known.
        warnings: What looked wrong.
        files: Files that were not used, with the reason.
        more_files: How many more there are.
    """

    summary: str
    splits: list[str]
    rows: list[tuple[str, list[str]]]
    left_out: int
    details: list[tuple[str, str]]
    warnings: list[str]
    files: list[tuple[str, str]]
    more_files: int


def own_images(run_data: RunData) -> OwnImages | None:
    """What is known of the folder; None for a run of other data."""
    seen = run_data.inspection
    if seen is None:
        return None
    columns = list(zip(*seen.counts.values(), strict=True))
    order = sorted(range(len(columns)), key=lambda label: (sum(columns[label]), label))[:LISTED]
    sides = [f"{side[0]:,} to {side[2]:,}, median {side[1]:,}" for side in (seen.widths, seen.heights)]
    unused = [(one.path, one.reason) for one in [*seen.bad, *seen.passed_over]]
    return OwnImages(
        summary=f"{integer(seen.total)} images of {integer(len(seen.classes))} classes in {seen.folder}.",
        splits=[f"{split} (carved)" if split in seen.carved else split for split in seen.counts],
        rows=[(seen.classes[label], [integer(count) for count in columns[label]]) for label in order],
        left_out=len(columns) - len(order),
        details=[
            ("formats", ", ".join(f"{form} {count:,}" for form, count in seen.formats.items())),
            ("widths", sides[0]),
            ("heights", sides[1]),
        ],
        warnings=seen.warnings,
        files=unused[:LISTED],
        more_files=max(len(unused) - LISTED, 0),
    )
