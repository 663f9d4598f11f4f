"""What every spec of a recipe shares: frozen, strict about keys, plain JSON in and out."""

import difflib
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator


class Spec(BaseModel):
    """A frozen, validated piece of a recipe.

    Field docstrings are the help texts of the command line. Unknown keys are errors that name the nearest known key.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _name_nearest_key(cls, given: Any) -> Any:
        if isinstance(given, dict):
            for key in given:  # pyright: ignore[reportUnknownVariableType]
                if key not in cls.model_fields:
                    raise ValueError(unknown(f"key of {cls.__name__}", str(key), cls.model_fields))  # pyright: ignore[reportUnknownArgumentType]
        return given  # pyright: ignore[reportUnknownVariableType]


@dataclass(frozen=True)
class FirstDefault:
    """Marks a field whose default was once another: `Annotated[int, FirstDefault(3)] = 5`. See `counting`."""

    value: Any


def counting(spec: Spec) -> dict[str, Any]:
    """What a fingerprint is made of: `kind`, and all that is not at its first default, as plain JSON values.

    So a field that a new version adds changes nothing, and a default that a new version changes counts from then on.
    """
    plain, found = spec.model_dump(mode="json"), dict[str, Any]()
    for name, field in type(spec).model_fields.items():
        value, default = getattr(spec, name), field.get_default(call_default_factory=True)
        if name == "kind":
            found[name] = plain[name]
        elif isinstance(value, Spec):
            inner = counting(value)
            if inner.keys() - {"kind"} or type(value) is not type(default):
                found[name] = inner
        elif value != next((mark.value for mark in field.metadata if isinstance(mark, FirstDefault)), default):
            found[name] = plain[name]
    return found


def unknown(what: str, given: str, known: Any) -> str:
    """The sentence that says a name is unknown and which known one is nearest.

    Args:
        what: What the name should have been, such as "recipe".
        given: The name the user gave.
        known: The names that would have been understood.
    """
    names = sorted(str(name) for name in known)
    nearest = difflib.get_close_matches(given, names, n=1, cutoff=0.5)
    hint = f"did you mean {nearest[0]!r}?" if nearest else f"known: {', '.join(names)}."
    return f"unknown {what} {given!r}; {hint}"


def changed(before: Spec, after: Spec, path: str = "") -> dict[str, tuple[Any, Any]]:
    """The fields in which two specs differ, as dotted names with (before, after)."""
    differences: dict[str, tuple[Any, Any]] = {}
    for name in type(after).model_fields:
        old, new = getattr(before, name, None), getattr(after, name)
        dotted = f"{path}{name}"
        if isinstance(old, Spec) and isinstance(new, Spec) and type(old) is type(new):
            differences |= changed(old, new, f"{dotted}.")
        elif old != new:
            differences[dotted] = (old, new)
    return differences
