"""Numbers of a recipe that change over the steps of its training: which there are, and their values at a step."""

from collections.abc import Iterator, Mapping
from typing import Any, cast

from shoestring.core.config import Spec, did_you_mean, merged

PARTS = ("task", "augment", "optimiser")
"""The parts of a recipe whose numbers may change."""

FIXED = {
    "optimiser.learning_rate": "the recipe's own schedule is that of the learning rate",
    "task.sampling": "sampling begins when the training is over",
}


def flat(values: Any) -> Any:
    """Schedules by dotted field, however deep they were written: {"task": {"r1": {…}}} is {"task.r1": {…}}.

    What says no kind is a ramp. None takes a schedule away.
    """
    if not isinstance(values, Mapping):
        return values
    found: dict[str, Any] = {}
    for field, value in _leaves(cast(Mapping[str, Any], values)):
        found = merged(found, {field: value})
    ramp: dict[str, Any] = {"kind": "ramp"}
    return {
        field: ramp | cast(dict[str, Any], value) if isinstance(value, dict) else value
        for field, value in found.items()
        if value is not None
    }


def _leaves(values: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        inner = cast(dict[str, Any], value) if isinstance(value, dict) else {}
        if inner and "kind" not in inner and all(isinstance(one, dict | Spec | None) for one in inner.values()):
            yield from _leaves(inner, f"{path}{key}.")
        else:
            yield f"{path}{key}", value


def require_number(parts: Spec, field: str) -> None:
    """Does nothing if a recipe has a number by a dotted name that may change over the steps.

    Args:
        parts: The recipe.
        field: Such as "task.r1" or "optimiser.betas.1".

    Raises:
        ValueError: It has none; names the nearest.
    """
    for fixed, why in FIXED.items():
        if f"{field}.".startswith(f"{fixed}."):
            raise ValueError(f"{field} cannot be annealed: {why}")
    known = [name for part in PARTS for name, _ in _numbers(getattr(parts, part), part)]
    if field in known:
        return
    value: Any = parts
    for name in field.split("."):
        value = getattr(value, name, None) if isinstance(value, Spec) else None
    if isinstance(value, int):
        what = "is on or off" if isinstance(value, bool) else "is a whole number"
        raise ValueError(f"{field} {what}; only what may take any value in between can be annealed")
    raise ValueError(did_you_mean("number to anneal", field, known))


def _numbers(value: Any, path: str) -> Iterator[tuple[str, float]]:
    """The numbers in a spec that are not whole ones by their type, by dotted name."""
    if path in FIXED:
        return
    if isinstance(value, float):
        yield path, value
    elif isinstance(value, Spec):
        for name in type(value).model_fields:
            yield from _numbers(getattr(value, name), f"{path}.{name}")
    elif isinstance(value, tuple):
        for index, one in enumerate(cast(tuple[Any, ...], value)):
            yield from _numbers(one, f"{path}.{index}")


def scaled(value: Any, path: list[str], factor: float) -> Any:
    """A spec, a tuple or a number with the number at a path multiplied; specs are validated again.

    Raises:
        RecipeError: The product is out of its range.
    """
    if not path:
        return value * factor
    first, *rest = path
    if isinstance(value, tuple):
        items, index = list(cast(tuple[Any, ...], value)), int(first)
        items[index] = scaled(items[index], rest, factor)
        return tuple(items)
    return value.replace(**{first: scaled(getattr(value, first), rest, factor)})
