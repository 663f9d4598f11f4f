"""The table of a generator sampled in several ways, from what `shoestring evaluate NAME … --json` printed."""

import json
from typing import Any

from pages.runs import ROOT
from pages.tables import Table
from shoestring import api
from shoestring.recipes.recipe import Recipe
from shoestring.report.wording import ABSENT, integer, number
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
        recipe, options = api.recipe(facts["target"]), facts["options"]
        how = sampled(recipe, options)
        scores = [measure(facts, name) for name in SHOWN]
        n = integer(next(one["n"] for one in scores if one))
        told = "no" if options.get("class_name") else "yes"
        cells = [f"`{recipe.name}`", str(how.evaluations), words(how), told, facts["split"], n, *map(cell, scores)]
        rows.append((recipe.name, how.evaluations, cells))
    columns = ("generator", "net calls", "how", "told the class", "split", "n", *SHOWN.values())
    return columns, [cells for _, _, cells in sorted(rows)]


def sampled(recipe: Recipe, options: dict[str, Any]) -> Sampling:
    """How the images were made: as the recipe says but for the options."""
    if not isinstance(recipe.task, Flow):
        raise TypeError(f"{recipe.name} does not sample in steps")
    own = {name: value for name, value in options.items() if name in Sampling.model_fields}
    return Sampling.model_validate(recipe.task.sampling.model_dump() | own)


def words(how: Sampling) -> str:
    """Solver, steps, grid and guidance in short."""
    said = f"{how.solver}, {how.steps} steps from {how.span[1]:g} to {how.span[0]:g}"
    if how.guidance == 1:
        return said
    where = f" between {how.interval[0]:g} and {how.interval[1]:g}" if how.interval != (0.0, 80.0) else ""
    return f"{said}, guidance {how.guidance:g}{where}"


def measure(facts: dict[str, Any], name: str) -> dict[str, Any] | None:
    """The first score whose name starts so, whatever features it is of."""
    return next((value for key, value in facts.items() if key.startswith(name)), None)


def cell(score: dict[str, Any] | None) -> str:
    """A score, its deviation over samplings, and the excess over what real images get."""
    if score is None:
        return ABSENT
    spread = f" ± {number(score['deviation'], 2)}" if len(score.get("by_seed") or ()) > 1 else ""
    excess = score.get("excess")
    return f"{number(score['value'])}{spread}" + (
        f" ({'+' * (excess > 0)}{number(excess, 3)})" if excess is not None else ""
    )
