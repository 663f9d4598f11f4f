"""Verbs whose options depend on what they are called with: a recipe's fields, or the options of a run's sampler."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, cast

from tyro.conf import Suppress, arg

from shoestring.cli.evaluate import EvaluateClassifier, EvaluateGenerator
from shoestring.cli.options import Options, Verb
from shoestring.cli.sample import Interpolate, Promote, Sample
from shoestring.core.errors import RecipeError

OF_A_RUN: Mapping[str, type[Options]] = {
    "evaluate": EvaluateGenerator,
    "sample": Sample,
    "interpolate": Interpolate,
    "promote": Promote,
}
"""The verbs that take the options of a run's own sampler, as `--sampling.steps 18`."""


def with_recipe(verb: type[Options], name: str, words: Sequence[str]) -> Verb:
    """A verb whose recipe was named, with the recipe's fields as typed options.

    Raises:
        RecipeError: There is no such recipe, or the options make none that fits.
    """
    from shoestring import api
    from shoestring.cli.parts import with_kinds
    from shoestring.recipes.recipe import Recipe

    fields = [("target", Suppress[str]), ("recipe", Annotated[Recipe, arg(name="")])]
    whole = dataclasses.make_dataclass(verb.__name__, fields, bases=(verb,), frozen=True, kw_only=True)
    start, words = with_kinds(api.recipe(name), words)
    return _parsed(whole, whole(target=name, recipe=start), verb, verb.__name__.lower(), name, words)


def with_run(word: str, name: str, words: Sequence[str]) -> Verb:
    """A verb whose run was named, with the options of its sampler, typed, if it has one.

    Args:
        word: The verb, of `OF_A_RUN`.
        name: The run's folder, or the name of a recipe whose weights are shipped.
        words: All others of the command line.

    Raises:
        RunError: There is no such run, or its code may not run.
    """
    from shoestring.model.load import open_run, recipe_of

    sampling = recipe_of(open_run(name)).task.sampling
    verb = OF_A_RUN[word] if sampling or word != "evaluate" else EvaluateClassifier
    fields: list[Any] = [("target", Suppress[str])]
    default: dict[str, Any] = {"target": name}
    if sampling is not None:
        fields.append(("sampling", Annotated[type(sampling), arg(name="sampling")]))
        default["sampling"] = sampling
    whole = dataclasses.make_dataclass(verb.__name__, fields, bases=(verb,), frozen=True, kw_only=True)
    return _parsed(whole, whole(**default), verb, word, name, words)


def _parsed(whole: type[Any], default: Any, verb: type[Options], word: str, name: str, words: Sequence[str]) -> Verb:
    import tyro
    from pydantic import ValidationError

    from shoestring.core.config import explain

    try:
        parsed = tyro.cli(  # pyright: ignore[reportUnknownVariableType]
            whole,
            default=default,
            args=list(words),
            prog=f"shoestring {word} {name}",
            description=verb.__doc__,
            config=(tyro.conf.AvoidSubcommands,),
        )
    except ValidationError as error:  # of a recipe as a whole; tyro explains those of its parts
        raise RecipeError(f"{name} with these options is not valid:\n{explain(error)}") from error
    return cast(Verb, parsed)
