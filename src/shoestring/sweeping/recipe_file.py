"""The best point as a recipe file that is ready to train."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from shoestring.core.atomic_files import write_atomic
from shoestring.core.outside import is_outside
from shoestring.recipes import RECIPES
from shoestring.recipes.lookup import METADATA_FIELDS
from shoestring.recipes.recipe import Recipe, parts_of


def write_recipe_file(recipe: Recipe, file: Path, comment: str) -> Path:
    """The file, after a recipe was written to it: only in what it differs from the shipped one it stands on, if any.

    Args:
        recipe: What it says.
        file: Where, ending in .toml; code of the user's own is looked for in the folder "source" beside it.
        comment: A line or more for those who read it.
    """
    base = recipe.name if recipe.name in RECIPES else recipe.base
    values = recipe.to_json()
    for part, spec in parts_of(recipe).items():
        if is_outside(spec):
            values[part].pop("source", None)  # the file beside it is the one that is meant
    if base in RECIPES:
        shipped = RECIPES[base]().to_json()
        kept = ("name",) if recipe.name != base else ()
        told = {key: value for key, value in values.items() if key not in METADATA_FIELDS or key in kept}
        values = {"base": base} | _differing(told, shipped)
    said = "".join(f"# {line}\n" for line in comment.splitlines())
    return write_atomic(file, (said + toml(values)).encode())


def toml(values: Mapping[str, Any]) -> str:
    """Plain JSON values as TOML; None, which TOML does not know, is left out."""
    return "\n".join(_table(values, ())).lstrip("\n") + "\n"


def _table(values: Mapping[str, Any], path: tuple[str, ...]) -> list[str]:
    plain = [
        f"{_key(key)} = {_value(value)}" for key, value in values.items() if not _is_table(value) and value is not None
    ]
    lines = [f"\n[{'.'.join(map(_key, path))}]", *plain] if path and plain else plain
    for key, value in values.items():
        if _is_table(value):
            lines += _table(value, (*path, key))
    return lines


def _is_table(value: Any) -> bool:
    return isinstance(value, Mapping) and bool(cast(Mapping[str, Any], value))


def _key(key: str) -> str:
    return key if key.replace("_", "").replace("-", "").isalnum() and key.isascii() else _value(key)


def _value(value: Any) -> str:
    if isinstance(value, list | tuple):
        return f"[{', '.join(_value(item) for item in cast(list[Any], value) if item is not None)}]"
    if isinstance(value, Mapping):
        pairs = cast(Mapping[str, Any], value).items()
        return "{" + ", ".join(f"{_key(key)} = {_value(inner)}" for key, inner in pairs if inner is not None) + "}"
    return json.dumps(value).replace("\x7f", "\\u007f")


def _differing(values: Mapping[str, Any], there: Mapping[str, Any]) -> dict[str, Any]:
    """What differs; of a part of another kind all of it."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        old = there.get(key)
        if value == old:
            continue
        alike = isinstance(value, Mapping) and isinstance(old, Mapping) and value.get("kind") == old.get("kind")  # pyright: ignore
        found[key] = _differing(cast(Mapping[str, Any], value), cast(Mapping[str, Any], old)) if alike else value
    return found
