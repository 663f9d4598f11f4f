"""Recipes as TOML files that people read and change."""

import json
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import tomli_w

from shoestring.core.atomic_files import write_atomic
from shoestring.core.config import Spec, counting, fits_into
from shoestring.core.field_docs import field_docs
from shoestring.core.outside import is_outside
from shoestring.recipes import RECIPES
from shoestring.recipes.lookup import METADATA_FIELDS
from shoestring.recipes.recipe import Recipe, parts_of


def write_recipe(recipe: Recipe, file: Path, comment: Sequence[str] = ()) -> Path:
    """The file, after a recipe was written to it; `recipe(file)` gives it back.

    Only differences are written: from the shipped recipe it stands on, where a file can say all of them, else from the
    defaults.

    Args:
        recipe: What is written.
        file: Where to; ends in .toml. Code of the user's own is looked for beside it, also in its folder "source".
        comment: Lines that come first.
    """
    values = _on_base(recipe) or {key: value for key, value in counting(recipe, today=True).items() if key != "base"}
    for part, spec in parts_of(recipe).items():
        if is_outside(spec):
            values.get(part, {}).pop("source", None)  # the file beside it is the one that is meant
    head = "".join(f"# {line}".rstrip() + "\n" for line in comment)
    return write_atomic(file, (f"{head}\n{toml(values)}" if head else toml(values)).encode())


def toml(values: Mapping[str, Any]) -> str:
    """Plain JSON values as TOML; None, which TOML does not have, is left out."""
    return tomli_w.dumps(_without_none(values))


def _without_none(value: Any) -> Any:
    if isinstance(value, Mapping):
        named = cast(Mapping[str, Any], value)
        return {key: _without_none(one) for key, one in named.items() if one is not None}
    if isinstance(value, list | tuple):
        return [_without_none(one) for one in cast(Sequence[Any], value) if one is not None]
    return value


def _on_base(recipe: Recipe) -> dict[str, Any] | None:
    """In what a recipe differs from the shipped one it stands on; None where there is none or a file cannot say it."""
    base = recipe.name if recipe.name in RECIPES else recipe.base
    if base not in RECIPES:
        return None
    aside = [key for key in METADATA_FIELDS if key != "name" or recipe.name == base]
    values, there = (
        {key: value for key, value in one.to_json().items() if key not in aside} for one in (recipe, RECIPES[base]())
    )
    return {"base": base} | _differing(values, there) if _can_be_said(values, there) else None


def _can_be_said(values: Mapping[str, Any], there: Mapping[str, Any]) -> bool:
    """Whether a file on top of a base can give these values: it cannot take one away."""
    for key, old in there.items():
        new = values.get(key)
        if old is not None and new is None:
            return False
        if fits_into(new, old) and not _can_be_said(cast(Mapping[str, Any], new), cast(Mapping[str, Any], old)):
            return False
    return True


def _differing(values: Mapping[str, Any], there: Mapping[str, Any]) -> dict[str, Any]:
    """What differs; of a part of another kind all of it."""
    return {
        key: _differing(value, there[key]) if fits_into(value, there.get(key)) else value
        for key, value in values.items()
        if value != there.get(key)
    }


COMMENT_WIDTH = 100  # columns of a comment


def commented(recipe: Recipe, name: str) -> str:
    """A recipe file with every field, its meaning and its value here; `recipe(file)` gives an equal recipe.

    What `write_recipe` would write counts; all else is commented out, so of a shipped recipe, which the file names as
    its base, every field: a line counts once its # is gone.

    Args:
        recipe: What the new one is made from.
        name: The name of the new one.
    """
    said = "Each field stands below what it means. Lines that begin with # have no effect: take the # away to set one."
    head = [f"# shoestring train {name}.toml", *_comment(said), ""]
    lines = [f"name = {_inline(name)}"]
    live = _on_base(recipe)
    if live is not None:
        lines.append(f"base = {_inline(live['base'])}")
    body = _fields(recipe, live or counting(recipe, today=True), "", METADATA_FIELDS)
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
