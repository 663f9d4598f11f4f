"""Recipes as users name them: by name, by file, with other values."""

import json
import tomllib
from pathlib import Path
from typing import Any, cast

from shoestring.data.folder import ImageFolder
from shoestring.data.location import data_folder as resolve_data_folder
from shoestring.errors import DataError, RecipeError
from shoestring.recipes import RECIPES
from shoestring.recipes.recipe import Recipe
from shoestring.spec import changed, unknown
from shoestring.tasks.classify import Classify


def recipe(name_or_file: str | Path, **fields: Any) -> Recipe:
    """A recipe by name or from a TOML or JSON file.

    A file with `base` says only in what it differs from that shipped recipe. With a name of its own it leaves the
    base's summary and published result behind.

    Args:
        name_or_file: Such as "cifar100-resnet" or "my.toml".
        fields: Values that replace the recipe's own; nested ones as dicts, such as budget={"steps": 60}. A dict of
            another kind, such as net={"kind": "bottleneck"}, replaces all of what was there.

    Raises:
        RecipeError: No such recipe, file or base; the file cannot be parsed; a key is unknown, a value out of range, or
            parts do not fit.
    """
    name = str(name_or_file)
    if name in RECIPES:
        found = RECIPES[name]()
    elif Path(name).suffix in (".toml", ".json"):
        found = _from_file(Path(name))
    else:
        raise RecipeError(f"{unknown('recipe', name, RECIPES)} A recipe file ends in .toml or .json.")
    return Recipe.from_json(_merge(found.to_json(), fields), name) if fields else found


def _from_file(path: Path) -> Recipe:
    try:
        text = path.read_text(encoding="utf-8")
        values: Any = tomllib.loads(text) if path.suffix == ".toml" else json.loads(text)
    except FileNotFoundError as error:
        raise RecipeError(f"there is no recipe file {path}") from error
    except (OSError, ValueError) as error:
        raise RecipeError(f"{path} cannot be read as a recipe: {error}") from error
    if isinstance(values, dict) and "base" in values:
        values = _on_base(cast(dict[str, Any], values), path)
    return Recipe.from_json(values, str(path))


def _on_base(values: dict[str, Any], path: Path) -> dict[str, Any]:
    base = values["base"]
    if not isinstance(base, str) or base not in RECIPES:
        raise RecipeError(f"{path}: {unknown('base', str(base), RECIPES)}")
    own = {key: value for key, value in values.items() if key != "base"}
    start = RECIPES[base]().to_json()
    if own.get("name", base) != base:
        start |= {"summary": "", "published": None}
    return _merge(start, own)


def located(asked: Recipe, data_folder: Path | None = None) -> Recipe:
    """The recipe with a folder of images by its absolute path and its classes by name; any other recipe as it is.

    So the run says all there is to know, and its model answers when the folder is gone.

    Raises:
        DataError: The folder of images is missing or has no class, or a classifier's has one.
    """
    if not isinstance(asked.data, ImageFolder):
        return asked
    data = asked.data.named(resolve_data_folder(data_folder))
    if isinstance(asked.task, Classify) and len(data.classes) < 2:
        raise DataError(
            f"{data.path} has one class, {', '.join(data.classes)}, so there is nothing to tell apart; is data.path "
            "one folder too high?"
        )
    return asked.model_copy(update={"data": data})


def overrides_of(asked: Recipe, base: Recipe | None = None) -> dict[str, list[Any]]:
    """The fields in which a recipe differs from the one it was made of, as {dotted field: [there, asked]}.

    Args:
        asked: The recipe.
        base: The one it was made of, where none of its name is shipped.
    """
    if asked.name in RECIPES:
        base = RECIPES[asked.name]()
    differences = changed(base, asked) if base else {}
    return {key: [_plain(before), _plain(after)] for key, (before, after) in differences.items()}


def _merge(values: dict[str, Any], fields: dict[str, Any]) -> dict[str, Any]:
    merged = dict(values)
    for key, value in fields.items():
        there: Any = merged.get(key)
        merged[key] = _merge(there, value) if _fits_into(value, there) else value
    return merged


def _fits_into(value: Any, there: Any) -> bool:
    """Whether both are dicts of one kind, so that the fields of one can replace some of the other's."""
    if not (isinstance(value, dict) and isinstance(there, dict)):
        return False
    return bool("kind" not in value or value["kind"] == there.get("kind"))  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]


def _plain(value: Any) -> Any:
    return value.model_dump(mode="json") if hasattr(value, "model_dump") else value
