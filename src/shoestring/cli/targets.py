"""Verbs whose options depend on what they are called with: a recipe's fields, or the options of a run's sampler."""

import dataclasses
import json
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any, cast

from tyro.conf import Suppress, arg

from shoestring.cli.evaluate import EvaluateClassifier, EvaluateGenerator
from shoestring.cli.options import Options, Verb, require_rules, require_run
from shoestring.cli.sample import Interpolate, Promote, Sample
from shoestring.cli.sweep import Sweep
from shoestring.core.did_you_mean import did_you_mean
from shoestring.core.errors import RecipeError, RunError, UsageError
from shoestring.core.upgrade import FORGOTTEN, RECIPE_KEYS, upgraded_recipe
from shoestring.sweeping.shipped import SWEEPS
from shoestring.zoo import index
from shoestring.zoo.run_folder import RECIPE, run_folder

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
        UsageError: The recipe has no such option.
    """
    if verb is not Sweep or name not in SWEEPS:
        index.require_recipe(name)
        _require_known_options(verb, name, words)
        _require_file_of_rules(words)
    from shoestring import api
    from shoestring.cli.parts import with_kinds
    from shoestring.recipes.recipe import Recipe

    fields = [("target", Suppress[str]), ("recipe", Annotated[Recipe, arg(name="")])]
    whole = dataclasses.make_dataclass(verb.__name__, fields, bases=(verb,), frozen=True, kw_only=True)
    start, words = with_kinds(api.recipe(SWEEPS.get(name, name) if verb is Sweep else name), words)
    return _parsed(whole, whole(target=name, recipe=start), verb, verb.__name__.lower(), name, words)


def with_run(word: str, name: str, words: Sequence[str]) -> Verb:
    """A verb whose run was named, with the options of its sampler, typed, if it has one.

    Args:
        word: The verb, of `OF_A_RUN`.
        name: The run's folder, or the name of a recipe whose weights are shipped.
        words: All others of the command line.

    Raises:
        RunError: There is no such run, or its code may not run.
        UsageError: No run has such an option.
    """
    require_run(name)
    _require_options_of_a_run(word, name, words)
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


def _require_known_options(verb: type[Options], name: str, words: Sequence[str]) -> None:
    """Refuses an option that no field of a shipped recipe has, before torch is imported.

    Where a part is to be of another kind, only the parser knows its options.
    """
    kinds = ("--data", "--augment", "--net", "--task", "--optimiser", "--schedule")
    if name not in index.names() or any(word.partition("=")[0] in kinds for word in words):
        return
    known = _own_options(verb).union(index.options(name))
    _require_options(known, words, f"shoestring {verb.__name__.lower()} {name}")


def _require_file_of_rules(words: Sequence[str]) -> None:
    """Refuses a file of rules that is not there, before torch is imported."""
    for word, after in pairwise([*words, ""]):
        option, given, value = word.partition("=")
        if option == "--rules" and (given or after):
            require_rules(Path(value if given else after))


def _require_options_of_a_run(word: str, name: str, words: Sequence[str]) -> None:
    """Refuses, before torch is imported, an option that no run's verb has, that is gone or has another name now.

    Only the parser knows the options of samplers, so it refuses those.
    """
    verbs = (OF_A_RUN[word], *([EvaluateClassifier] if word == "evaluate" else []))
    own = set[str]().union(*map(_own_options, verbs))
    of_sampler = _sampling_fields(name)
    for option in (one.partition("=")[0] for one in words if one.startswith("--")):
        field = option.removeprefix("--").removeprefix("sampling.").replace("-", "_")
        if option.replace("_", "-") in own or (option.startswith("--sampling.") and field in of_sampler):
            continue
        key = f"task.sampling.{field}"
        if (what := FORGOTTEN.get(key)) is not None:
            raise UsageError(f"{option} is gone" + (f": {what}" if what else ""))
        now = RECIPE_KEYS.get(key, key if field in of_sampler else "").removeprefix("task.")
        if now := now or {"average": "ema_decay"}.get(field, ""):
            raise RecipeError(f"{option} is called --{now.replace('_', '-')} now")
    known = own | {f"--sampling.{field.replace('_', '-')}" for field in of_sampler}
    _require_options(known, [one for one in words if not one.startswith("--sampling.")], f"shoestring {word} {name}")


def _sampling_fields(name: str) -> Collection[str]:
    """The fields of a run's sampler, under today's names; none where it has no sampler or cannot be read."""
    with suppress(RunError, OSError, ValueError, LookupError, TypeError, AttributeError):  # what is wrong is said later
        recipe = json.loads((run_folder(name) / RECIPE).read_text(encoding="utf-8"))
        return upgraded_recipe(recipe)[0]["task"]["sampling"].keys()
    return ()


def _own_options(verb: type[Options]) -> set[str]:
    """The options of a verb itself, as they are written."""
    renamed, none = {"class_name": "class"}, ("target", "recipe", "sampling")
    names = {renamed.get(field.name, field.name) for field in dataclasses.fields(verb) if field.name not in none}
    return {f"--{name.replace('_', '-')}" for name in names} | {"--help", "--no-json"}


def _require_options(known: Collection[str], words: Sequence[str], command: str) -> None:
    """Raises UsageError at the first option that is not known."""
    for word in words:
        option = word.partition("=")[0]
        plain = option.replace("_", "-")
        if plain.startswith("--") and len(plain) > 2 and plain not in known and not plain.startswith("--anneal."):
            raise UsageError(f"{did_you_mean('option', option, known)} `{command} --help` lists all")


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
