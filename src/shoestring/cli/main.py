"""Entry point: which verb, with what, and how errors are shown."""

import os
import sys
from collections.abc import Sequence
from typing import Annotated

import tyro

from shoestring.cli import making, verbs
from shoestring.cli.display import Display
from shoestring.errors import ShoestringError

Verb = (
    Annotated[verbs.List, tyro.conf.subcommand("list")]
    | Annotated[verbs.Show, tyro.conf.subcommand("show")]
    | Annotated[verbs.Train, tyro.conf.subcommand("train")]
    | Annotated[verbs.Evaluate, tyro.conf.subcommand("evaluate")]
    | Annotated[making.Sample, tyro.conf.subcommand("sample")]
    | Annotated[making.Interpolate, tyro.conf.subcommand("interpolate")]
    | Annotated[verbs.Predict, tyro.conf.subcommand("predict")]
    | Annotated[verbs.Report, tyro.conf.subcommand("report")]
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        arguments: Words after the program's name; by default those of the process.

    Returns:
        The exit status: 0 done, 1 an error the user can mend, 2 wrong usage, 128 + n stopped by signal n.
    """
    # Before torch is imported: threads that spin while they wait cost three times the time on cores with other work.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    words = list(sys.argv[1:] if arguments is None else arguments)
    display = Display(as_json="--json" in words)
    try:
        verb = parse(words)
        return verb.do(display) or 0
    except ShoestringError as error:
        display.say(f"error: {error}")
        return 1
    except SystemExit as stop:  # tyro has explained itself
        return stop.code if isinstance(stop.code, int) else 2
    except KeyboardInterrupt:
        display.say("stopped")
        return 130


def parse(words: list[str]) -> verbs.Verb:
    """The verb with its arguments.

    `train` and `show` name a recipe first, and take its fields as typed options after it.
    """
    takes_recipe = {"train": verbs.Train, "show": verbs.Show}.get(words[0] if words else "")
    if takes_recipe and len(words) > 1 and not words[1].startswith("-"):
        return verbs.with_recipe(takes_recipe, words[1], words[2:])
    parsed: verbs.Verb = tyro.cli(Verb, args=words or ["--help"], prog="shoestring", description=verbs.DESCRIPTION)  # pyright: ignore
    if isinstance(parsed, verbs.Train | verbs.Show):
        return verbs.with_recipe(type(parsed), parsed.target, [word for word in words[1:] if word != parsed.target])
    return parsed
