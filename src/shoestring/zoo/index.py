"""What is known of every shipped recipe without building one, and so without torch.

index.json and templates/ are written by `python scripts/results.py`; a test checks that they are those of the recipes.
"""

import json
from functools import cache
from pathlib import Path
from typing import Any

from shoestring.core.did_you_mean import did_you_mean
from shoestring.core.errors import RecipeError
from shoestring.zoo import FOLDER

FILE = FOLDER / "index.json"
TEMPLATES = FOLDER / "templates"
NAME = "@NAME@"
"""What stands in a template for the name of the new recipe."""


@cache
def _index() -> dict[str, Any]:
    return json.loads(FILE.read_text(encoding="utf-8"))


def rows() -> list[dict[str, Any]]:
    """A row for each recipe, as `list` shows it; keys ending in _text hold the form for people."""
    return _index()["recipes"]


def rules() -> dict[str, Any]:
    """The shipped rules, by which the rows say in what a recipe departs from them."""
    return _index()["rules"]


def names() -> list[str]:
    """The names of all shipped recipes."""
    return [row["recipe"] for row in rows()]


def options(name: str) -> list[str]:
    """The options of the command line by which the fields of a shipped recipe are changed, such as --batch-size."""
    return _index()["options"][name]


def template(base: str, name: str) -> str:
    """A commented recipe file that stands on a shipped recipe.

    Args:
        base: The shipped recipe.
        name: The name of the new one.

    Raises:
        RecipeError: There is no such base.
    """
    if base not in names():
        raise RecipeError(unknown_recipe(base))
    return (TEMPLATES / f"{base}.toml").read_text(encoding="utf-8").replace(NAME, name)


def require_recipe(name: str) -> None:
    """Does nothing if there is a shipped recipe, or a recipe file, of a name; the file may still be wrong.

    Raises:
        RecipeError: There is none.
    """
    if Path(name).suffix in (".toml", ".json"):
        if not Path(name).exists():
            raise RecipeError(f"there is no recipe file {name}")
    elif name not in names():
        raise RecipeError(unknown_recipe(name))


def unknown_recipe(name: str) -> str:
    """The sentence that says that no recipe has a name, and which nearly does."""
    return f"{did_you_mean('recipe', name, names())} A recipe file ends in .toml or .json."
