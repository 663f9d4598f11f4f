"""The verb that puts a run on the Hugging Face hub."""

from dataclasses import dataclass
from typing import Annotated

from tyro.conf import FlagCreatePairsOff, Positional, arg

from shoestring.cli.display import Display
from shoestring.cli.options import Options, RunOrName, require_run


@dataclass(frozen=True, kw_only=True)
class Push(Options):
    """Put a finished run on the Hugging Face hub: recipe, weights, log, metrics and a model card.

    `hf://user/name` then stands for the run, in every command that takes one.
    """

    target: Annotated[RunOrName, arg(metavar="RUN_OR_NAME")]
    """A run's folder, or the name of a recipe whose weights are shipped."""
    repository: Annotated[Positional[str], arg(metavar="USER/NAME")]
    """Where to; made if it is not there."""
    private: FlagCreatePairsOff[bool] = False
    """Make a repository that only its owner sees."""

    def do(self, display: Display) -> None:
        """Pushes, and prints the web address."""
        require_run(self.target)
        from shoestring import api

        url = api.push(self.target, self.repository, display, private=self.private)
        display.result({"url": url, "address": f"hf://{self.repository}"})
        display.line(f"pushed  {url}")
        display.line(f"use     shoestring report hf://{self.repository}")
