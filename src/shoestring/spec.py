"""What every spec of a recipe shares: frozen, strict about keys, plain JSON in and out."""

import difflib
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
