"""Entry point: which verb, with what, and how errors are shown."""

import os
import sys
import warnings
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Annotated, Any

import tyro

import shoestring
from shoestring.cli import (
    contest,
    evaluate,
    export,
    fit,
    inspect,
    new,
    options,
    push,
    sample,
    sweep,
    targets,
    trust,
    verbs,
)
from shoestring.cli import profile as profiling
from shoestring.cli.display import Display
from shoestring.cli.streams import complete_streams, lasting_streams
from shoestring.core.allocator import keep_freed_memory
from shoestring.core.errors import ShoestringError, UsageError
from shoestring.zoo import index

Verb = (
    Annotated[verbs.List, tyro.conf.subcommand("list")]
    | Annotated[verbs.Show, tyro.conf.subcommand("show")]
    | Annotated[new.New, tyro.conf.subcommand("new")]
    | Annotated[inspect.Inspect, tyro.conf.subcommand("inspect")]
    | Annotated[fit.Fit, tyro.conf.subcommand("fit")]
    | Annotated[verbs.Train, tyro.conf.subcommand("train")]
    | Annotated[sweep.Sweep, tyro.conf.subcommand("sweep")]
    | Annotated[profiling.Speed, tyro.conf.subcommand("speed")]
    | Annotated[evaluate.Evaluate, tyro.conf.subcommand("evaluate")]
    | Annotated[sample.Promote, tyro.conf.subcommand("promote")]
    | Annotated[sample.Sample, tyro.conf.subcommand("sample")]
    | Annotated[sample.Interpolate, tyro.conf.subcommand("interpolate")]
    | Annotated[verbs.Predict, tyro.conf.subcommand("predict")]
    | Annotated[verbs.Report, tyro.conf.subcommand("report")]
    | Annotated[export.Export, tyro.conf.subcommand("export")]
    | Annotated[export.Demo, tyro.conf.subcommand("demo")]
    | Annotated[contest.Pack, tyro.conf.subcommand("pack")]
    | Annotated[contest.Check, tyro.conf.subcommand("check")]
    | Annotated[contest.Grade, tyro.conf.subcommand("grade")]
    | Annotated[push.Push, tyro.conf.subcommand("push")]
    | Annotated[trust.Trust, tyro.conf.subcommand("trust")]
)

TAKE_RECIPES = {"train": verbs.Train, "show": verbs.Show, "speed": profiling.Speed, "sweep": sweep.Sweep}
UNREAD = 141  # 128 + SIGPIPE, as shells say of a program whose reader went away
BUSY = 0.25  # load per core from which on threads sleep while they wait


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command.

    Args:
        arguments: Words after the program's name; by default those of the process.

    Returns:
        The exit status: 0 done, 1 an error the user can mend, 2 wrong usage, 128 + n stopped by signal n, which for
        results that nobody read is SIGPIPE. The result of `train` is its run, whoever reads.
    """
    complete_streams()
    set_wait_policy()  # before torch is imported
    keep_freed_memory()
    os.environ.setdefault("PYDANTIC_ERRORS_INCLUDE_URL", "0")  # its pages do not know our options
    words = list(sys.argv[1:] if arguments is None else arguments)
    with lasting_streams() as out:
        status = _run(words)
    return UNREAD if out.lost and not status and words[:1] != ["train"] else status


def _run(words: list[str]) -> int:
    display = Display(as_json="--json" in words)
    try:
        if words == ["--version"]:
            display.line(f"shoestring {shoestring.__version__}")
            status = 0
        else:
            with _renames_told(display):
                status = parse(words).do(display) or 0
        sys.stdout.flush()
        return status
    except UsageError as error:
        display.say(f"error: {error}")
        return 2
    except ShoestringError as error:
        display.say(f"error: {error}")
        return 1
    except OSError as error:  # no room, no permission: the message names the file
        display.say(f"error: {error}")
        return 1
    except SystemExit as stop:  # tyro has explained itself
        with suppress(OSError):
            sys.stdout.flush()
        return stop.code if isinstance(stop.code, int) else 2
    except KeyboardInterrupt:
        display.say("stopped")
        return 130


@contextmanager
def _renames_told(display: Display) -> Generator[None]:
    """Inside, warnings of names that a user's file has and that are others by now are messages, once each."""
    with warnings.catch_warnings(record=False):
        warnings.simplefilter("once", FutureWarning)
        usual = warnings.showwarning

        def tell(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
            if issubclass(category, FutureWarning):
                display.say(f"note: {message}")
            else:
                usual(message, category, *where, **more)

        warnings.showwarning = tell
        yield


def set_wait_policy() -> None:
    """Lets CPU threads sleep while they wait for one another, where the cores have other work; else they spin.

    Two threads that spin are up to twice as fast as two that sleep if each has a core to itself, and several times
    slower if not. Goes by the load of the last minute; OMP_WAIT_POLICY in the environment overrules it.
    """
    busy = os.getloadavg()[0] / (os.cpu_count() or 1) if hasattr(os, "getloadavg") else 0.0
    if busy > BUSY:
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def parse(words: list[str]) -> options.Verb:
    """The verb with its arguments.

    `train`, `show`, `speed` and `sweep` name a recipe, and take its fields as typed options after it; `evaluate`,
    `sample`, `interpolate` and `promote` name a run, and take the options of its sampler.
    """
    word = words[0] if words else ""
    if word == "adopt":
        raise ShoestringError("adopt is called promote now: shoestring promote RUN --help")
    if word == "sweep" and any(one.partition("=")[0] == "--join" for one in words):
        return tyro.cli(sweep.Join, args=words[1:], prog="shoestring sweep", description=sweep.Join.__doc__)
    takes_recipe = TAKE_RECIPES.get(word)
    place = target_place(words) if takes_recipe or word in targets.OF_A_RUN else None
    if place:
        rest = words[1:place] + words[place + 1 :]
        if takes_recipe:
            return targets.with_recipe(takes_recipe, words[place], rest)
        if "--generated" not in rest:
            return targets.with_run(word, words[place], rest)
    if takes_recipe and any(not word.startswith("-") for word in words[1:]):
        raise ShoestringError(
            f"name a recipe right after the verb: shoestring {words[0]} NAME; `shoestring list` has all"
        )
    return tyro.cli(Verb, args=words or ["--help"], prog="shoestring", description=verbs.DESCRIPTION)  # pyright: ignore


def target_place(words: Sequence[str]) -> int | None:
    """Which word names the recipe or run: the first after the verb that can be one and is no option's value.

    An option may be a flag or take several values, so this is a guess until a target's options are known: a word that
    seems to be a value is taken where no other names a recipe or run, or ends as a recipe file does.
    """
    free = [place for place in range(1, len(words)) if not words[place].startswith("-")]
    if not free:
        return None
    named = [
        place
        for place in free
        if words[place] in index.names()
        or words[place].endswith((".toml", ".json", ".safetensors"))
        or _is_run(words[place])
    ]
    alone = [place for place in free if not _seems_a_value(words[place - 1])]
    return next(iter([place for place in named if place in alone] + named + alone), None)


def _is_run(word: str) -> bool:
    """Whether a run lies there; torch is imported only where a folder does."""
    if not Path(word).is_dir():
        return False
    from shoestring.core.run import Run

    return Run(Path(word)).exists()


def _seems_a_value(before: str) -> bool:
    return before.startswith("--") and "=" not in before and before != "--json"
