"""The verbs of the command line. Each calls the API and shows what came back; torch is imported when a verb runs."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tyro.conf import FlagCreatePairsOff, Positional, Suppress, UseAppendAction, arg

from shoestring.cli.display import Display
from shoestring.cli.evaluate import scalars, show_metrics
from shoestring.cli.options import Options, RunOrName, require_rules, require_run
from shoestring.core.errors import ShoestringError, require_at_least
from shoestring.report.format import percent
from shoestring.zoo import index

if TYPE_CHECKING:
    from shoestring.core.run import Run

DESCRIPTION = "Image models under a hard budget of parameters and optimisation steps. --version says which this is."


@dataclass(frozen=True, kw_only=True)
class List(Options):
    """Every recipe: task, data, parameters, budget, published result, our measured result."""

    rules: Path | None = None
    """A file of rules, to see which recipes depart from them. By default the shipped rules."""
    parts: FlagCreatePairsOff[bool] = False
    """Instead, every kind of net, data, task, augmentation, optimiser and schedule, and the package it comes from."""

    sweeps: FlagCreatePairsOff[bool] = False
    """Instead, the sweeps that are shipped: what the papers say of how they chose their settings."""

    def do(self, display: Display) -> None:
        """Prints the table."""
        if self.sweeps:
            from shoestring.sweeping.shipped import SWEEPS, summary

            said = {name: summary(name) for name in SWEEPS}
            display.result({"sweeps": [{"sweep": name, "what": what} for name, what in said.items()]})
            display.table("Sweeps", ("sweep", "what it is"), [list(row) for row in said.items()])
            display.line("shoestring sweep NAME trains one.")
            return
        if self.parts:
            from shoestring.cli.parts import parts_overview

            found = parts_overview()
            display.result({"parts": found})
            display.table("Parts", ("part", "kind", "package", "what it is"), [list(row.values()) for row in found])
            display.line("One of your own is file.py:Name or module:Name, such as --net my_net.py:TinyNet.")
            return
        require_rules(self.rules)
        if self.rules is None:
            rules, rows = index.rules(), index.rows()
        else:
            from shoestring.cli.overview import overview

            found, rows = overview(self.rules)
            rules = found.model_dump(mode="json")
        display.result({"rules": rules, "recipes": rows})
        columns = ("recipe", "task", "data", "parameters", "budget", "steps", "published", "measured")
        cells = (
            [str(row[f"{column}_text"] if f"{column}_text" in row else row[column]) for column in columns]
            for row in rows
        )
        display.table("Recipes", columns, cells, numbers=("parameters", "budget", "steps"))
        display.line(
            "Measured: of seed 0, of shipped weights where there are any; docs/results.md has means over seeds."
        )
        for row in rows:
            for departure in row["departures"]:
                display.line(f"{row['recipe']} {departure}.")
        display.line("shoestring show NAME tells all about one; shoestring train NAME trains it.")


@dataclass(frozen=True, kw_only=True)
class Show(Options):
    """One recipe: its fields, its layer table, and what is left of the budget."""

    target: Annotated[Positional[str], arg(metavar="NAME_OR_FILE")]
    """A recipe's name, or a TOML or JSON file."""
    rules: Path | None = None
    """A file of rules, to see in what the recipe departs from them. By default the shipped rules."""
    recipe: Suppress[Any] = None

    def do(self, display: Display) -> None:
        """Prints recipe and layer table."""
        require_rules(self.rules)
        from shoestring import api
        from shoestring.cli.overview import show

        show(api.located(self.recipe, self.data_folder), self.rules, display)


@dataclass(frozen=True, kw_only=True)
class Train(Options):
    """Train a recipe to the end of its budget, measure it, write a report. The same command again resumes.

    After NAME come typed overrides, such as --budget.steps 60: `shoestring train NAME --help` lists them. --net,
    --data, --task, --augment, --optimiser and --schedule take another kind, be it your own: --net my_net.py:TinyNet.
    """

    target: Annotated[Positional[str], arg(metavar="NAME_OR_FILE")]
    """A recipe's name, or a TOML or JSON file."""
    run: Path | None = None
    """The run's folder. By default runs/NAME-FINGERPRINT, where the fingerprint is that of the recipe."""
    rules: Path | None = None
    """A file of rules: run and report say in what the recipe departs from them. By default the shipped rules."""
    skip_bad: FlagCreatePairsOff[bool] = False
    """Go on without image files that cannot be read: short for --data.skip-bad."""
    log_to: UseAppendAction[tuple[str, ...]] = ()
    """A tracker that is told all that is recorded: tensorboard, or one of your own, file.py:Name. May be repeated."""
    recipe: Suppress[Any] = None

    def do(self, display: Display) -> int | None:
        """Trains; on SIGINT, SIGTERM and SIGHUP saves and gives 128 plus the signal's number."""
        require_rules(self.rules)
        from shoestring import api

        base = api.recipe(self.target)
        asked = self.recipe.replace(data={"skip_bad": True}) if self.skip_bad else self.recipe
        from shoestring.core.processes import launched

        def train() -> "Run":
            return api.train(
                asked, self.run, self.data_folder, self.device, display, base, self.rules, log_to=self.log_to
            )

        here = launched()
        if here and here.rank:  # the first process says all there is to say
            train()
            return None
        result = trained(display, train)
        status = result.pop("status", None)
        display.result(result)
        return status


def trained(display: Display, train: Callable[[], "Run"]) -> dict[str, Any]:
    """Trains, shows what came of it, and gives the same as plain JSON values.

    Where a signal stopped it, all is saved, and "status" is 128 plus the signal's number.
    """
    from shoestring.model.run_rules import departures_of
    from shoestring.training.loop import Interrupted

    try:
        run = train()
    except Interrupted as stop:
        display.say(f"{stop}. The same command again goes on from there.")
        return {"finished": False, "step": stop.step, "status": 128 + stop.signal_number}
    metrics = run.metrics()
    for split in ("tune", "test"):
        if split in metrics:
            show_metrics(display, metrics[split], split)
    display.line(f"run     {run.folder}")
    report = run.report_file.is_file()
    if report:
        display.line(f"report  {run.report_file.resolve()}")
    return {
        "finished": True,
        "run": str(run.folder),
        "report": str(run.report_file) if report else None,
        "parameters": sum(layer.parameters for layer in run.layers()),
        "steps": run.read_recipe()["budget"]["steps"],
        "departures": departures_of(run),
        "metrics": {split: scalars(found) for split, found in metrics.items()},
    }


@dataclass(frozen=True, kw_only=True)
class Predict(Options):
    """Name what is in image files, with probabilities; of nets that add up digits, also the digits they read."""

    target: Annotated[RunOrName, arg(metavar="RUN_OR_NAME")]
    """A run's folder, or the name of a recipe whose weights are shipped."""
    images: Annotated[Positional[tuple[Path, ...]], arg(metavar="IMAGE")]
    """Image files of any size; they are cropped to a square and resized."""
    top: int = 5
    """How many classes to name for each image."""

    def do(self, display: Display) -> None:
        """Prints the likeliest classes of each image."""
        if not self.images:
            raise ShoestringError("name at least one picture: shoestring predict RUN_OR_NAME IMAGE")
        require_at_least(1, top=self.top)
        require_run(self.target)
        from shoestring import api

        predictions = api.predict(self.target, self.images, self.top, self.device, display)
        display.result({"predictions": predictions})
        rows = ([p["image"], c["class"], percent(c["probability"])] for p in predictions for c in p["classes"])
        display.table(f"{self.target} sees", ("image", "class", "probability"), rows, numbers=("probability",))
        read = [p for p in predictions if "digits" in p]
        if read:
            cells = ([p["image"], *(f"{d['digit']} ({percent(d['probability'])})" for d in p["digits"])] for p in read)
            channels = [digit["channel"] for digit in read[0]["digits"]]
            display.table("Digits it read, by channel", ("image", *channels), cells)


@dataclass(frozen=True, kw_only=True)
class Report(Options):
    """One self-contained HTML page about a run, or several side by side."""

    runs: Annotated[Positional[tuple[str, ...]], arg(metavar="RUN")]
    """Folders of runs, or names of recipes whose weights are shipped."""
    out: Path | None = None
    """The HTML file to write. By default report.html in the first run's folder, or NAME.html for shipped weights."""

    def do(self, display: Display) -> None:
        """Writes the page."""
        if not self.runs:
            raise ShoestringError("name at least one run: shoestring report RUN")
        if self.out and self.out.suffix.lower() not in (".html", ".htm"):
            raise ShoestringError(f"--out {self.out}: reports are written as HTML; end the name in .html")
        for run in self.runs:
            require_run(run)
        from shoestring import api

        file = api.write_report(self.runs, self.out)
        display.result({"report": str(file.resolve())})
        display.line(f"report  {file.resolve()}")
