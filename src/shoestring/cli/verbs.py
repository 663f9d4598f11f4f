"""The verbs of the command line. Each calls the API and shows what came back; torch is imported when a verb runs."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from tyro.conf import FlagCreatePairsOff, Positional, Suppress, arg

from shoestring.cli.display import Display
from shoestring.cli.options import Options, RunOrName, Sampling, Verb
from shoestring.core.errors import RecipeError, ShoestringError, require_at_least
from shoestring.report.format import interval, number, percent

DESCRIPTION = "Image models under a hard budget of parameters and optimisation steps. --version says which this is."


@dataclass(frozen=True, kw_only=True)
class List(Options):
    """Every recipe: task, data, parameters, budget, published result, our measured result."""

    parts: FlagCreatePairsOff[bool] = False
    """Instead, every kind of net, data, task, augmentation, optimiser and schedule, and the package it comes from."""

    def do(self, display: Display) -> None:
        """Prints the table."""
        from shoestring.cli.overview import overview
        from shoestring.cli.parts import parts_overview

        if self.parts:
            found = parts_overview()
            display.result({"parts": found})
            display.table("Parts", ("part", "kind", "package", "what it is"), [list(row.values()) for row in found])
            display.line("One of your own is file.py:Name or module:Name, such as --net my_net.py:TinyNet.")
            return
        rows = overview()
        display.result({"recipes": rows})
        columns = ("recipe", "task", "data", "parameters", "budget", "steps", "published", "measured")
        cells = (
            [str(row[f"{column}_text"] if f"{column}_text" in row else row[column]) for column in columns]
            for row in rows
        )
        display.table("Recipes", columns, cells, numbers=("parameters", "budget", "steps"))
        display.line(
            "Measured: the shipped weights, of seed 0; docs/results.md has means over seeds. Empty: none shipped."
        )
        display.line("shoestring show NAME tells all about one; shoestring train NAME trains it.")


@dataclass(frozen=True, kw_only=True)
class Show(Options):
    """One recipe: its fields, its layer table, and what is left of the budget."""

    target: Annotated[Positional[str], arg(metavar="NAME_OR_FILE")]
    """A recipe's name, or a TOML or JSON file."""
    recipe: Suppress[Any] = None

    def do(self, display: Display) -> None:
        """Prints recipe and layer table."""
        from shoestring import api
        from shoestring.cli.overview import show

        show(api.located(self.recipe, self.data_folder), display)


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
    recipe: Suppress[Any] = None

    def do(self, display: Display) -> int | None:
        """Trains; on SIGINT, SIGTERM and SIGHUP saves and gives 128 plus the signal's number."""
        from shoestring import api
        from shoestring.training.loop import Interrupted

        try:
            base = api.recipe(self.target)
            run = api.train(self.recipe, self.run, self.data_folder, self.device, display, base)
        except Interrupted as stop:
            display.say(f"{stop}. The same command again goes on from there.")
            display.result({"finished": False, "step": stop.step})
            return 128 + stop.signal_number
        measures = run.measures()
        display.result({
            "finished": True,
            "run": str(run.folder),
            "report": str(run.report_file) if run.report_file.is_file() else None,
            "parameters": sum(layer.parameters for layer in run.layers()),
            "steps": self.recipe.budget.steps,
            "measures": {split: _scalars(found) for split, found in measures.items()},
        })  # fmt: skip
        for split in ("tune", "test"):
            if split in measures:
                show_measures(display, measures[split], split)
        display.line(f"run     {run.folder}")
        if run.report_file.is_file():
            display.line(f"report  {run.report_file.resolve()}")
        return None


@dataclass(frozen=True, kw_only=True)
class Evaluate(Sampling):
    """Measure a run, or shipped weights, on a split; or any generated images against real ones.

    `shoestring evaluate --generated FOLDER --real FOLDER` needs no run: each is a folder of images or of folders of
    them, a .npy or .npz file of uint8 images, or a data set, recipe or recipe file with its split: cifar100:test.
    """

    target: Annotated[Positional[str | None], arg(metavar="RUN_OR_NAME")] = None
    """A run's folder, or the name of a recipe whose weights are shipped."""
    split: Literal["train", "tune", "test"] = "test"
    """tune: held out of train, for development; train: for that, of generators. test: for the final figure."""
    generated: str | None = None
    """Images to judge, in place of a run."""
    real: str | None = None
    """Real images to compare them with."""
    floor: str | None = None
    """Further real images, whose scores are the floor. By default train, where --real is another split."""
    count: int | None = None
    """Generated images, and as many real ones. By default 10,000, or all there are."""
    seeds: int = 1
    """Samplings of a generator to average over."""
    inception: Path | None = None
    """The FID Inception, .pth or .safetensors; none does without. By default the official file, downloaded once."""
    dimensions: Literal[64, 192, 768, 2048] | None = None
    """Inception's features per image. By default 2048, or 768 if the file ends there."""
    resizing: Literal["clean", "legacy"] = "clean"
    """How images are brought to Inception's size: bicubic as clean-fid does it, or bilinear as older tools do."""
    average: float | None = None
    """Decay of a running mean of the weights that the run kept. By default the final weights."""
    class_name: Annotated[Literal["none"] | None, arg(name="class")] = None
    """none: a generator that knows classes is told none, or one by chance if it was always told one. By default every
    class in turn."""

    def do(self, display: Display) -> None:
        """Prints the measures."""
        from shoestring import api

        how: dict[str, Any] = {
            "count": self.count,
            "inception": self.inception,
            "dimensions": self.dimensions,
            "resizing": self.resizing,
        }
        if self.generated is not None or self.real is not None:
            if self.generated is None or self.real is None or self.target is not None:
                raise ShoestringError("give a run or name, or else both --generated and --real")
            if self.average is not None or self.class_name or self.sampling() or self.seeds != 1:
                raise ShoestringError(
                    "--average, --class, --seeds and options of sampling are for a run, not for given images"
                )
            scores = api.compare_images(
                self.generated, self.real, self.floor, self.data_folder, self.device, display, **how
            )
            facts, split = {"generated": self.generated, "real": self.real}, self.real
            measures = {name: score.to_json() for name, score in scores.items()}
        elif self.target is None:
            raise ShoestringError("name what to measure: shoestring evaluate RUN_OR_NAME, or --generated and --real")
        elif self.floor is not None:
            raise ShoestringError("--floor goes with --generated and --real; a run's floor comes from its train images")
        else:
            asked: dict[str, Any] = {
                "seeds": self.seeds,
                "average": self.average,
                "class_name": self.class_name,
            } | self.sampling()
            found = api.evaluate(self.target, self.split, self.data_folder, self.device, display, **how, **asked)
            given = {name: value for name, value in asked.items() if value is not None}
            facts, split = {"target": self.target, "split": self.split, "options": given}, self.split
            measures = {name: measure.to_json() for name, measure in found.items()}
        display.result(facts | measures)
        show_measures(display, measures, split)


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
        from shoestring import api

        if not self.images:
            raise ShoestringError("name at least one picture: shoestring predict RUN_OR_NAME IMAGE")
        require_at_least(1, top=self.top)
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
        from shoestring import api

        if not self.runs:
            raise ShoestringError("name at least one run: shoestring report RUN")
        if self.out and self.out.suffix.lower() not in (".html", ".htm"):
            raise ShoestringError(f"--out {self.out}: reports are written as HTML; end the name in .html")
        file = api.write_report(self.runs, self.out)
        display.result({"report": str(file.resolve())})
        display.line(f"report  {file.resolve()}")


def show_measures(display: Display, measures: dict[str, Any], split: str) -> None:
    """A table of the measures that are single numbers, those of generated images with floor and excess."""
    rows: list[list[str]] = []
    single = _scalars(measures)
    judged = any(measure.get("floor") is not None for measure in single.values())
    beside = ("floor", "excess") if judged else ()
    for name, measure in single.items():
        numbers = [number(measure[key]) if measure.get(key) is not None else "" for key in ("value", *beside)]
        bounds = interval(measure["interval"]) if measure.get("interval") else ""
        rows.append([name.replace("_", " "), *numbers, bounds, f"{measure['n']:,}"])
    columns = ("measure", "value", *beside, "95% interval", "n")
    display.table(f"Measured on {split}", columns, rows, numbers=("value", *beside, "n"))
    if judged:
        display.line("floor: what as many other real images get; excess: value less floor.")
    for name, measure in single.items():
        if measure.get("caution"):
            display.line(f"{name.replace('_', ' ')}: {measure['caution']}.")


def with_recipe(verb: type[Options], name: str, words: Sequence[str]) -> Verb:
    """A verb whose recipe was named, with the recipe's fields as typed options.

    Raises:
        RecipeError: There is no such recipe, or the options make none that fits.
    """
    import dataclasses

    import tyro
    from pydantic import ValidationError

    from shoestring import api
    from shoestring.cli.parts import with_kinds
    from shoestring.recipes.recipe import Recipe, explain

    fields = [("target", Suppress[str]), ("recipe", Annotated[Recipe, arg(name="")])]
    whole = dataclasses.make_dataclass(verb.__name__, fields, bases=(verb,), frozen=True, kw_only=True)
    start, words = with_kinds(api.recipe(name), words)
    default = whole(target=name, recipe=start)
    prog = f"shoestring {verb.__name__.lower()} {name}"
    try:
        parsed = tyro.cli(  # pyright: ignore[reportUnknownVariableType]
            whole,
            default=default,
            args=list(words),
            prog=prog,
            description=verb.__doc__,
            config=(tyro.conf.AvoidSubcommands,),
        )
    except ValidationError as error:  # of the recipe as a whole; tyro explains those of its parts
        raise RecipeError(f"{name} with these options is not valid:\n{explain(error)}") from error
    return cast(Verb, parsed)


def _scalars(measures: dict[str, Any]) -> dict[str, Any]:
    return {name: measure for name, measure in measures.items() if isinstance(measure["value"], int | float)}


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
