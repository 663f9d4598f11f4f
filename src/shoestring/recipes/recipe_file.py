"""Recipes as TOML files that people read and change."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import tomli_w

from shoestring.core.config import counting
from shoestring.core.run import write_atomic
from shoestring.recipes.recipe import Recipe


def write_recipe(recipe: Recipe, file: Path, comment: Sequence[str] = ()) -> Path:
    """The file, after a recipe was written to it: what differs from the defaults; `recipe(file)` gives it back.

    Args:
        recipe: What is written.
        file: Where to; ends in .toml.
        comment: Lines that come first.
    """
    counted = counting(recipe)
    values = {key: counted[key] for key in type(recipe).model_fields if key in counted}
    head = "".join(f"# {line}".rstrip() + "\n" for line in comment)
    text = tomli_w.dumps(_without_none(values))
    return write_atomic(file, (f"{head}\n{text}" if head else text).encode())


def _without_none(values: dict[str, Any]) -> dict[str, Any]:
    """The values without None, which TOML does not have, and which is what such a field has by default."""
    return {
        key: _without_none(cast(dict[str, Any], value)) if isinstance(value, dict) else value
        for key, value in values.items()
        if value is not None
    }
