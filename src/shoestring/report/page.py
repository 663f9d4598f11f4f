"""The report: one self-contained HTML file about one run or several."""

from collections.abc import Sequence
from pathlib import Path

from shoestring.core.atomic_files import write_atomic
from shoestring.core.errors import RunError
from shoestring.core.run import Run
from shoestring.report.comparison import compare
from shoestring.report.format import integer, interval, large, percent
from shoestring.report.run_data import Reader, read
from shoestring.report.run_section import run_section
from shoestring.report.templates import rendered


def build(runs: Sequence[Run], file: Path, reader: Reader | None = None) -> Path:
    """The file, after the report was written to it: a full page on one run, or several runs side by side.

    The page needs nothing but itself: styles, charts and pictures are inside. It depends on the runs alone, so the
    same runs give the same bytes. Parts that a run does not have yet are left out.

    Args:
        runs: What to report on, at least one.
        file: Where to write; replaced when it exists.
        reader: Gives what is known of each beyond its files.

    Raises:
        RunError: There are no runs, a folder is no run, or a file in it is damaged.
    """
    if not runs:
        raise RunError("a report needs at least one run; give the folder that `train` wrote")
    run_data = read(runs, reader)
    filters = {"integer": integer, "interval": interval, "large": large, "percent": percent}
    sections = [run_section(one, f"run-{number}") for number, one in enumerate(run_data, start=1)]
    comparison = compare(run_data) if len(run_data) > 1 else None
    return write_atomic(file, rendered("page.html", filters, sections=sections, comparison=comparison))
