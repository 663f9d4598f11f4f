"""The plan of a sweep: what is varied, how points are searched, and that all of it fits before anything is trained."""

import json
import math
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal, Self, cast

import torch
from pydantic import BeforeValidator, ConfigDict, Field, NonNegativeInt, PositiveInt, ValidationError, model_validator

from shoestring.core.config import Spec, did_you_mean, explain
from shoestring.core.errors import RecipeError, ShoestringError
from shoestring.core.rng import generator
from shoestring.data.dataset import holds_out
from shoestring.evaluation.extractors import CLASSIFIER
from shoestring.model.build import build, count
from shoestring.recipes import RECIPES
from shoestring.recipes.lookup import SWEEP
from shoestring.recipes.lookup import recipe as recipe_with
from shoestring.recipes.recipe import NOT_FINGERPRINTED, Recipe
from shoestring.sweeping.space import (
    Axis,
    Choices,
    Point,
    Range,
    choices,
    fields_of,
    flattened,
    nested,
    number_range,
)

MOST_POINTS = 10_000  # of a grid; more would take years
NEW_SEEDS = 1000  # added to the recipe's seed, for trainings that confirm a choice
DRAWS = 100  # random points to look at for each that is wanted: where choices are few, the same ones come again

Search = Literal["grid", "random", "tpe", "gp", "cma-es"]
Pruner = Literal["none", "median", "halving"]
Measure = Literal["accuracy", "balanced_accuracy", "loss", "cifar_resnet_fd"]
LARGER_IS_BETTER: Mapping[str, bool] = {
    "accuracy": True,
    "balanced_accuracy": True,
    "loss": False,
    "cifar_resnet_fd": False,
}
UNTOUCHED: Mapping[str, str] = {
    "seed": "every point is trained with the same seeds: --seeds 3",
    "data.tune": "points are compared on the tune split, which must be the same for all",
    "name": "it changes nothing that is learnt",
    **dict.fromkeys(NOT_FINGERPRINTED, "it changes nothing that is learnt"),
}
"""Fields that no sweep varies, and why."""


def _grid(values: Any) -> Any:
    """Choices in one form, however they were written."""
    if not isinstance(values, Mapping):
        return values
    axes = [choices(name, given) for name, given in flattened(cast(Mapping[str, Any], values)).items()]
    return {axis.name: [row[0] if len(row) == 1 else list(row) for row in axis.rows] for axis in axes}


def _over(values: Any) -> Any:
    if not isinstance(values, Mapping):
        return values
    given = flattened(cast(Mapping[str, Any], values))
    return {number_range(name, text).name: str(text).strip() for name, text in given.items()}


class Plan(Spec):
    """What a sweep varies and how it searches."""

    model_config = ConfigDict(title="[sweep]")

    grid: Annotated[dict[str, Any], BeforeValidator(_grid)] = Field(default_factory=dict[str, Any])
    """By dotted field, the values to try; several fields with commas between change together."""
    over: Annotated[dict[str, str], BeforeValidator(_over)] = Field(default_factory=dict[str, str])
    """By dotted field, the range to draw numbers from: LOW..HIGH or LOW..HIGH:log."""
    search: Search | None = None
    """How points are chosen. By default every point of the grid, or random ones where there is a range. tpe, gp and
    cma-es are samplers of Optuna."""
    trials: PositiveInt | None = None
    """How many points to try, unless all of a grid."""
    seeds: Annotated[int, Field(ge=1, le=NEW_SEEDS)] = 1
    """Trainings of each point."""
    confirm: NonNegativeInt = 3
    """Trainings of the best point with new seeds, so that having been chosen does not flatter it."""
    measure: Measure | None = None
    """What to choose by, on the tune split. By default accuracy; of generators cifar_resnet_fd."""
    prune: Pruner = "none"
    """Stop trainings that are behind others at equal steps, by a pruner of Optuna."""

    @model_validator(mode="after")
    def _fits(self) -> Self:
        axes = self.axes
        if not axes:
            raise RecipeError("nothing varies: give --grid FIELD=VALUE,VALUE or --over FIELD=LOW..HIGH")
        fields = [field for axis in axes for field in axis.fields]
        for field in fields:
            if whole := next((one for one in fields if field.startswith(f"{one}.")), None):
                raise RecipeError(f"{field} is a part of {whole}, which varies as a whole")
            if fields.count(field) > 1:
                raise RecipeError(f"{field} varies twice")
        searched, ranges = self.searched, [axis.name for axis in axes if isinstance(axis, Range)]
        if searched == "grid" and ranges:
            raise RecipeError(f"{ranges[0]} is a range, of which no grid has all points; take --search random or tpe")
        if searched == "grid" and self.trials:
            raise RecipeError("a grid tries all its points; leave --trials out, or take --search random")
        if searched != "grid" and not self.trials:
            raise RecipeError(f"say how many points --search {searched} is to try: --trials 40")
        if self.prune != "none" and searched in ("grid", "random"):
            raise RecipeError(f"--prune {self.prune} is Optuna's and goes with its samplers: --search tpe")
        return self

    @property
    def axes(self) -> list[Axis]:
        """What varies, in the order it was given."""
        found: list[Axis] = [choices(name, values) for name, values in self.grid.items()]
        return found + [number_range(name, text) for name, text in self.over.items()]

    @property
    def searched(self) -> Search:
        """How points are chosen."""
        return self.search or ("random" if self.over else "grid")

    def measured(self, recipe: Recipe) -> Measure:
        """What points are compared by.

        Raises:
            RecipeError: The recipe's task has no such measure.
        """
        found = self.measure or ("cifar_resnet_fd" if recipe.makes_images else "accuracy")
        if recipe.makes_images != (found == "cifar_resnet_fd"):
            what = "a generator: cifar_resnet_fd" if recipe.makes_images else "a classifier: accuracy, loss"
            raise RecipeError(f"--measure {found} is not measured of {what} is")
        return found


def plan(table: Mapping[str, Any], **options: Any) -> Plan:
    """A plan from a file's table and options on top of it.

    Args:
        table: Fields of `Plan`.
        options: The same; None leaves the table's. Entries of grid and over come to those of the table, and replace
            what varies the same fields there.

    Raises:
        RecipeError: A key is unknown or a value out of range, or parts do not fit.
    """
    values = dict(table) | {key: value for key, value in options.items() if value is not None}
    new = {part: flattened(options.get(part) or {}) for part in ("grid", "over")}
    replaced = {field for names in new.values() for name in names for field in fields_of(name)}
    for part in new:
        there = table.get(part, {})
        if isinstance(there, Mapping):  # anything else is refused below
            kept = flattened(cast(Mapping[str, Any], there))
            values[part] = {name: kept[name] for name in kept if not replaced & set(fields_of(name))} | new[part]
    try:
        return Plan.model_validate(values)
    except ValidationError as error:
        raise RecipeError(f"the sweep is not valid:\n{explain(error)}") from error


def table_of(file: Path) -> dict[str, Any]:
    """The plan in a recipe file, as it says it; empty where there is none."""
    if file.suffix not in (".toml", ".json"):
        return {}
    text = file.read_text(encoding="utf-8-sig")
    values: Any = tomllib.loads(text) if file.suffix == ".toml" else json.loads(text)
    found: Any = cast(dict[str, Any], values).get(SWEEP, {}) if isinstance(values, dict) else {}
    if not isinstance(found, dict):
        raise RecipeError(f"{file}: {SWEEP} is a table: [{SWEEP}]")
    return cast(dict[str, Any], found)


def recipe_at(base: Recipe, point: Point, seed: int | None = None) -> Recipe:
    """The recipe of one point.

    Args:
        base: The recipe that is varied.
        point: What differs.
        seed: Its seed; by default the base's.

    Raises:
        ShoestringError: The values do not fit; names the point.
    """
    try:
        return recipe_with(base, **nested(point), **({} if seed is None else {"seed": seed}))
    except ShoestringError as error:
        raise type(error)(f"{spoken(point)}: {error}") from error


def spoken(point: Mapping[str, Any]) -> str:
    """A point in one line: "batch_size 64, optimiser.weight_decay 0.0001"."""
    return ", ".join(f"{field} {_short(value)}" for field, value in point.items()) or "the recipe as it is"


def _short(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else value if isinstance(value, str) else json.dumps(value)


def known_points(plan: Plan, seed: int) -> list[Point]:
    """All points of a grid, or the random ones, which are a function of the seed and their number.

    Raises:
        RecipeError: A grid has too many points, or there are fewer different ones than are to be drawn.
    """
    axes = plan.axes
    if plan.searched == "grid":
        rows = [axis.points() for axis in axes if isinstance(axis, Choices)]
        size = math.prod(map(len, rows))
        if size > MOST_POINTS:
            raise RecipeError(f"the grid has {size:,} points; take --search random --trials 40, or fewer values")
        return [_joined(parts) for parts in product(*rows)]
    wanted = plan.trials or 0
    found: dict[str, Point] = {}
    for draw in range(DRAWS * wanted):
        point = _drawn(axes, seed, draw)
        found.setdefault(json.dumps(point, default=str), point)
        if len(found) == wanted:
            return list(found.values())
    raise RecipeError(f"there seem to be no {wanted:,} different points, only {len(found):,}; lower --trials")


def _drawn(axes: Sequence[Axis], seed: int, draw: int) -> Point:
    places = torch.rand(len(axes), generator=generator(seed, "sweep", draw), dtype=torch.float64)
    return _joined([axis.draw(float(place)) for axis, place in zip(axes, places, strict=True)])


def _joined(parts: Sequence[Point]) -> Point:
    return {field: value for part in parts for field, value in part.items()}


def require_whole(plan: Plan, base: Recipe) -> list[Point]:
    """The points that are known beforehand, once everything is known to fit; nothing is trained or written.

    Raises:
        RecipeError: A field is unknown, a value out of range, or parts do not fit; names the point.
        OverBudgetError: The nets of a point are over its budget.
    """
    if not holds_out(base.data):
        raise RecipeError("a sweep chooses on the tune split, and data.tune is 0; hold images out: --data.tune 5000")
    plan.measured(base)
    judged = RECIPES[CLASSIFIER]().data.shape
    if base.makes_images and base.data.shape != judged:
        raise RecipeError(
            f"a sweep compares generators by cifar_resnet_fd, which is of images of {_by(judged)}; those of "
            f"{base.name} are {_by(base.data.shape)}"
        )
    for axis in plan.axes:
        for field in axis.fields:
            _require_field(base, field)
    fixed = plan.searched in ("grid", "random")
    points = known_points(plan, base.seed) if fixed else []
    counted: set[str] = set()
    for point in points if fixed else _corners(plan):
        _require_affordable(recipe_at(base, point), point, counted)
    return points


def _by(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape))


def _corners(plan: Plan) -> Iterator[Point]:
    """For points that are not known yet: the ends of each axis, the others at their first."""
    first = _joined([axis.ends()[0] for axis in plan.axes])
    for axis in plan.axes:
        for end in axis.ends():
            yield first | end


def _require_field(base: Recipe, field: str) -> None:
    if why := next((UNTOUCHED[key] for key in UNTOUCHED if field == key or field.startswith(f"{key}.")), None):
        raise RecipeError(f"{field} cannot vary: {why}")
    names = flattened(base.to_json())
    parts = {name.rsplit(".", depth)[0] for name in names for depth in range(1, name.count(".") + 1)}
    if field not in names.keys() | parts:
        raise RecipeError(did_you_mean(f"field of {base.name}", field, names))


def _require_affordable(recipe: Recipe, point: Point, counted: set[str]) -> None:
    """Admits a point's nets to its budget; nets that were admitted to it before are not built again."""
    data = recipe.data
    key = json.dumps([recipe.net.model_dump(mode="json"), data.shape, len(data.classes), recipe.budget.model_dump()])
    if key in counted:
        return
    counted.add(key)
    if recipe.budget.limits_device or count(recipe) > recipe.budget.parameters:
        try:
            build(recipe)  # which says by how much, with the layer table
        except ShoestringError as error:
            raise type(error)(f"{spoken(point)}: {error}") from error
