"""The rules that a run was trained under: recorded when it starts, with all in which it goes beyond them."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from pydantic import BaseModel, TypeAdapter

from shoestring.core.errors import ShoestringError
from shoestring.core.outside import shipped_specs
from shoestring.core.run import Run
from shoestring.model.load import recipe_of
from shoestring.recipes.recipe import ShippedTask
from shoestring.recipes.rules import Rules, rules

FILE = "rules.json"
GENERATORS = [kind for kind, spec in shipped_specs(ShippedTask).items() if getattr(spec, "generator_net", None)]
"""Kinds of tasks that make images; those of the user's own classify."""


class _Kept(BaseModel):
    """What is read of the record: departures are found anew."""

    rules: dict[str, Any]


_KEPT = TypeAdapter[_Kept | None](_Kept)


def record_rules(run: Run, given: Rules, departures: Sequence[str]) -> None:
    """Keeps the rules in force, and the departures from them, in a run."""
    run.write_json(FILE, {"rules": given.model_dump(mode="json"), "departures": list(departures)})


def said(departures: Sequence[str], name: str) -> list[str]:
    """A sentence for each departure from rules of a name."""
    return [f"departs from the rules {name!r}: {one}" for one in departures]


def rules_of(run: Run) -> Rules:
    """The rules that a run was trained under; of one that names none, those that are shipped.

    Raises:
        RunError: A file of it is damaged.
        RecipeError: Its rules are none.
    """
    kept = run.read_as(FILE, _KEPT, None)
    return Rules.from_json(kept.rules, str(run.folder / FILE)) if kept else rules()


def other_rules(run: Run) -> str:
    """A sentence on the rules of a run that are not the shipped ones, whatever they are called; else empty.

    Raises:
        As `rules_of`.
    """
    given = rules_of(run)
    if given == rules():
        return ""
    kinds = {"classifier": given.classifier, "generator": given.generator}
    allowed = [
        f"a {kind} may have {', '.join(f'{value:,} {name}' for name, value in limits if value is not None)}"
        for kind, limits in kinds.items()
        if limits is not None
    ]
    return f"held against the rules {given.name!r}, which are not the shipped ones: {'; '.join(allowed)}"


def trains_generator(recipe: Mapping[str, Any]) -> bool:
    """Whether the plain values of a recipe, which need not be valid, train a generator of images."""
    task = recipe.get("task")
    return isinstance(task, dict) and cast("dict[str, Any]", task).get("kind") in GENERATORS


def departures_of(run: Run) -> list[str]:
    """A sentence for each departure of a run from its rules; of a run that names none, from those that are shipped.

    They are found anew, whatever the record says. Of a run whose code may not run, they are those of its budget.

    Raises:
        As `rules_of`.
    """
    given = rules_of(run)
    try:
        found = given.departures(recipe_of(run))
    except ShoestringError:
        values = run.read_recipe()
        budget = values.get("budget")
        limits = cast("dict[str, Any]", budget) if isinstance(budget, dict) else {}
        found = given.beyond(limits, makes_images=trains_generator(values))
    return said(found, given.name)
