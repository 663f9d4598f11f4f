"""What a sweep found, as plain JSON values: what the table, the page and `--json` show."""

import json
from collections.abc import Hashable, Sequence
from typing import Any

from shoestring.optim.lr_schedule import Constant
from shoestring.recipes.recipe import Recipe
from shoestring.sweeping.board import Board, Row
from shoestring.sweeping.folder import SweepFolder
from shoestring.sweeping.importance import main_effect, quantile_groups
from shoestring.sweeping.plan import LARGER_IS_BETTER
from shoestring.sweeping.space import Axis, Point, Range, flattened

FEW_SEEDS = (
    "each point was trained once, so its measure has no interval: the luck of a seed is part of every difference"
)
OTHER_IMAGES = (
    "the trainings were not measured on the same tune images, so points cannot be compared: is the data folder another "
    "one on some machine?"
)
SAME_IMAGES = (
    "the seeds of the confirmation are new, but its tune images are those that the choice was made by, which may still "
    "flatter it a little. The test split was not looked at"
)


def results(board: Board) -> dict[str, Any]:
    """What a sweep found so far; points in order of rank, those that have none at the end."""
    folder, rows, confirmation = board.folder, board.rows(), board.confirmation()
    best, larger = board.best(), LARGER_IS_BETTER[board.folder.measure]
    ranked = sorted(rows, key=lambda row: _rank(row, larger))
    everything = [*rows, *([confirmation] if confirmation else [])]
    return {
        "recipe": folder.recipe.name,
        "fingerprint": folder.recipe.fingerprint(),
        "complete": board.complete(),
        "measure": folder.measure,
        "larger_is_better": larger,
        "split": "tune",
        "search": folder.plan.searched,
        "prune": folder.plan.prune,
        "seeds": folder.plan.seeds,
        "axes": [_axis(axis, folder.recipe) for axis in folder.plan.axes],
        "points": [_point(folder, row) for row in ranked],
        "best": best.number if best else None,
        "confirmation": _point(folder, confirmation) if confirmation else None,
        "importance": _importance(folder.plan.axes, rows),
        "cost": _cost(everything, folder.recipe),
        "notes": _notes(folder, everything),
    }


def _rank(row: Row, larger_is_better: bool) -> tuple[bool, float, int]:
    if row.metric is None:
        return (True, 0.0, row.number)
    return (False, -row.metric.value if larger_is_better else row.metric.value, row.number)


def _point(folder: SweepFolder, row: Row) -> dict[str, Any]:
    trainings = zip(row.trainings, row.outcomes, strict=True)
    return {
        "number": row.number,
        "fields": row.point,
        "state": row.state,
        "reason": row.reason,
        "metric": row.metric.to_json() if row.metric else None,
        "trainings": [
            {
                "run": str(folder.run(training).folder.relative_to(folder.folder)),
                "seed": training.seed,
                **vars(outcome),
            }
            for training, outcome in trainings
        ],
    }


def _axis(axis: Axis, recipe: Recipe) -> dict[str, Any]:
    known = flattened(recipe.to_json())
    return {
        "name": axis.name,
        "fields": list(axis.fields),
        "range": isinstance(axis, Range),
        "log": isinstance(axis, Range) and axis.log,
        "base": {field: known[field] for field in axis.fields if field in known},
    }


def _importance(axes: Sequence[Axis], rows: Sequence[Row]) -> dict[str, float | None]:
    """By axis, how much of the difference between finished points it explains by itself."""
    finished = [(row.point, float(row.metric.value)) for row in rows if row.metric is not None]
    points, values = [point for point, _ in finished], [value for _, value in finished]
    return {axis.name: main_effect(_groups(axis, points), values) for axis in axes}


def _groups(axis: Axis, points: Sequence[Point]) -> Sequence[Hashable]:
    if isinstance(axis, Range):
        return quantile_groups([float(point[axis.name]) for point in points])
    return [json.dumps([point[field] for field in axis.fields]) for point in points]


def _cost(rows: Sequence[Row], recipe: Recipe) -> dict[str, Any]:
    outcomes = [outcome for row in rows for outcome in row.outcomes if outcome.state != "open"]
    return {
        "steps": sum(outcome.step for outcome in outcomes),
        "seconds": round(sum(outcome.seconds for outcome in outcomes), 1),
        "trainings": len(outcomes),
        "failed": sum(outcome.state == "failed" for outcome in outcomes),
        "pruned": sum(outcome.state == "pruned" for outcome in outcomes),
        "steps_of_one": recipe.budget.steps,
    }


def _notes(folder: SweepFolder, rows: Sequence[Row]) -> list[str]:
    """What a reader must know to read the table rightly."""
    plan, notes = folder.plan, list[str]()
    confirmed = any(training.confirms for row in rows for training in row.trainings)
    digests = {folder.tune_digest(training) for row in rows if row.metric for training in row.trainings}
    if len(digests - {None}) > 1:
        notes.append(OTHER_IMAGES)
    if plan.seeds == 1:
        notes.append(FEW_SEEDS)
    if confirmed:
        notes.append(SAME_IMAGES)
    if plan.prune != "none":
        notes.append(
            "trainings were stopped by what they had reached at equal steps"
            if isinstance(folder.recipe.schedule, Constant)
            else "trainings were stopped by what they had reached at equal steps, late in a schedule that lowers the "
            "learning rate: before its end, a point with a higher rate looks worse than it will be"
        )
    if plan.searched not in ("grid", "random"):
        notes.append(
            "the sampler gathers points where they are good, so the importance of fields is that near the best points"
        )
    return notes
