"""The table of a generator sampled in several ways, from what `shoestring evaluate NAME … --json` printed."""

import json
from typing import Any

from pages.runs import ROOT
from pages.tables import Table, score
from shoestring import api
from shoestring.report.format import integer
from shoestring.report.run_data import Measure
from shoestring.tasks.classification import ClassifierTask
from shoestring.tasks.flow.flow_matching import Flow
from shoestring.tasks.flow.samplers import Sampling
from shoestring.tasks.gan.discriminator_guidance import CriticSampling
from shoestring.tasks.gan.task import Adversarial

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
        facts = json.loads(file.read_text(encoding="utf-8"))
        name, options = facts["target"], facts["options"]
        task = sampled(name, options)
        scores = [measure(facts, start) for start in SHOWN]
        n = integer(next(one.n for one in scores if one))
        told = "no" if options.get("class_name") else "yes"
        cells = [f"`{name}`", str(task.evaluations), task.sampling.words, told, facts["split"], n, *map(score, scores)]
        rows.append((name, task.evaluations, cells))
    columns = ("generator", "net calls", "how", "told the class", "split", "n", *SHOWN.values())
    return columns, [cells for _, _, cells in sorted(rows)]


def sampled(name: str, options: dict[str, Any]) -> Adversarial | Flow:
    """The task that made the images: as the recipe of a name says but for the options."""
    known = (*Sampling.model_fields, *CriticSampling.model_fields)
    own = {field: value for field, value in options.items() if field in known}
    task = api.recipe(name, **({"task": {"sampling": own}} if own else {})).task
    if isinstance(task, ClassifierTask):
        raise ValueError(f"{FOLDER} has a sampling of {name}, which makes no images")
    return task


def measure(facts: dict[str, Any], start: str) -> Measure | None:
    """The first score whose name starts so, whatever features it is of."""
    return next(
        (Measure(facts["split"], name, facts[name]["value"], facts[name]) for name in facts if name.startswith(start)),
        None,
    )
