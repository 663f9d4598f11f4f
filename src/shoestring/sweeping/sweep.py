"""A whole sweep: planned, checked, trained by workers, and what it found."""

from pathlib import Path
from typing import Any, Literal

from shoestring.core.errors import RecipeError, require_at_least
from shoestring.core.progress import Advance, Progress
from shoestring.core.run import Run
from shoestring.model.code import keep_code, remember_code
from shoestring.recipes.recipe import Recipe
from shoestring.recipes.recipe_file import write_recipe
from shoestring.sweeping.board import Board, Row
from shoestring.sweeping.folder import SweepFolder
from shoestring.sweeping.local_workers import run_workers
from shoestring.sweeping.optuna_study import open_database, require_sampler
from shoestring.sweeping.plan import Plan, recipe_at, require_whole, spoken
from shoestring.sweeping.ray_cluster import require_ray, run_on_ray
from shoestring.sweeping.results import results
from shoestring.sweeping.search import open_proposals
from shoestring.sweeping.worker import SaidOnce, work

Launcher = Literal["local", "ray"]
MINUTE = 60.0


def begin(
    recipe: Recipe,
    plan: Plan,
    folder: SweepFolder,
    storage: str | None,
    progress: Progress,
    launcher: Launcher = "local",
) -> None:
    """Writes the plan of a sweep, once everything in it is known to fit; or goes on with the same one.

    Raises:
        RecipeError: A field is unknown, a value out of range, or parts do not fit; names the point.
        OverBudgetError: The nets of a point are over its budget.
        RunError: Another sweep was begun in the folder.
        ShoestringError: The search or the launcher needs what is not installed, or the study's database does not open.
    """
    with progress.task("checking every point", 0) as advance:
        if plan.searched not in ("grid", "random"):
            require_sampler(plan.searched)
        elif storage:
            raise RecipeError("--storage is of Optuna's study and goes with its samplers: --search tpe")
        if launcher == "ray":
            require_ray()
        require_whole(plan, recipe)
        if storage:
            open_database(storage)
        advance()
    folder.begin(plan, recipe, storage)
    remember_code(recipe, progress)


def run_sweep(
    folder: SweepFolder,
    data_folder: Path,
    device: str | None,
    progress: Progress,
    workers: int = 1,
    launcher: Launcher = "local",
    ray_address: str | None = None,
) -> dict[str, Any]:
    """What a sweep found, after all its trainings; they may be shared with others that work in the folder.

    Args:
        folder: Of a sweep that was begun.
        data_folder: Where data lies.
        device: "cpu", "cuda", …; None takes a GPU when there is one.
        progress: Reports how many trainings are done, the best so far and the time left.
        workers: Trainings at once on this machine.
        launcher: "ray" leaves the trainings to a Ray cluster.
        ray_address: Of the cluster; by default one is started on this machine.

    Raises:
        ShoestringError: There are no data, or workers fail again and again.
        Interrupted: A signal came; everything is saved.
    """
    require_at_least(1, workers=workers)
    board = Board(folder, open_proposals(folder))
    done, planned = board.count()
    with progress.task(f"sweep of {folder.recipe.name}", planned, "trainings", start=done) as advance:
        meter = Meter(board, advance, workers)
        if launcher == "ray":
            run_on_ray(board, data_folder, device, progress, ray_address, meter.look)
        elif workers > 1:
            run_workers(workers, board, data_folder, device, progress, meter.look)
        else:
            work(board, data_folder, device, SaidOnce(progress), meter.look)
    return conclude(board)


def conclude(board: Board) -> dict[str, Any]:
    """What a sweep found, after it was written into its folder, with the best point's recipe."""
    found, best, folder = results(board), board.best(), board.folder
    if best:
        recipe = recipe_at(folder.recipe, best.point)
        keep_code(Run(folder.folder), recipe)
        write_recipe(recipe, folder.best_file, _comment(folder, best, board.confirmation()))
    folder.write_results(found)
    return found


class Meter:
    """Shows how far a sweep is: trainings done, the best so far, the time left."""

    def __init__(self, board: Board, advance: Advance, workers: int) -> None:
        self.board = board
        self.advance = advance
        self.workers = workers
        self.done = board.count()[0]

    def look(self) -> None:
        """Shows what has changed."""
        done, planned = self.board.count()
        if done == self.done:
            return
        best, details = self.board.best(), dict[str, str]()
        if best and best.metric:
            details["best"] = f"{self.board.folder.measure} {best.metric.value:.4g} ({spoken(best.point)})"
        seconds = self.board.mean_seconds()
        if seconds and planned > done:
            details["left"] = f"{seconds * (planned - done) / self.workers / MINUTE:,.1f} min of training"
        self.advance(done - self.done, **details)
        self.done = done


def _comment(folder: SweepFolder, best: Row, confirmation: Row | None) -> list[str]:
    lines = [f"Point {best.number} of a sweep of {folder.recipe.name}: {spoken(best.point)}."]
    for row, what in ((best, "in the search"), (confirmation, "with new seeds")):
        if row and row.metric:
            interval = row.metric.interval
            beside = f", 95 % interval {interval[0]:.4g} to {interval[1]:.4g}" if interval else ""
            lines.append(f"{folder.measure} on tune {what}: {row.metric.value:.4g}, seeds: {row.metric.n}{beside}.")
    return lines
