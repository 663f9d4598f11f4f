"""Sweeps: many trainings of one recipe."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from shoestring.core.progress import Progress
from shoestring.data.paths import data_folder as resolve_data_folder
from shoestring.live.usual import usual_progress
from shoestring.model.code import allow_code
from shoestring.recipes.lookup import located, recipe
from shoestring.recipes.recipe import Recipe
from shoestring.sweeping.folder import SweepFolder
from shoestring.sweeping.plan import Measure, Pruner, Search, plan, table_of
from shoestring.sweeping.shipped import SWEEPS
from shoestring.sweeping.sweep import Launcher, begin, run_sweep


def sweep(
    what: Recipe | str | Path,
    out: Path | str | None = None,
    *,
    grid: Mapping[str, Any] | None = None,
    over: Mapping[str, str] | None = None,
    search: Search | None = None,
    trials: int | None = None,
    seeds: int | None = None,
    confirm: int | None = None,
    measure: Measure | None = None,
    prune: Pruner | None = None,
    workers: int = 1,
    launcher: Launcher = "local",
    ray_address: str | None = None,
    storage: str | None = None,
    retry_failed: bool = False,
    data_folder: Path | None = None,
    device: str | None = None,
    progress: Progress | None = None,
    table: Mapping[str, Any] | None = None,
    **fields: Any,
) -> dict[str, Any]:
    """What many trainings of a recipe with other values found on the tune split; the same call again goes on.

    Points are checked as a whole before the first is trained. The folder has a run for each training, results.json,
    sweep.html, and best.toml, the recipe of the best point.

    Args:
        what: A recipe, the name or file of one, or a shipped sweep. A file may have a table `sweep` with values of the
            following arguments up to `prune`; those given here come on top.
        out: The folder; by default sweeps/NAME.
        grid: By dotted field, values to try, such as {"batch_size": [64, 128]}. Fields with commas between change
            together: {"optimiser.learning_rate,schedule.start": [[0.004, 0.25], [0.001, 0.4]]}.
        over: By dotted field, a range to draw from: "1e-4..1e-2:log", or "8..64" for whole numbers.
        search: "grid" or "random"; "tpe", "gp" and "cma-es" are samplers of Optuna.
        trials: How many points, unless all of a grid.
        seeds: Trainings of each point; by default 1.
        confirm: Trainings of the best point with new seeds; by default 3.
        measure: What to choose by: "accuracy", "balanced_accuracy", "loss", or of generators "cifar_resnet_fd".
        prune: "median" or "halving" stops trainings that are behind others at equal steps.
        workers: Trainings at once on this machine.
        launcher: "ray" leaves the trainings to a Ray cluster, which must see the same folders.
        ray_address: Of the cluster; by default one is started on this machine.
        storage: URL of the database for Optuna's study; by default a file in the folder.
        retry_failed: Try trainings that failed again, from their last checkpoint.
        data_folder: Where data lies or is downloaded to; by default SHOESTRING_DATA or the user's cache.
        device: "cpu", "cuda", …; by default a GPU when there is one.
        progress: Reports everything that takes time.
        table: What a file's table `sweep` says; by default that of `what`, where it is a file.
        fields: Values that replace the recipe's own at every point, as of `recipe`, such as budget={"steps": 60}.

    Returns:
        What results.json says, and the paths "folder", "report" and "best_recipe" (None if no point was finished).

    Raises:
        RecipeError: A field is unknown, a value out of range, or parts do not fit; names the point.
        OverBudgetError: The nets of a point are over its budget.
        RunError: The folder holds another sweep.
        ShoestringError: There are no data, an extra is not installed, or workers fail again and again.
    """
    given = recipe(what if isinstance(what, Recipe) else SWEEPS.get(str(what), what), **fields)
    planned = plan(
        sweep_table(what) if table is None else table,
        grid=grid, over=over, search=search, trials=trials, seeds=seeds, confirm=confirm, measure=measure, prune=prune,
    )  # fmt: skip
    name = given.name if isinstance(what, Recipe) else Path(what).stem
    home, progress = SweepFolder(Path(out) if out else Path("sweeps") / name), progress or usual_progress()
    begin(located(given, data_folder), planned, home, storage, progress, launcher)
    if retry_failed:
        home.reopen()
    return _swept(home, data_folder, device, progress, workers, launcher, ray_address)


def sweep_table(what: Recipe | str | Path) -> dict[str, Any]:
    """The table `sweep` of a recipe file or of a shipped sweep; empty of anything else."""
    return {} if isinstance(what, Recipe) else table_of(SWEEPS.get(str(what), Path(what)))


def join_sweep(
    folder: Path | str,
    workers: int = 1,
    data_folder: Path | None = None,
    device: str | None = None,
    progress: Progress | None = None,
    *,
    trust_code: bool = False,
) -> dict[str, Any]:
    """What a sweep found, after trainings that this machine took part in: as `sweep` gives it.

    Args:
        folder: Of the sweep, which this machine and all others see.
        workers: Trainings at once on this machine.
        data_folder: As of `sweep`.
        device: As of `sweep`.
        progress: As of `sweep`.
        trust_code: Allow the code that the sweep keeps to run, for this process.

    Raises:
        RunError: There is no such sweep, or it has code of its own that was not allowed.
        ShoestringError: As of `sweep`.
    """
    home = SweepFolder(Path(folder))
    if trust_code:
        allow_code(home.base)
    return _swept(home, data_folder, device, progress or usual_progress(), workers)


def _swept(
    home: SweepFolder,
    data_folder: Path | None,
    device: str | None,
    progress: Progress,
    workers: int,
    launcher: Launcher = "local",
    ray_address: str | None = None,
) -> dict[str, Any]:
    folder = resolve_data_folder(data_folder)
    found = run_sweep(home, folder, device, progress, workers, launcher, ray_address)
    from shoestring.report.sweep_page import build  # matplotlib takes a second to import: only when a page is written

    best = home.best_file if home.best_file.is_file() else None
    return {"folder": home.folder, "report": build(home.folder), "best_recipe": best} | found
