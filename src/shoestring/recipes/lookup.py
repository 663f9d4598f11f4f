"""Recipes as users name them: by name, by file, with other values."""

import json
import tomllib
import warnings
from pathlib import Path
from typing import Any, cast

from pydantic_core import to_jsonable_python

from shoestring.core.config import changed, did_you_mean, fits_into, merged
from shoestring.core.errors import DataError, RecipeError
from shoestring.core.run import Run
from shoestring.core.upgrade import upgraded_recipe
from shoestring.data.custom import CustomData
from shoestring.data.image_folder import ImageFolder
from shoestring.data.paths import data_folder as resolve_data_folder
from shoestring.recipes import RECIPES
from shoestring.recipes.recipe import OPEN, Recipe
from shoestring.recipes.upgrade import upgraded
from shoestring.zoo.index import unknown_recipe

SWEEP = "sweep"
"""The table of a recipe file that says what to vary; it is no part of the recipe."""

METADATA_FIELDS = ("name", "base", "summary", "published")
"""The fields of a recipe that tell of it; all others decide what is done."""


def recipe(name_or_file: Recipe | str | Path, **fields: Any) -> Recipe:
    """A recipe by name or from a TOML or JSON file, or another one with other values.

    A file with `base` says only in what it differs from that shipped recipe. The recipe.json of a run that a former
    version wrote means what it meant then. Under another name or with other data, the
    base's summary and published result are left behind.

    Args:
        name_or_file: Such as "cifar100-resnet" or "my.toml"; or a recipe.
        fields: Values that replace the recipe's own; nested ones as dicts, such as budget={"steps": 60}. A dict of
            another kind, such as net={"kind": "bottleneck"}, replaces all of what was there. A part of your own is its
            class or function, such as net=TinyNet, or its kind, "my_net.py:TinyNet", or a dict with "options".

    Raises:
        RecipeError: No such recipe, file or base; the file cannot be parsed; a key is unknown, a value out of range, or
            parts do not fit.
    """
    for part in OPEN.keys() & fields.keys():
        fields[part] = OPEN[part][0].from_object(fields[part]) or fields[part]
    if isinstance(name_or_file, Recipe):
        return _made_from(name_or_file, fields, name_or_file.name) if fields else name_or_file
    name = str(name_or_file)
    if name in RECIPES:
        found = RECIPES[name]()
    elif Path(name).suffix in (".toml", ".json"):
        found = _from_file(Path(name))
    else:
        raise RecipeError(unknown_recipe(name))
    return _made_from(found, fields, name) if fields else found


def _from_file(path: Path) -> Recipe:
    try:
        text = path.read_text(encoding="utf-8-sig")  # some editors begin with a mark of the encoding
        values: Any = tomllib.loads(text) if path.suffix == ".toml" else json.loads(text)
    except FileNotFoundError as error:
        raise RecipeError(f"there is no recipe file {path}") from error
    except (OSError, ValueError) as error:
        raise RecipeError(f"{path} cannot be read as a recipe: {error}") from error
    of_run = path.name == Run(path.parent).recipe_file.name
    given = cast(dict[str, Any], values) if isinstance(values, dict) else {}
    given = {key: value for key, value in given.items() if key != SWEEP}
    fields = _anchored(_renamed(given, path, tell=not of_run), path.parent)
    base = fields.get("base")
    if base is None:
        return Recipe.from_json((upgraded(fields) if of_run else fields) or values, str(path))
    if str(base) not in RECIPES:
        raise RecipeError(f"{path}: {did_you_mean('base', str(base), RECIPES)}")
    return _made_from(RECIPES[base](), {key: value for key, value in fields.items() if key != "base"}, str(path))


def _renamed(values: dict[str, Any], path: Path, *, tell: bool) -> dict[str, Any]:
    """The fields under today's names; warns of those that a user's file has from version 0.1."""
    found, said = upgraded_recipe(values)
    for sentence in said if tell else ():
        warnings.warn(f"{path}: {sentence}", FutureWarning, stacklevel=2)
    return found


def _anchored(fields: dict[str, Any], folder: Path) -> dict[str, Any]:
    """The fields with files of code found from the recipe's own folder, or where a run keeps them."""
    found = dict(fields)
    for part in OPEN.keys() & fields.keys():
        values: Any = {"kind": fields[part]} if isinstance(fields[part], str) else fields[part]
        if not isinstance(values, dict):
            continue  # checked later
        place, colon, name = str(cast("dict[str, Any]", values).get("kind", "")).rpartition(":")
        for file in (folder / place, folder / "source" / place):
            if colon and file.is_file():
                found[part] = values | {"kind": f"{file}:{name}"}
                break
    return found


def _made_from(start: Recipe, fields: dict[str, Any], origin: str) -> Recipe:
    values = start.to_json()
    found = merged(values, fields)
    renamed = found["name"] != start.name
    if renamed and start.name in RECIPES:
        found["base"] = start.name
    if renamed or not fits_into(found["data"], values["data"]):
        found |= {key: fields.get(key, default) for key, default in (("summary", ""), ("published", None))}
    return Recipe.from_json(found, origin)


def located(asked: Recipe, data_folder: Path | None = None) -> Recipe:
    """The recipe with a folder of images by its absolute path and its classes by name; any other recipe as it is.

    So the run says all there is to know, and its model answers when the folder is gone.

    Raises:
        DataError: The folder of images is missing or has no class, or a classifier's has one.
    """
    if not isinstance(asked.data, ImageFolder | CustomData):
        return asked
    data = asked.data.named(resolve_data_folder(data_folder))
    if not asked.makes_images and len(data.classes) < 2:
        place, hint = (
            (data.path, "; is data.path one folder too high, or its labels in a CSV that data.path should name?")
            if isinstance(data, ImageFolder)
            else (data.words, "")
        )
        raise DataError(f"{place} has one class, {', '.join(data.classes)}, so there is nothing to tell apart{hint}")
    return asked.replace(data=data)


def overrides_of(asked: Recipe, base: Recipe | None = None) -> dict[str, list[Any]]:
    """The fields in which a recipe does other than the one it was made of, as {dotted field: [there, asked]}.

    Args:
        asked: The recipe.
        base: The one it was made of, where neither its name nor its base is shipped.
    """
    shipped = asked.name if asked.name in RECIPES else asked.base
    if shipped in RECIPES:
        base = RECIPES[shipped]()
    differences = changed(base, asked) if base else {}
    return {key: to_jsonable_python(list(pair)) for key, pair in differences.items() if key not in METADATA_FIELDS}
