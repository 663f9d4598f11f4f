"""Recipes as TOML files that people read and change."""

import json
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import tomli_w

from shoestring.core.atomic_files import write_atomic
from shoestring.core.config import Spec, counting
from shoestring.core.field_docs import field_docs
from shoestring.recipes import RECIPES
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


COMMENT_WIDTH = 100  # columns of a comment


def commented(recipe: Recipe, name: str) -> str:
    """A recipe file with every field, its meaning and its value here; `recipe(file)` gives an equal recipe.

    Of a shipped recipe, which the file names as its base, all fields are commented out: a line counts once its # is
    gone. Of another recipe those that are not at their default count.

    Args:
        recipe: What the new one is made from.
        name: The name of the new one.
    """
    said = "Each field stands below what it means. Lines that begin with # have no effect: take the # away to set one."
    head = [f"# shoestring train {name}.toml", *_comment(said), ""]
    lines = [f"name = {_inline(name)}"]
    base = recipe.name if recipe.name in RECIPES else recipe.base
    if base is not None:
        lines.append(f"base = {_inline(base)}")
    live = {} if recipe.name in RECIPES else counting(recipe)
    body = _fields(recipe, live, "", ("name", "base", "summary", "published"))
    return "\n".join([*head, *lines, *body]) + "\n"


def _fields(spec: Spec, live: Mapping[str, Any], path: str, without: Sequence[str] = ()) -> list[str]:
    """The lines of a spec: its own fields, then a table for each spec within."""
    docs = field_docs(type(spec))
    plain = spec.model_dump(mode="json")
    fields, tables = list[str](), list[str]()
    for key in type(spec).model_fields:
        value = getattr(spec, key)
        if key in without:
            continue
        if isinstance(value, Spec):
            inner: Any = live.get(key, {})
            tables += ["", *_comment(docs.get(key, "")), f"[{path}{key}]"]
            tables += _fields(value, inner, f"{path}{key}.")
        else:
            line = f"{key} =" if plain[key] is None else f"{key} = {_inline(plain[key])}"
            fields += ["", *_comment(docs.get(key, "")), line if key in live and value is not None else f"# {line}"]
    return [*fields, *tables]


def _comment(text: str) -> list[str]:
    return [f"# {line}" for line in textwrap.wrap(text, COMMENT_WIDTH)]


def _inline(value: Any) -> str:
    """A JSON value as TOML in one line, where only tables are written otherwise."""
    if isinstance(value, dict):
        found = cast(dict[str, Any], value)
        inner = (f"{json.dumps(key)} = {_inline(value)}" for key, value in found.items() if value is not None)
        return "{ " + ", ".join(inner) + " }"
    if isinstance(value, list):
        return f"[{', '.join(map(_inline, cast(list[Any], value)))}]"
    return json.dumps(value, ensure_ascii=False)
