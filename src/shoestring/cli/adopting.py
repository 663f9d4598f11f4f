"""The verb that makes a choice a run's own; torch is imported when it runs."""

from dataclasses import dataclass
from typing import Annotated

from tyro.conf import arg

from shoestring.cli.display import Display
from shoestring.cli.options import RunOrName, Sampling
from shoestring.errors import ShoestringError


@dataclass(frozen=True, kw_only=True)
class Adopt(Sampling):
    """Let a finished run answer from now on as you chose by tune or train: with which weights, sampled how.

    Measures, pictures and report so far go to its folder "former"; pictures and report are made anew. Nothing is
    trained.
    """

    target: Annotated[RunOrName, arg(metavar="RUN")]
    """The run's folder."""
    average: float | None = None
    """Decay of the running mean of the weights that is to answer. By default the weights stay."""

    def do(self, display: Display) -> None:
        """Changes the run."""
        from shoestring import api

        options = self.sampling()
        if self.average is None and not options:
            raise ShoestringError("say what to adopt: --average, or options of sampling such as --guidance 2")
        run = api.adopt(self.target, self.average, self.device, display, **options)
        display.result({"run": str(run.folder.resolve()), "average": self.average} | options)
        display.line(f"report  {run.report_file.resolve()}")
        display.line(f"measure it: shoestring evaluate {self.target}")
