"""The rules of a contest: what a model of each kind may spend. A recipe's own budget says what it does spend."""

import json
import tomllib
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError

from shoestring.core.budget import Budget
from shoestring.core.config import Spec, changed, explain
from shoestring.core.errors import RecipeError
from shoestring.recipes.recipe import Recipe, ShippedData

DEFAULT_FILE = Path(__file__).with_name("rules.toml")
LEFT_OPEN = ("tune", "path", "names", "skip_bad")
"""Fields of data that do not say which images are meant: how many are held out, where they lie here."""


class Rules(Spec):
    """Limits by kind of task, and the images that count. A recipe beyond them is trained all the same, and said to be.

    A file of rules is TOML or JSON with these fields.
    """

    name: str
    """What the rules are called."""
    classifier: Budget | None = None
    """What a classifier may spend. By default none is admitted."""
    generator: Budget | None = None
    """What a generator may spend, all nets of its training together. By default none is admitted."""
    pretrained: bool = False
    """Whether a training may start from the weights of another, whose steps and images nobody counts."""
    data: Annotated[ShippedData, Field(discriminator="kind")] | None = None
    """What is trained on, and whose test split is measured on. By default what each recipe says."""

    def allowed(self, makes_images: bool) -> Budget | None:
        """The limits of a generator or a classifier; None where there is no place for one."""
        return self.generator if makes_images else self.classifier

    def departures(self, recipe: Recipe) -> list[str]:
        """In what a recipe goes beyond the rules, a clause for each; to spend less is none.

        A limit counts as spent where the recipe leaves it open and nothing else is known of it.
        """
        found = self.beyond(stated(recipe), makes_images=recipe.makes_images)
        if recipe.pretrained is not None and not self.pretrained:
            found.append(f"pretrained: {recipe.pretrained!r}, where a training starts anew")
        if self.data is None:
            return found
        if type(self.data) is not type(recipe.data):
            return [*found, f"data: {recipe.data.kind!r}, where {self.data.kind!r} is asked for"]
        asked = changed(self.data, recipe.data).items()
        return found + [
            f"data.{name}: {there!r}, where {wanted!r} is asked for"
            for name, (wanted, there) in asked
            if name not in LEFT_OPEN
        ]

    def beyond(self, spent: dict[str, int | None], *, makes_images: bool) -> list[str]:
        """Which limits are not kept, a clause for each.

        Args:
            spent: What is spent, by limit; None where nothing limits it.
            makes_images: Whether a generator spends it; else a classifier.
        """
        kind, allowed = "generator" if makes_images else "classifier", self.allowed(makes_images)
        if allowed is None:
            return [f"no {kind} is admitted"]
        limits: dict[str, int | None] = allowed.model_dump()
        return [
            f"{name.replace('_', ' ')}: {'no limit' if (much := spent.get(name)) is None else f'{much:,}'}, where a "
            f"{kind} is allowed {limit:,}"
            for name, limit in limits.items()
            if limit is not None and name in spent and ((much := spent[name]) is None or much > limit)
        ]

    @staticmethod
    def from_json(values: Any, origin: str) -> "Rules":
        """Rules from plain JSON values.

        Raises:
            RecipeError: A key is unknown or a value out of range; says which, and the nearest key.
        """
        try:
            return Rules.model_validate(values)
        except ValidationError as error:
            raise RecipeError(f"{origin} holds no rules:\n{explain(error)}") from error


def stated(recipe: Recipe) -> dict[str, int | None]:
    """What a recipe says that it spends, by limit; None where it says of nothing how much at most."""
    budget: dict[str, int | None] = recipe.budget.model_dump()
    return budget | {"nfe": recipe.task.nfe if budget["nfe"] is None else budget["nfe"]}


def rules(named: Rules | Path | str | None = None) -> Rules:
    """The rules in a TOML or JSON file; by default, or by their name, those that are shipped.

    Raises:
        RecipeError: There is no such file, or it holds no rules.
    """
    if isinstance(named, Rules):
        return named
    default = _read(DEFAULT_FILE)
    if named is None or str(named) == default.name:
        return default
    return _read(Path(named))


def _read(file: Path) -> Rules:
    try:
        text = file.read_text(encoding="utf-8-sig")
        values: Any = json.loads(text) if file.suffix == ".json" else tomllib.loads(text)
    except (OSError, ValueError) as error:
        raise RecipeError(f"{file} cannot be read as rules: {error}; name a TOML or JSON file with --rules") from error
    return Rules.from_json(values, str(file))
