"""The table of a generator sampled in several ways, from what `shoestring evaluate NAME … --json` printed."""

import json
from typing import Any

from pages.runs import ROOT
from pages.tables import Table, score
from shoestring import api
from shoestring.report.format import integer
from shoestring.report.run_data import RecordedMetric

FOLDER = ROOT / "results" / "samplings"
SHOWN = {
    "fid": "FID",
    "kid": "KID",
    "precision": "precision",
    "recall": "recall",
    "effective_classes": "effective classes",
}


def samplings() -> Table:
    """A row for each file, by generator and net calls."""
    rows: list[tuple[str, int, list[str]]] = []
    for file in sorted(FOLDER.glob("*.json")):
        found = json.loads(file.read_text(encoding="utf-8"))
        name = found["target"]
        sampling = api.recipe(name, task={"sampling": found["sampling"]}).task.sampling
        if sampling is None:
            raise ValueError(f"{FOLDER} has a sampling of {name}, which makes no images")
        metrics = [metric(found, start) for start in SHOWN]
        n = integer(next(one.n for one in metrics if one))
        conditional = "no" if found["class"] == "none" else "yes"
        cells = [f"`{name}`", str(sampling.nfe), sampling.words, conditional, found["split"], n, *map(score, metrics)]
        rows.append((name, sampling.nfe, cells))
    columns = ("generator", "NFE", "how", "class given", "split", "n", *SHOWN.values())
    return columns, [cells for _, _, cells in sorted(rows)]


def metric(run_data: dict[str, Any], start: str) -> RecordedMetric | None:
    """The first score whose name starts so, whatever features it is of."""
    return next(
        (
            RecordedMetric(run_data["split"], name, run_data[name]["value"], run_data[name])
            for name in run_data
            if name.startswith(start)
        ),
        None,
    )
