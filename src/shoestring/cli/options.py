"""What all verbs have in common."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tyro.conf import FlagCreatePairsOff, Positional

from shoestring.cli.display import Display

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
