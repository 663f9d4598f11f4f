"""Reports of runs."""

from collections.abc import Sequence
from pathlib import Path

from shoestring.core.run import Run
from shoestring.model.load import file_name, is_fixed, open_run, whole_recipe
from shoestring.model.metrics_origin import metrics_origin
from shoestring.model.run_rules import departures_of, other_rules


def write_report(runs: Sequence[Run | Path | str], file: Path | None = None) -> Path:
    """One self-contained HTML page about one run, or several side by side.

    Args:
        runs: Runs, their folders, or names of shipped weights.
        file: Where to write; by default report.html in the first run's folder, or NAME.html here for what is
            shipped or packed.

    Raises:
        RunError: There is no such run, or its folder may not be written to.
    """
    from shoestring.report.page import build  # matplotlib takes a second to import: only when a page is asked for
    from shoestring.report.run_data import Reader

    homes = [what if isinstance(what, Run) else open_run(what) for what in runs]
    first = homes[0]
    if file is None and is_fixed(first):
        file = Path(f"{file_name(first)}.html")
    elif file is None:
        first.require_writable("name the file to write with --out")
    return build(homes, file or first.report_file, Reader(whole_recipe, departures_of, other_rules, metrics_origin))
