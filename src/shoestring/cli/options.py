"""What all verbs have in common."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tyro.conf import FlagCreatePairsOff, Positional

from shoestring.cli.display import Display
from shoestring.core.errors import RecipeError
from shoestring.hub.address import is_address
from shoestring.zoo import index
from shoestring.zoo.run_folder import run_folder

RunOrName = Positional[str]


class Verb(Protocol):
    """A parsed command."""

    def do(self, display: Display) -> int | None:
        """Does it; gives an exit status when that is not 0."""
        ...


@dataclass(frozen=True, kw_only=True)
class Options:
    """What every verb takes."""

    json: FlagCreatePairsOff[bool] = False
    """Print one JSON object on standard output, and nothing else there."""
    data_folder: Path | None = None
    """Where data lies and downloads land. By default the variable SHOESTRING_DATA, else the user's cache."""
    device: str | None = None
    """cpu, cuda, cuda:1, mps. By default a GPU when there is one."""


def require_run(what: str) -> None:
    """Does nothing if there is a run of that name, a file that may be one, or an address; told without torch.

    Raises:
        RunError: There is none; says what there is.
    """
    if not is_address(what) and not Path(what).is_file():
        run_folder(what)


def require_rules(file: Path | None) -> None:
    """Does nothing if there is a file of rules, which may still be wrong, or the name is that of the shipped ones.

    Raises:
        RecipeError: There is none.
    """
    if file is not None and str(file) != index.rules()["name"] and not file.is_file():
        raise RecipeError(f"there is no file of rules {file}; name a TOML or JSON file with --rules")
