"""Training: a recipe to the end of its budget, or a model that is chosen for a folder of images."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from shoestring.api.reports import write_report
from shoestring.core.errors import ShoestringError
from shoestring.core.progress import Progress
from shoestring.core.run import Run
from shoestring.data.dataset import Split, holds_out
from shoestring.data.paths import data_folder as resolve_data_folder
from shoestring.evaluation.classifier import record_classifier
from shoestring.evaluation.evaluate import evaluate_run
from shoestring.evaluation.sample_grids import draw_samples
from shoestring.fitting.choose import wanted
from shoestring.fitting.prepare import prepare
from shoestring.live.usual import usual_progress
from shoestring.model.generator import Generator
from shoestring.model.load import usual_run
from shoestring.profiling.autotune import resolve_engine
from shoestring.recipes.lookup import located, overrides_of, recipe
from shoestring.recipes.recipe import Recipe
from shoestring.recipes.rules import Rules
from shoestring.recipes.rules import rules as rules_of
from shoestring.tracking.tracked_run import TrackedRun
from shoestring.tracking.tracker import TrackerMaker, open_trackers
from shoestring.training.loop import Watch
from shoestring.training.sharing import company, serve
from shoestring.training.train import train as train_run


def train(
    what: Recipe | str | Path,
    run: Path | str | None = None,
    data_folder: Path | None = None,
    device: str | None = None,
    progress: Progress | None = None,
    base: Recipe | None = None,
    rules: Rules | Path | str | None = None,
    watch: Watch | None = None,
    log_to: Sequence[str | TrackerMaker] | str | TrackerMaker = (),
    **fields: Any,
) -> Run:
    """The run of a finished training, measured and with its report; the same call again goes on or returns at once.

    A classifier is evaluated on the tune split or, when the recipe holds none out, on the test split; of a generator
    samples are drawn, and `evaluate` measures it. Of processes that torchrun started, the first one writes; the others
    help it, and return when it does.

    Args:
        what: A recipe, or the name or file of one.
        run: The run's folder; by default runs/NAME-FINGERPRINT.
        data_folder: Where data lies or is downloaded to; by default SHOESTRING_DATA or the user's cache.
        device: "cpu", "cuda", …; by default a GPU when there is one.
        progress: Reports everything that takes time; by default a bar on a terminal, bar and curves in a notebook.
        base: The recipe that this one was made of, where none of its name is shipped: run and report say what differs.
        rules: A file of rules, by default the shipped ones; run and report say in what the recipe departs from them.
        watch: Is called at every look at the tune split, or at samples, with the step and what was measured, such as
            {"accuracy": 0.93}; true stops the training, which the same call without it would go on with.
        log_to: Trackers that are told all that is recorded: "tensorboard", one's own class, or its file.py:Name.
        fields: Values that replace the recipe's own, as of `recipe`, such as net=TinyNet or budget={"steps": 60}.

    Raises:
        RunError: Another process writes into the folder, or it holds a run of another recipe.
        Stopped: The watch stopped it, after everything was saved.
    """
    in_force = rules_of(rules)
    given = recipe(what, **fields)
    base = recipe(what) if fields and base is None else base
    asked = located(given, data_folder)
    place = (Run(Path(run)) if run else usual_run(asked)).folder
    home = TrackedRun(place, open_trackers(log_to, place))
    folder, progress = resolve_data_folder(data_folder), progress or usual_progress()
    split: Split = "tune" if holds_out(asked.data) else "test"
    # Of what was given: where the base's own folder of images lies, if anywhere, is of no concern.
    overrides = overrides_of(given, base)
    with company(asked, device) as processes:
        if processes.rank:
            serve(processes)
            return Run(place)
        with home.locked(progress), home.told():
            model = train_run(
                asked, home, folder, device, progress, overrides, resolve_engine, in_force, watch, processes
            )
            with model.machine.running():
                if isinstance(model, Generator):
                    if not home.has_pictures():
                        draw_samples(model, home, progress)
                elif split not in home.metrics():
                    found = evaluate_run(model, home, split, folder, progress)
                    record_classifier(home, found, model.recipe.data.classes)
            try:
                write_report([home])
            except ShoestringError as error:  # a report can be made again any time
                progress.say(f"no report: {error}. Then: shoestring report {home.folder}")
    return Run(place)


def fit(
    folder: Path | str,
    out: Path | str | None = None,
    data_folder: Path | None = None,
    device: str | None = None,
    progress: Progress | None = None,
    *,
    skip_bad: bool = False,
    train_it: bool = True,
    **limits: Any,
) -> Run:
    """The run of a model for a folder of images, chosen to suit them, limits and a time, and trained.

    Choices and reasons go to the run's folder, the recipe beside it as a TOML file that `train` takes. The same call
    again goes on with that recipe, or returns at once.

    Args:
        folder: As of `inspect`: a folder of images, or a CSV of files and labels.
        out: The run's folder; by default runs/NAME, where NAME is the folder's.
        data_folder: Where a folder is looked for that is not here; by default SHOESTRING_DATA or the user's cache.
        device: "cpu", "cuda", …; by default a GPU when there is one.
        progress: Reports everything that takes time.
        skip_bad: Go on without image files that cannot be read.
        train_it: Train it, too; else only choose.
        limits: Those of `Wanted`, such as minutes=5, parameters=50_000, activation_bytes=64_000, size=48.

    Raises:
        RecipeError: There is no such limit, or it is not above 0.
        OverBudgetError: No net is within the limits.
        RunError: The run's folder holds another one.
        DataError: The folder has no classes, or bad files.
    """
    progress = progress or usual_progress()
    home, file = prepare(folder, out, wanted(**limits), skip_bad, resolve_data_folder(data_folder), device, progress)
    return train(file, home.folder, data_folder, device, progress) if train_it else home
