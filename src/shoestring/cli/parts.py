"""Kinds on the command line: `--net basic`, `--net my_net.py:TinyNet`, `--anneal.task.r1 ramp`."""

from collections.abc import Sequence
from typing import Any, Literal, get_args, get_origin

import tyro

from shoestring.core.config import Spec
from shoestring.core.errors import ShoestringError
from shoestring.core.outside import shipped_specs, spec_type
from shoestring.core.registry import installed
from shoestring.core.signature import Options
from shoestring.recipes.recipe import OPEN, Recipe, ShippedSchedule


def with_kinds(start: Recipe, words: Sequence[str]) -> tuple[Recipe, list[str]]:
    """A recipe with the kinds that some words ask for, and the other words.

    Parts of a kind that was asked for have default values, not checked yet, and `tyro.MISSING` where there is none: the
    other words may say.

    Args:
        start: The recipe.
        words: Those of the command line after the verb; `--net KIND` and `--net=KIND` alike.

    Raises:
        ShoestringError: A word lacks its kind, or the kind is unknown.
    """
    kinds: dict[str, str] = {}
    rest: list[str] = []
    left = list(words)
    while left:
        option, equals, kind = left.pop(0).partition("=")
        if option.removeprefix("--") not in OPEN or not option.startswith("--"):
            rest.append(f"{option}{equals}{kind}")
            continue
        if not equals and (not left or left[0].startswith("-")):
            raise ShoestringError(
                f"{option}: say which kind, such as my_file.py:Name; `shoestring list --parts` has all"
            )
        kinds[option.removeprefix("--")] = kind if equals else left.pop(0)
    changes: dict[str, Any] = {}
    for part, kind in kinds.items():
        changes[part] = _blank(spec_type(*OPEN[part], kind, options=_options_in(rest, part)))
    if "data" in changes:
        changes |= {"summary": "", "published": None}
    anneal, rest = _annealed(start, rest)
    return start.model_copy(update=changes | {"anneal": anneal}), rest  # a form for tyro to fill in, then validated


def _annealed(start: Recipe, words: Sequence[str]) -> tuple[dict[str, Spec], list[str]]:
    """The schedules of a recipe and those that some words begin, with default values; and the other words.

    `--anneal.task.r1.end 0.1` begins one for task.r1, a ramp, and stays among the words; `--anneal.task.r1 step-decay`
    says of which kind, and goes.
    """
    kinds = shipped_specs(ShippedSchedule)
    options = {name for spec in kinds.values() for name in spec.model_fields} - {"kind"}
    anneal: dict[str, Spec] = dict(start.anneal)
    rest: list[str] = []
    left = list(words)
    while left:
        option, equals, value = left.pop(0).partition("=")
        whole = option.removeprefix("--anneal.").replace("-", "_")
        field, _, last = whole.rpartition(".")
        if option.startswith("--anneal.") and last not in options:
            kind = value if equals else left.pop(0) if left else ""
            if kind not in kinds:
                raise ShoestringError(
                    f"{option} {kind}: neither a kind of schedule ({', '.join(kinds)}) nor an option of one "
                    f"({', '.join(sorted(options))})"
                )
            anneal[whole] = kinds[kind]()
            continue
        if option.startswith("--anneal."):
            anneal.setdefault(field, kinds["ramp"]())
        rest.append(f"{option}{equals}{value}")
    return anneal, rest


def parts_overview() -> list[dict[str, str]]:
    """A row for each kind, shipped or installed; no code of installed ones is run."""
    rows: list[dict[str, str]] = []
    for part, (_, shipped) in OPEN.items():
        for kind, spec in shipped_specs(shipped).items():
            if "kind" in spec.model_fields:
                what = (spec.__doc__ or "").strip().splitlines()[0]
                rows.append({"part": part, "kind": kind, "package": "shoestring", "what": what})
        for kind, offers in sorted(installed(part).items()):
            for entry in offers:
                package = f"{entry.dist.name} {entry.dist.version}" if entry.dist else ""
                rows.append({"part": part, "kind": kind, "package": package, "what": entry.value})
    return rows


def _options_in(words: Sequence[str], part: str) -> list[str]:
    start = f"--{part}.options."
    return [word.removeprefix(start).partition("=")[0].replace("-", "_") for word in words if word.startswith(start)]


def _blank(spec: type[Spec]) -> Spec:
    values: dict[str, Any] = {}
    for name, field in spec.model_fields.items():
        kind: Any = field.annotation
        if not field.is_required():
            values[name] = field.get_default(call_default_factory=True)
        elif get_origin(kind) is Literal:
            values[name] = get_args(kind)[0]
        else:
            values[name] = _blank(kind) if isinstance(kind, type) and issubclass(kind, Options) else tyro.MISSING
    return spec.model_construct(**values)
