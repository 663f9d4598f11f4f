"""The table of a generator sampled in several ways, from what `shoestring evaluate NAME … --json` printed."""

import json
from typing import Any

from pages.runs import ROOT
from pages.tables import Table, score
from shoestring import api
from shoestring.recipes.recipe import Learning
from shoestring.report.facts import Measure
from shoestring.report.wording import integer
from shoestring.tasks.adversarial import Adversarial
from shoestring.tasks.critic_sampling import CriticSampling
from shoestring.tasks.flow import Flow
from shoestring.tasks.samplers import Sampling

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
        cells = [f"`{name}`", str(task.evaluations), words(task), told, facts["split"], n, *map(score, scores)]
        rows.append((name, task.evaluations, cells))
    columns = ("generator", "net calls", "how", "told the class", "split", "n", *SHOWN.values())
    return columns, [cells for _, _, cells in sorted(rows)]


def sampled(name: str, options: dict[str, Any]) -> Learning:
    """The task that made the images: as the recipe of a name says but for the options."""
    known = (*Sampling.model_fields, *CriticSampling.model_fields)
    own = {field: value for field, value in options.items() if field in known}
    return api.recipe(name, **({"task": {"sampling": own}} if own else {})).task


def words(task: Learning) -> str:
    """How images are made in short: solver, steps, grid and guidance, or what its discriminator does."""
    if isinstance(task, Adversarial):
        how, said = task.sampling, list[str]()
        if how.candidates > 1:
            said.append(f"{how.candidates} candidates, chosen at temperature {how.temperature:g}")
        if how.refinements:
            said.append(f"{how.refinements} refinements of {how.step_size:g}")
        return ", ".join(said) or "one call"
    if not isinstance(task, Flow):
        return "one call"
    how = task.sampling
    said = f"{how.solver}, {how.steps} steps from {how.span[1]:g} to {how.span[0]:g}"
    if how.guidance == 1:
        return said
    where = f" between {how.interval[0]:g} and {how.interval[1]:g}" if how.interval != (0.0, 80.0) else ""
    return f"{said}, guidance {how.guidance:g}{where}"


def measure(facts: dict[str, Any], start: str) -> Measure | None:
    """The first score whose name starts so, whatever features it is of."""
    return next(
        (Measure(facts["split"], name, facts[name]["value"], facts[name]) for name in facts if name.startswith(start)),
        None,
    )
