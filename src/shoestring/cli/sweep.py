"""The verb that trains a recipe many times with other values."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from tyro.conf import FlagCreatePairsOff, Positional, Suppress, UseAppendAction, arg

from shoestring.cli.display import Display
from shoestring.cli.options import Options
from shoestring.core.errors import RecipeError
from shoestring.report.format import duration, integer, interval, number, percent, plain

SHOWN = 20  # points in the table; the page has all


@dataclass(frozen=True, kw_only=True)
class Sweep(Options):
    """Train a recipe many times with other values, and find the best on the tune split. The same command goes on.

    On another machine that sees the same folder, `shoestring sweep --join FOLDER` helps. After NAME come typed
    overrides that hold for all points, such as --budget.steps 1000. All is checked before the first training. At the
    end: a table, the best point trained with new seeds, its recipe, and one HTML page.
    """

    target: Annotated[Positional[str], arg(metavar="NAME_OR_FILE")]
    """A recipe's name, a TOML or JSON file, perhaps with a table [sweep], or a sweep of `shoestring list --sweeps`."""
    grid: UseAppendAction[tuple[str, ...]] = ()
    """FIELD=VALUE,VALUE: values to try. FIELD,FIELD=[[VALUE,VALUE],…] changes fields together. May be repeated."""
    over: UseAppendAction[tuple[str, ...]] = ()
    """FIELD=LOW..HIGH or FIELD=LOW..HIGH:log: a range to draw numbers from. May be repeated."""
    out: Path | None = None
    """The folder. By default sweeps/NAME."""
    search: Literal["grid", "random", "tpe", "gp", "cma-es"] | None = None
    """By default every point of the grid, or random ones where there is a range. The others are samplers of Optuna."""
    trials: int | None = None
    """How many points, unless all of a grid."""
    seeds: int | None = None
    """Trainings of each point. By default 1."""
    confirm: int | None = None
    """Trainings of the best point with new seeds. By default 3."""
    measure: Literal["accuracy", "balanced_accuracy", "loss", "cifar_resnet_fd"] | None = None
    """What to choose by. By default accuracy, or of generators cifar_resnet_fd."""
    prune: Literal["none", "median", "halving"] | None = None
    """Stop trainings that are behind others at equal steps, by a pruner of Optuna."""
    workers: int = 1
    """Trainings at once on this machine."""
    launcher: Literal["local", "ray"] = "local"
    """ray leaves the trainings to a Ray cluster, which must see the same folders."""
    ray_address: str | None = None
    """Of the cluster, such as auto. By default one is started on this machine."""
    storage: str | None = None
    """URL of a database for Optuna's study. By default a file in the folder."""
    retry_failed: FlagCreatePairsOff[bool] = False
    """Try trainings that failed again, from their last checkpoint."""
    recipe: Suppress[Any] = None

    def do(self, display: Display) -> int | None:
        """Trains, and shows the table; on a signal gives 128 plus its number."""
        from shoestring import api
        from shoestring.training.loop import Interrupted

        try:
            found = api.sweep(
                self.recipe, self.out or Path("sweeps") / Path(self.target).stem,
                grid=assigned("--grid", self.grid), over=assigned("--over", self.over),
                search=self.search, trials=self.trials, seeds=self.seeds, confirm=self.confirm, measure=self.measure,
                prune=self.prune, workers=self.workers, launcher=self.launcher, ray_address=self.ray_address,
                storage=self.storage, retry_failed=self.retry_failed, data_folder=self.data_folder, device=self.device,
                progress=display, table=api.sweep_table(self.target),
            )  # fmt: skip
        except Interrupted as stop:
            return stopped(stop.signal_number, display)
        show(found, display)
        return None


@dataclass(frozen=True, kw_only=True)
class Join(Options):
    """Help with a sweep that was begun in a folder which this machine sees, and others too."""

    join: Path
    """The folder."""
    workers: int = 1
    """Trainings at once on this machine."""

    def do(self, display: Display) -> int | None:
        """Trains, and shows the table; on a signal gives 128 plus its number."""
        from shoestring import api
        from shoestring.training.loop import Interrupted

        try:
            found = api.join_sweep(self.join, self.workers, self.data_folder, self.device, display)
        except Interrupted as stop:
            return stopped(stop.signal_number, display)
        show(found, display)
        return None


def assigned(option: str, words: Sequence[str]) -> dict[str, str]:
    """FIELD=TEXT words as a dict.

    Raises:
        RecipeError: One is none, or a field is there twice.
    """
    found: dict[str, str] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals or name in found:
            what = f"{name} is there twice" if equals else f"{word!r} has no ="
            raise RecipeError(f"{option}: {what}; write {option} FIELD=… once for each field")
        found[name] = text
    return found


def stopped(number: int, display: Display) -> int:
    """The exit status of a sweep that a signal stopped, after saying how to go on."""
    display.say("stopped; everything is saved. The same command again goes on from there.")
    display.result({"finished": False})
    return 128 + number


def show(found: dict[str, Any], display: Display) -> None:
    """The table, the best point and where everything lies."""
    display.result({key: str(value) if isinstance(value, Path) else value for key, value in found.items()})
    fields = [field for axis in found["axes"] for field in axis["fields"]]
    say = percent if "accuracy" in found["measure"] else number
    rows = [
        [str(rank), *(plain(point["fields"][field]) for field in fields), *_measured(point, say)]
        for rank, point in enumerate(found["points"][:SHOWN], start=1)
    ]
    columns = ("rank", *fields, f"tune {found['measure']}", "95 % interval", "seeds")
    display.table(f"Sweep of {found['recipe']}", columns, rows, numbers=("rank", columns[-3], "95 % interval", "seeds"))
    if len(found["points"]) > SHOWN:
        display.line(f"… and {len(found['points']) - SHOWN} more; the page has all.")
    confirmation, cost = found["confirmation"], found["cost"]
    if confirmation and confirmation["metric"]:
        value, within, seeds = _measured(confirmation, say)
        display.line(f"The best with {seeds} new seeds: {value}{within and f', 95 % interval {within}'}.")
    spent = f"{integer(cost['steps'])} steps in {cost['trainings']} trainings, {duration(cost['seconds'])} of training"
    display.line(f"Spent: {spent}; {cost['failed']} failed, {cost['pruned']} stopped early.")
    for note in found["notes"]:
        display.line(f"Note: {note}.")
    if found["best_recipe"]:
        display.line(f"recipe  {found['best_recipe']}")
    display.line(f"page    {Path(found['report']).resolve()}")


def _measured(point: dict[str, Any], say: Any) -> list[str]:
    metric = point["metric"]
    if not metric:
        return [point["state"], "", ""]
    inside = interval(metric["interval"], in_percent=say is percent) if metric["interval"] else ""
    return [say(metric["value"], 2) if say is percent else say(metric["value"]), inside, str(metric["n"])]
