"""The verb that writes a recipe file to change."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from tyro.conf import FlagCreatePairsOff, Positional, arg

from shoestring.cli.display import Display
from shoestring.cli.options import Options
from shoestring.core.errors import RecipeError
from shoestring.core.folder_name import folder_name
from shoestring.zoo import index


@dataclass(frozen=True, kw_only=True)
class New(Options):
    """Write a recipe file to change: every field with what it means and its value, ready for train."""

    file: Annotated[Positional[Path], arg(metavar="NAME.toml")]
    """The file to write; the recipe is called as it is, without .toml."""
    base: str
    """The recipe to start from: a shipped one by its name, or a recipe file."""
    force: FlagCreatePairsOff[bool] = False
    """Replace the file if it is there."""

    def do(self, display: Display) -> None:
        """Writes the file."""
        if self.file.suffix != ".toml":
            raise RecipeError(f"{self.file}: a recipe file ends in .toml, such as {self.file.stem or 'mine'}.toml")
        name = self.file.stem
        try:
            folder_name(name)
        except ValueError as error:
            raise RecipeError(str(error)) from error
        if name in index.names():
            raise RecipeError(f"{name} is the name of a shipped recipe; take another, such as my-{name}.toml")
        if self.file.exists() and not self.force:
            raise RecipeError(f"{self.file} is there already; take another name, or replace it with --force")
        text = self._text(name)
        try:
            self.file.write_text(text, encoding="utf-8")
        except OSError as error:
            raise RecipeError(f"{self.file} cannot be written: {error.strerror}") from error
        display.result({"file": str(self.file), "name": name, "base": self.base})
        display.line(f"recipe  {self.file}")
        display.line(f"Change what you like, then: shoestring train {self.file}")

    def _text(self, name: str) -> str:
        if Path(self.base).suffix not in (".toml", ".json"):
            return index.template(self.base, name)
        index.require_recipe(self.base)
        from shoestring.recipes.lookup import recipe
        from shoestring.recipes.recipe_file import commented

        return commented(recipe(self.base), name)
