"""What every spec of a recipe shares: frozen, strict about keys, plain JSON in and out."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self, TypeGuard, cast

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from pydantic.fields import FieldInfo

from shoestring.core.did_you_mean import did_you_mean as did_you_mean
from shoestring.core.errors import RecipeError
from shoestring.core.html import flat, table


class Spec(BaseModel):
    """A frozen, validated piece of a recipe.

    Field docstrings are the help texts of the command line. Unknown keys are errors that name the nearest known key.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _name_nearest_key(cls, given: Any) -> Any:
        if isinstance(given, dict):
            what = f"key of {cls.model_config.get('title', cls.__name__)}"
            for key in given:  # pyright: ignore[reportUnknownVariableType]
                if key not in cls.model_fields:
                    raise ValueError(did_you_mean(what, str(key), cls.model_fields))  # pyright: ignore[reportUnknownArgumentType]
        return given  # pyright: ignore[reportUnknownVariableType]

    def replace(self, **fields: Any) -> Self:
        """This spec with other values, validated as a whole.

        Args:
            fields: The values. A dict replaces fields of a nested spec; a dict of another `kind`, or a spec, all of it.

        Raises:
            RecipeError: A key is unknown, a value out of range, or parts do not fit.
        """
        try:
            return self.model_validate(merged(self.model_dump(), fields))
        except ValidationError as error:
            raise RecipeError(f"these values do not fit into {type(self).__name__}:\n{explain(error)}") from error

    def _repr_html_(self) -> str:
        """The fields as a table, in notebooks."""
        values = self.model_dump(mode="json")
        return table(str(values.get("name") or type(self).__name__), ("field", "value"), flat(values))


def merged(values: Mapping[str, Any], fields: Mapping[str, Any]) -> dict[str, Any]:
    """Values with those of some fields replaced; dicts of one kind field by field."""
    found = dict(values)
    for key, value in fields.items():
        there: Any = found.get(key)
        found[key] = merged(there, value) if fits_into(value, there) else value
    return found


def fits_into(value: Any, there: Any) -> bool:
    """Whether both are dicts of one kind, so that the fields of one can replace some of the other's."""
    if not (isinstance(value, dict) and isinstance(there, dict)):
        return False
    fields, known = cast(dict[str, Any], value), cast(dict[str, Any], there)
    return "kind" not in fields or fields["kind"] == known.get("kind")


def explain(error: ValidationError) -> str:
    """A validation error as one line per problem, with the dotted key and the remedy."""
    lines: list[str] = []
    for problem in error.errors():
        key = ".".join(str(part) for part in problem["loc"])
        lines.append(f"  {key + ': ' if key else ''}{problem['msg'].removeprefix('Value error, ')}")
    return "\n".join(lines)


@dataclass(frozen=True)
class FirstDefault:
    """Marks a field whose default was once another: `Annotated[int, FirstDefault(3)] = 5`. See `counting`."""

    value: Any


def counting(spec: Spec, *, today: bool = False) -> dict[str, Any]:
    """What a fingerprint is made of: `kind`, and all that is not at its first default, as plain JSON values.

    So a field that a new version adds changes nothing, and a default that a new version changes counts from then on.

    Args:
        spec: A recipe or a part of one.
        today: Leave out what is at today's default in place of the first one: what is left gives the spec back.
    """
    plain, found = spec.model_dump(mode="json"), dict[str, Any]()
    for name, field in type(spec).model_fields.items():
        value, default = getattr(spec, name), field.get_default(call_default_factory=True)
        if name == "kind":
            found[name] = plain[name]
        elif isinstance(value, Spec):
            inner = counting(value, today=today)
            if inner.keys() - {"kind"} or type(value) is not type(default):
                found[name] = inner
        elif value and _are_specs(value):
            found[name] = {key: counting(one, today=today) for key, one in value.items()}
        elif value != (default if today else _first_default(field, default)):
            found[name] = plain[name]
    return found


def _first_default(field: FieldInfo, default: Any) -> Any:
    return next((mark.value for mark in field.metadata if isinstance(mark, FirstDefault)), default)


def _are_specs(value: Any) -> TypeGuard[dict[str, Spec]]:
    return isinstance(value, dict) and all(isinstance(one, Spec) for one in cast(dict[str, Any], value).values())


def changed(before: Spec, after: Spec, path: str = "") -> dict[str, tuple[Any, Any]]:
    """The fields in which two specs differ, as dotted names with (before, after)."""
    differences: dict[str, tuple[Any, Any]] = {}
    for name in type(after).model_fields:
        old, new = getattr(before, name, None), getattr(after, name)
        dotted = f"{path}{name}"
        if isinstance(old, Spec) and isinstance(new, Spec) and type(old) is type(new):
            differences |= changed(old, new, f"{dotted}.")
        elif _are_specs(old) and _are_specs(new):
            for key in dict.fromkeys((*old, *new)):
                one, other = old.get(key), new.get(key)
                if one is not None and other is not None and type(one) is type(other):
                    differences |= changed(one, other, f"{dotted}.{key}.")
                elif one != other:
                    differences[f"{dotted}.{key}"] = (one, other)
        elif old != new:
            differences[dotted] = (old, new)
    return differences
