"""What a sweep varies: fields of a recipe, each with the values or the range to try."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard, cast

from shoestring.core.errors import RecipeError

Point = dict[str, Any]
"""Dotted fields of a recipe with the values that one point of a sweep gives them."""

DIGITS = 4  # of a number drawn from a range, so that recipes stay legible
RANGE = re.compile(r"(?P<low>[^:]+?)\.\.(?P<high>[^:]+?)(?P<log>:log)?")


@dataclass(frozen=True)
class Choices:
    """Values to try, of one field or of several that change together.

    Attributes:
        fields: Dotted names.
        rows: For each choice, a value of each field.
    """

    fields: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]

    @property
    def name(self) -> str:
        """The fields in one word."""
        return ",".join(self.fields)

    def points(self) -> list[Point]:
        """What each choice sets."""
        return [dict(zip(self.fields, row, strict=True)) for row in self.rows]

    def draw(self, uniform: float) -> Point:
        """The choice at a place in 0..1, 1 excluded."""
        return self.points()[int(uniform * len(self.rows))]

    def ends(self) -> list[Point]:
        """Points that show whether all of them fit: every choice."""
        return self.points()


@dataclass(frozen=True)
class Range:
    """Numbers to try of one field, from a lowest to a highest, both included.

    Attributes:
        fields: The dotted name, one.
        low: The lowest.
        high: The highest.
        log: Whether they are drawn uniformly on a logarithmic scale.
        whole: Whether only whole numbers are.
    """

    fields: tuple[str]
    low: float
    high: float
    log: bool = False
    whole: bool = False

    @property
    def name(self) -> str:
        """The field."""
        return self.fields[0]

    def draw(self, uniform: float) -> Point:
        """The number at a place in 0..1, 1 excluded."""
        low, high = self.low, self.high + 1 if self.whole else self.high
        if self.log:
            return self.point(low * (high / low) ** uniform)
        return self.point(low + uniform * (high - low))

    def point(self, number: float) -> Point:
        """What a number sets: rounded down to a whole one or to four digits, and within the range."""
        near = math.floor(number) if self.whole else float(f"{number:.{DIGITS}g}")
        within = min(max(near, self.low), self.high)
        return {self.name: int(within) if self.whole else within}

    def ends(self) -> list[Point]:
        """Points that show whether all of them fit: the lowest and the highest."""
        return [self.point(self.low), self.point(self.high)]


Axis = Choices | Range


def choices(name: str, values: Any) -> Choices:
    """Choices from what a user wrote.

    Args:
        name: A dotted field, or several with commas between, which change together.
        values: A list of values; for several fields a list of lists. Or text: values with commas between, or the list
            as JSON.

    Raises:
        RecipeError: There is no value, or not one for each field, or one is there twice.
    """
    fields = fields_of(name)
    given = _listed(values) if isinstance(values, str) else values
    if not isinstance(given, list | tuple) or not given:
        raise RecipeError(f"{name}: {values!r} are no values to try; write {name}=1,2,3 or a list")
    rows = [_row(value, len(fields)) for value in cast(Sequence[Any], given)]
    if any(len(row) != len(fields) for row in rows):
        raise RecipeError(f"{name}: each choice is a list of {len(fields)} values, such as [[1, 2], [3, 4]]")
    texts = [json.dumps(row, default=str) for row in rows]
    if twice := next((text for text in texts if texts.count(text) > 1), None):
        raise RecipeError(f"{name}: {twice[1:-1]} is there twice")
    return Choices(fields, tuple(rows))


def number_range(name: str, text: Any) -> Range:
    """A range from what a user wrote, such as "1e-4..1e-2:log" or "8..64", of whole numbers if both ends are.

    Args:
        name: A dotted field.
        text: The range.

    Raises:
        RecipeError: It is no range of numbers.
    """
    fields, found = fields_of(name), RANGE.fullmatch(str(text).strip())
    low, high = (_value(found[end]) for end in ("low", "high")) if found else (None, None)
    if found is None or len(fields) != 1 or not (_is_number(low) and _is_number(high)):
        raise RecipeError(f"{name}: {text!r} is no range of one field; write LOW..HIGH or LOW..HIGH:log")
    if not low < high:
        raise RecipeError(f"{name}: {text} is empty; write the lower end first")
    if found["log"] and low <= 0:
        raise RecipeError(f"{name}: {text}: a logarithmic scale begins above 0")
    whole = isinstance(low, int) and isinstance(high, int)
    return Range((fields[0],), low, high, bool(found["log"]), whole)


def flattened(values: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    """Nested dicts as one of dotted names."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        inside = flattened(cast(Mapping[str, Any], value), f"{path}{key}.") if isinstance(value, Mapping) else {}
        found |= inside or {f"{path}{key}": value}
    return found


def nested(point: Mapping[str, Any]) -> dict[str, Any]:
    """Dotted names as nested dicts, as a recipe takes them."""
    found: dict[str, Any] = {}
    for field, value in point.items():
        *path, last = field.split(".")
        inner = found
        for part in path:
            inner = inner.setdefault(part, {})
        inner[last] = value
    return found


def fields_of(name: str) -> tuple[str, ...]:
    """The dotted fields that a user names together, with commas between."""
    return tuple(field.strip().replace("-", "_") for field in name.split(","))


def _row(value: Any, count: int) -> tuple[Any, ...]:
    """A choice as a value for each of so many fields."""
    return tuple(cast(Sequence[Any], value)) if count > 1 and isinstance(value, list | tuple) else (value,)


def _listed(text: str) -> Any:
    if text.lstrip().startswith("["):
        return _value(text)
    return [_value(word) for word in text.split(",") if word.strip()]


def _value(text: str) -> Any:
    """A word of the command line as the value it stands for: 1e-4, true, none, or itself."""
    word = text.strip()
    try:
        return json.loads({"True": "true", "False": "false", "none": "null", "None": "null"}.get(word, word))
    except ValueError:
        pass
    try:
        return float(word)  # 1e-4 is JSON, .5 is not
    except ValueError:
        return word


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
