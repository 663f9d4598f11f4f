"""Recipes as users name them: by name, by file, with other values."""

from pathlib import Path
from typing import Any

from shoestring.data.folder import ImageFolder
from shoestring.data.location import data_folder as resolve_data_folder
from shoestring.errors import DataError, RecipeError
from shoestring.recipes import RECIPES
from shoestring.recipes.recipe import Recipe
from shoestring.spec import changed, unknown
from shoestring.tasks.classify import Classify


def recipe(name_or_file: str | Path, **fields: Any) -> Recipe:
    """A recipe by name or from a TOML or JSON file.

    Args:
        name_or_file: Such as "cifar100-resnet" or "my.toml".
        fields: Values that replace the recipe's own; nested ones as dicts, such as budget={"steps": 60}.

    Raises:
        RecipeError: No such recipe or file, or a field that does not fit.
    """
    name = str(name_or_file)
    if name in RECIPES:
        found = RECIPES[name]()
    elif Path(name).suffix in (".toml", ".json"):
        found = Recipe.from_file(Path(name))
    else:
        raise RecipeError(f"{unknown('recipe', name, RECIPES)} A recipe file ends in .toml or .json.")
    return Recipe.from_json(_merge(found.to_json(), fields), name) if fields else found


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
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merge(merged[key], value) if both else value  # pyright: ignore[reportUnknownArgumentType]
    return merged


def _plain(value: Any) -> Any:
    return value.model_dump(mode="json") if hasattr(value, "model_dump") else value
