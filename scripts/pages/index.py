"""What is known of recipes without torch: the rows of `list`, options of the command line, files that `new` writes."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pages.runs import ROOT
from shoestring.cli.overview import measured_result, overview
from shoestring.core.config import Spec
from shoestring.core.run import Run
from shoestring.recipes import RECIPES
from shoestring.recipes.recipe_file import commented
from shoestring.zoo import index


def contents() -> dict[Path, str]:
    """The files of the index, and what they should hold."""
    recipes = {name: make() for name, make in RECIPES.items()}
    rules, rows = overview()
    values = {
        "rules": rules.model_dump(mode="json"),
        "recipes": [measured(row) for row in rows],
        "options": {name: sorted(options(recipe)) for name, recipe in recipes.items()},
    }
    found = {index.FILE: json.dumps(values, indent=1) + "\n"}
    return found | {index.TEMPLATES / f"{n}.toml": commented(r, index.NAME) for n, r in recipes.items()}


def measured(row: dict[str, Any]) -> dict[str, Any]:
    """The row of a recipe whose weights are not shipped with what its kept run measured, where there is one."""
    found = None if row["measured"] else measured_result(Run(ROOT / "results" / row["recipe"]))
    return row | {"measured": found, "measured_text": found["text"]} if found else row


def options(spec: Spec, path: str = "") -> Iterator[str]:
    """The options of the command line for the fields of a recipe or a part of it."""
    for name in type(spec).model_fields:
        value = getattr(spec, name)
        if isinstance(value, Spec):
            yield from options(value, f"{path}{name}.")
        elif isinstance(value, dict):  # schedules, by field; all of their options are known only once torch is
            for field, schedule in value.items():
                yield from options(schedule, f"{path}{name}.{field}.")
        else:
            yield f"--{path}{name}".replace("_", "-")
            if isinstance(value, bool):
                yield f"--{path}no-{name}".replace("_", "-")


def stale_index(check: bool) -> list[str]:
    """The files of the index that are out of date; rewritten unless it is only a check."""
    stale = [
        file for file, text in contents().items() if not file.is_file() or file.read_text(encoding="utf-8") != text
    ]
    for file in stale if not check else ():
        file.parent.mkdir(exist_ok=True)
        file.write_text(contents()[file], encoding="utf-8")
    return [file.name for file in stale]
