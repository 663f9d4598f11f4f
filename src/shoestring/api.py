"""What a user of the package calls; the command line calls the same."""

import tempfile
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from shoestring.contest.check import WINDOWS, Checked
from shoestring.contest.check import check as check_submission
from shoestring.contest.finding import Level
from shoestring.contest.grade import Board, Limits
from shoestring.contest.grade import grade as grade_folder
from shoestring.contest.measured import Sampled
from shoestring.core.config import did_you_mean
from shoestring.core.errors import ExportError, RecipeError, RunError, ShoestringError, require_at_least
from shoestring.core.image_batch import ImageBatch, image_batch
from shoestring.core.layer_table import LayerTable
from shoestring.core.packed import SUFFIX, record_of
from shoestring.core.packed import pack as pack_run
from shoestring.core.progress import Progress
from shoestring.core.run import Run, write_atomic
from shoestring.data.dataset import Split, holds_out
from shoestring.data.image_folder import ImageFolder
from shoestring.data.inspection import FolderReport
from shoestring.data.inspection import inspect as inspect_folder
from shoestring.data.paths import data_folder as resolve_data_folder
from shoestring.evaluation.classifier import record_classifier
from shoestring.evaluation.evaluate import compare_images as compare_images
from shoestring.evaluation.evaluate import evaluate as evaluate
from shoestring.evaluation.evaluate import evaluate_run
from shoestring.evaluation.extractors import Weights
from shoestring.evaluation.promote import promote as promote_run
from shoestring.evaluation.sample_grids import draw_samples
from shoestring.exporting.export import export_model, is_current, usual_folder
from shoestring.exporting.exportable import exportable
from shoestring.exporting.forms import WRITERS, Form, meaning
from shoestring.exporting.onnx_file import write_onnx
from shoestring.fitting.choose import wanted
from shoestring.fitting.prepare import prepare
from shoestring.hub.address import parse_address
from shoestring.hub.push import push as push_run
from shoestring.live.usual import usual_progress
from shoestring.model.build import build
from shoestring.model.code import Kept, allow_code, give_parts, trust_run
from shoestring.model.generator import Generator
from shoestring.model.likeliest import likeliest
from shoestring.model.load import file_name, is_fixed, open_run, usual_run, whole_recipe
from shoestring.model.load import load as load_run
from shoestring.model.metrics_origin import metrics_origin
from shoestring.model.model import Model, require_classifier, require_generator
from shoestring.model.pixels import BATCH
from shoestring.model.run_rules import departures_of
from shoestring.profiling.autotune import resolve_engine
from shoestring.recipes.lookup import located, overrides_of, recipe
from shoestring.recipes.recipe import Recipe
from shoestring.recipes.rules import Rules
from shoestring.recipes.rules import rules as rules_of
from shoestring.sweeping.folder import SweepFolder
from shoestring.sweeping.plan import Measure, Pruner, Search, plan, table_of
from shoestring.sweeping.shipped import SWEEPS
from shoestring.sweeping.sweep import Launcher, begin, run_sweep
from shoestring.tracking.tracked_run import TrackedRun
from shoestring.tracking.tracker import TrackerMaker, open_trackers
from shoestring.training.loop import Watch
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

    Evaluates on the tune split; when the recipe holds none out, on the test split.

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
    with home.locked(progress), home.told():
        model = train_run(asked, home, folder, device, progress, overrides, resolve_engine, in_force, watch)
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
    begin(located(given, data_folder), planned, home, storage, progress)
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


def inspect(
    folder: Path | str, data_folder: Path | None = None, progress: Progress | None = None, **fields: Any
) -> FolderReport:
    """What a folder of images holds and what looks wrong in it, before anything is trained.

    Args:
        folder: The folder, a CSV of files and labels, or a recipe file whose data are such.
        data_folder: Where a folder is looked for that is not here; by default SHOESTRING_DATA or the user's cache.
        progress: Reports the files read.
        fields: How it is to be read, as of `data` in a recipe, such as size=64 or tune=0.

    Raises:
        DataError: There is no such folder, or it has no classes, or one without images.
        RecipeError: There is no such field, or the recipe's data are no folder.
    """
    place = Path(folder).expanduser()
    if place.suffix in (".toml", ".json"):
        data = recipe(place).data
        if not isinstance(data, ImageFolder):
            raise RecipeError(f"{folder} has data of kind {data.kind!r}; only folders of images can be inspected")
    else:
        data = ImageFolder(path=place.absolute() if place.exists() else place)
    return inspect_folder(data.replace(**fields), resolve_data_folder(data_folder), progress or usual_progress())


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


def layers(what: Recipe | str | Path, **fields: Any) -> LayerTable:
    """The layer table of a recipe: output shapes, parameters and multiply-adds of each layer for one image.

    Args:
        what: A recipe, or the name or file of one.
        fields: Values that replace the recipe's own, as of `recipe`.

    Raises:
        OverBudgetError: The nets do not fit the budget.
    """
    return LayerTable(build(located(recipe(what, **fields))).layers)


def load(
    what: Path | str,
    device: str | None = None,
    ema_decay: float | None = None,
    progress: Progress | None = None,
    *,
    trust_code: bool = False,
    **parts: Any,
) -> Model:
    """The trained model of a run, or shipped weights by recipe name: a `Classifier` or a `Generator`.

    Args:
        what: A run's folder, or the name of a recipe whose weights are shipped. A run that is not finished is taken as
            its last checkpoint has it.
        device: "cpu", "cuda", …; by default a GPU when there is one.
        ema_decay: Of EMA weights that the run kept; by default the final weights.
        progress: Reports when the run is not finished.
        trust_code: Allow the code that the run keeps to run, for this process; `trust` allows it for good.
        parts: Classes or functions that the run was trained with and that were written in a notebook or script, such as
            net=TinyNet; this process remembers them.

    Raises:
        RunError: There are no such weights; or the run has code of its own that was not allowed or given.
    """
    run = open_run(what)
    if trust_code:
        allow_code(run)
    give_parts(run, parts, progress or Progress())
    return load_run(run, device, ema_decay, progress)


def trust(what: Path | str) -> list[Kept]:
    """Allows the code that a run keeps to run, in this process and later ones; gives what was allowed.

    Args:
        what: The run's folder. Its code is what its `source` folder holds.

    Raises:
        RunError: There is no such run, or its code is not as `train` wrote it.
    """
    return trust_run(open_run(what))


def promote(
    what: Path | str,
    ema_decay: float | None = None,
    device: str | None = None,
    progress: Progress | None = None,
    sampling: Mapping[str, Any] | None = None,
) -> Run:
    """A finished run with other default weights or another sampler, with pictures and report to match.

    Choose by the tune split, or of a generator by train images. Earlier metrics and pictures go to the run's folder
    "archive", since they are of other weights or samples: evaluate anew. Nothing is trained.

    Args:
        what: The run's folder.
        ema_decay: Of the EMA weights that become the final ones; by default the weights stay.
        device: "cpu", "cuda", …; by default a GPU when there is one.
        progress: Reports everything that takes time.
        sampling: Options of the recipe's `task.sampling` to change, such as {"guidance": 2.0}.

    Raises:
        RunError: The run is shipped, not finished or not to be written to, or kept no such EMA weights, or another
            process writes into it.
        RecipeError: There is no such option of sampling, or the run is a classifier's.
        OverBudgetError: An image would take more net calls than the budget allows.
    """
    home, progress = open_run(what), progress or usual_progress()
    if is_fixed(home):
        raise RunError(f"{what} is shipped, packed or of the hub; copy {home.folder} and name the copy")
    with home.locked(progress):
        if not promote_run(home, ema_decay, sampling, device, progress):
            progress.say(f"{what} has these weights and this sampler already")
        write_report([home])
    return home


def sample(
    what: Path | str,
    count: int = 64,
    seed: int = 0,
    device: str | None = None,
    progress: Progress | None = None,
    class_name: str | None = None,
    ema_decay: float | None = None,
    trust_code: bool = False,
    sampling: Mapping[str, Any] | None = None,
) -> ImageBatch:
    """Images made by a generator: uint8 (count, c, h, w), which a notebook shows as a picture.

    Args:
        what: A run's folder, or the name of a recipe whose weights are shipped.
        count: How many.
        seed: Decides which.
        device: "cpu", "cuda", …; by default a GPU when there is one.
        progress: Reports every batch, and when the run is not finished.
        class_name: The class of all images; "", or "none" if no class is called so, for no class in particular; by
            default every class in turn.
        ema_decay: Of EMA weights that the run kept; by default the final weights.
        trust_code: As of `load`.
        sampling: Options of the recipe's `task.sampling` to change, such as {"steps": 18, "guidance": 1.5}.

    Raises:
        ShoestringError: `count` is below 1.
        RecipeError: There is no such class or option, or the model is a classifier.
        OverBudgetError: An image would take more net calls than the budget allows.
    """
    require_at_least(1, count=count)
    progress = progress or usual_progress()
    model = require_generator(load(what, device, ema_decay, progress, trust_code=trust_code)).with_sampling(sampling)
    with model.machine.running():
        return image_batch(model.sample(count, seed, progress, model.labels(count, class_name)))


def interpolate(
    what: Path | str,
    pairs: int = 8,
    steps: int = 8,
    seed: int = 0,
    device: str | None = None,
    progress: Progress | None = None,
    class_name: str | None = None,
    to_class: str | None = None,
    trust_code: bool = False,
    sampling: Mapping[str, Any] | None = None,
) -> ImageBatch:
    """Images of a generator on the way between pairs of latent vectors: uint8 (pairs, steps, c, h, w).

    Args:
        what: A run's folder, or the name of a recipe whose weights are shipped.
        pairs: How many paths.
        steps: Images on each, both ends included.
        seed: Decides the pairs.
        device: "cpu", "cuda", …; by default a GPU when there is one.
        progress: Reports every batch, and when the run is not finished.
        class_name: The class to start from; by default path i shows class i.
        to_class: The class to end at; by default the one started from.
        trust_code: As of `load`.
        sampling: As of `sample`.

    Raises:
        ShoestringError: `pairs` is below 1 or `steps` below 2.
        RecipeError: There is no such class or option, or the model is a classifier.
        OverBudgetError: An image would take more net calls than the budget allows.
    """
    require_at_least(1, pairs=pairs)
    require_at_least(2, steps=steps)
    progress = progress or usual_progress()
    model = require_generator(load(what, device, progress=progress, trust_code=trust_code)).with_sampling(sampling)
    labels = model.labels(pairs, class_name), model.labels(pairs, class_name if to_class is None else to_class)
    with model.machine.running():
        return image_batch(model.interpolate(pairs, steps, seed, progress, labels))


def predict(
    what: Path | str,
    files: Sequence[Path | str] | Path | str,
    top: int = 5,
    device: str | None = None,
    progress: Progress | None = None,
    trust_code: bool = False,
) -> list[dict[str, Any]]:
    """The likeliest classes of image files, best first.

    Args:
        what: A run of a classifier, or the name of a shipped one.
        files: One picture or several, of any size; the middle square is taken and resized.
        top: How many classes to name.
        device: "cpu", "cuda", …; by default a GPU when there is one.
        progress: Reports every batch, and when the run is not finished.
        trust_code: As of `load`.

    Returns:
        For each file {"image": path, "classes": [{"class": name, "probability": 0..1}, …]}; of a net that reads a digit
        in each channel also "digits": [{"channel": "red", "digit": 0..9, "probability": 0..1}, …], the likeliest ones.

    Raises:
        ShoestringError: `top` is below 1.
        DataError: A file is missing or is no picture.
        DivergedError: The net answers NaN or infinity.
    """
    require_at_least(1, top=top)
    progress = progress or Progress()
    model = require_classifier(load(what, device, progress=progress, trust_code=trust_code))
    files = [files] if isinstance(files, str | Path) else files
    found: list[dict[str, Any]] = []
    with progress.task("naming images", len(files), "images") as advance:
        for start in range(0, len(files), BATCH):
            some = files[start : start + BATCH]
            found += likeliest(model, some, top, progress)
            advance(len(some))
    return found


def pack(
    what: Path | str,
    out: Path | str | None = None,
    progress: Progress | None = None,
    *,
    trust_code: bool = False,
) -> Path:
    """The one file of a finished run: its weights, and in its metadata recipe, classes, log, metrics and hashes.

    A .safetensors file is taken wherever a run is; the code of own parts travels inside. An .onnx file holds the net
    itself, so that whoever checks it needs no code of yours. Equal runs give equal bytes.

    Args:
        what: A run's folder, or the name of a recipe whose weights are shipped.
        out: The file to write, ending in .safetensors or .onnx; by default NAME.safetensors here.
        progress: Reports what should be known.
        trust_code: As of `load`; only an .onnx file needs it.

    Raises:
        RunError: The run is not finished, or its weights are not kept.
        ExportError: It is to be ONNX, and the extra is missing or the net has operations that ONNX does not know.
    """
    run = open_run(what)
    file = Path(f"{run.name}{SUFFIX}") if out is None else Path(out)
    if file.suffix == SUFFIX:
        return write_atomic(file, pack_run(run))
    if file.suffix != ".onnx":
        raise ShoestringError(f"--out {file}: runs are packed as .safetensors or .onnx; end the name in one of these")
    found = exportable(load(what, "cpu", progress=progress, trust_code=trust_code))
    facts = meaning(found) | {"run": record_of(run).to_json()}
    with tempfile.TemporaryDirectory() as folder:
        write_onnx(found, Path(folder) / file.name, facts)
        return write_atomic(file, (Path(folder) / file.name).read_bytes())


def check(
    what: Path | str,
    rules: Rules | Path | str | None = None,
    level: Level = 3,
    data_folder: Path | None = None,
    progress: Progress | None = None,
    *,
    windows: int = WINDOWS,
    seed: int | None = None,
    device: str | None = None,
    samples: int | None = None,
    inception: Weights = None,
) -> Checked:
    """Whether something handed in keeps the rules and is what it claims to be. No code that it brings is run.

    Args:
        what: A packed file, an ONNX file, a run's folder, or the name of a recipe whose weights are shipped.
        rules: A file of rules; by default the shipped ones.
        level: 1 static: the file recounted, its claims against one another. 2 measured anew on test. 3 provenance: log,
            sessions, chain of checkpoints. 4 replay of windows between kept checkpoints. Each with those before.
        data_folder: Where data lies or is downloaded to; by default SHOESTRING_DATA or the user's cache.
        progress: Reports everything that takes time.
        windows: Windows to replay, at level 4.
        seed: Decides which windows; by default nobody can know beforehand.
        device: Where to replay.
        samples: Of a generator, samples to measure; by default 10,000.
        inception: Of a generator, as `evaluate` takes it.

    Raises:
        RunError: There is nothing of that name.
        ExportError: It is ONNX, and the extra is not installed.
        RecipeError: The rules are none.
    """
    require_at_least(1, windows=windows, samples=samples)
    in_force = rules_of(rules)
    path = Path(what) if Path(what).exists() else open_run(what).folder
    return check_submission(
        path,
        in_force,
        level,
        resolve_data_folder(data_folder),
        progress or usual_progress(),
        windows=windows,
        seed=seed,
        device=device,
        sampled=Sampled(samples, inception),
    )


def grade(
    folder: Path | str,
    rules: Rules | Path | str | None = None,
    out: Path | str | None = None,
    level: Level = 3,
    data_folder: Path | None = None,
    progress: Progress | None = None,
    *,
    limits: Limits | None = None,
    samples: int | None = None,
    inception: Weights = None,
) -> Board:
    """All submissions of a folder checked and put in order; one that crashes, hangs or lies costs only itself.

    Written are results.json, results.csv, the leaderboard index.html, and scores.json of each as Codabench reads it.

    Args:
        folder: Packed files, ONNX files, folders of runs.
        rules: A file of rules; by default the shipped ones.
        out: Where results go; by default FOLDER-graded beside the folder.
        level: As of `check`.
        data_folder: Where data lies or is downloaded to; by default SHOESTRING_DATA or the user's cache.
        progress: Reports each submission.
        limits: Time and memory of each, and how many at a time.
        samples: Of generators, samples to measure; by default 10,000.
        inception: Of generators, as `evaluate` takes it.

    Raises:
        RunError: There is no such folder, or nothing in it.
        DataError: The images that the rules name are not there.
        RecipeError: The rules are none.
    """
    from shoestring.report.leaderboard import build

    require_at_least(1, samples=samples)
    folder = Path(folder)
    home = folder.with_name(f"{folder.absolute().name}-graded") if out is None else Path(out)
    board = grade_folder(
        folder,
        rules_of(rules),
        level,
        resolve_data_folder(data_folder),
        limits or Limits(),
        Sampled(samples, inception),
        home,
        progress or usual_progress(),
    )
    pictures = {row.name: row.picture for row in board.rows if row.picture is not None}
    build(board.to_json(), pictures, home / "index.html")
    return board


def export(
    what: Path | str,
    to: Form = "onnx",
    out: Path | str | None = None,
    data_folder: Path | None = None,
    progress: Progress | None = None,
    *,
    force: bool = False,
    trust_code: bool = False,
) -> Path:
    """The folder that a trained model was exported to: its files, export.json and the page export.html.

    What was written is checked first: against the model's own answers, image by image, and by accuracy on test.

    Args:
        what: A finished run's folder, or the name of a recipe whose weights are shipped.
        to: "onnx"; "torch", a torch.export program; "web", one HTML file to try it on; of classifiers also
            "int8", an integer net as .safetensors, "onnx-int8", the same as ONNX, and "c", its C99 source.
        out: The folder; by default RUN/exports/TO, or NAME-TO here for what is shipped or packed.
        data_folder: Where data lies or is downloaded to; by default SHOESTRING_DATA or the user's cache.
        progress: Reports everything that takes time.
        force: Write also integers that lose more than a point of accuracy.
        trust_code: As of `load`.

    Raises:
        RunError: The run is not finished or not to be written to, or another process writes into it.
        ExportError: There is no such form, an extra is not installed, or the model cannot leave like that.
        DataError: Integers need training images to choose ranges by, and they cannot be had.
        ShoestringError: Integers lose more than a point of accuracy.
    """
    if to not in WRITERS:
        raise ExportError(f"{did_you_mean('form', to, list(WRITERS))}")
    home, progress = open_run(what), progress or usual_progress()
    if not home.finished():
        raise RunError(f"{home.folder} is not finished; run the same `train` command again, and export it then")
    folder = _export_folder(home, to) if out is None else Path(out)
    inside = out is None and not is_fixed(home)
    if inside:
        home.require_writable("name the folder to write with --out")
    model = load(what, "cpu", progress=progress, trust_code=trust_code)
    with home.locked(progress) if inside else nullcontext():
        export_model(model, home, to, folder, resolve_data_folder(data_folder), progress, force=force)
        from shoestring.report.export_page import build  # templates and their engine: only when a page is written

        build(folder)
    return folder


def _export_folder(home: Run, to: Form) -> Path:
    return Path(f"{file_name(home)}-{to}") if is_fixed(home) else usual_folder(home, to)


def demo(
    what: Path | str,
    out: Path | str | None = None,
    data_folder: Path | None = None,
    progress: Progress | None = None,
    *,
    trust_code: bool = False,
) -> Path:
    """The page of a model to try in a browser: that of an export to "web", made where there is no current one.

    Args:
        what: As of `export`.
        out: As of `export`.
        data_folder: As of `export`.
        progress: Reports everything that takes time.
        trust_code: As of `load`.

    Raises:
        ShoestringError: As `export`.
    """
    home = open_run(what)
    folder = _export_folder(home, "web") if out is None else Path(out)
    if not (home.finished() and is_current(folder, home)):
        export(what, "web", out, data_folder, progress, trust_code=trust_code)
    return folder / "index.html"


def push(what: Path | str, repository: str, progress: Progress | None = None, *, private: bool = False) -> str:
    """The web address of a run on the Hugging Face hub, after its recipe, weights, log and a model card went there.

    Args:
        what: A finished run's folder, or the name of a recipe whose weights are shipped.
        repository: Such as "user/name"; made if it is not there.
        progress: Reports what is pushed.
        private: Whether a repository that is made now is to be seen by its owner only.

    Raises:
        RunError: There is no such run, or it is not finished.
        HubError: There is no connection, no right to write, or the extra "hub" is not installed.
    """
    return push_run(open_run(what), parse_address(repository), progress or usual_progress(), private=private)


def write_report(runs: Sequence[Run | Path | str], file: Path | None = None) -> Path:
    """One self-contained HTML page about one run, or several side by side.

    Args:
        runs: Runs, their folders, or names of shipped weights.
        file: Where to write; by default report.html in the first run's folder, or NAME.html here for what is
            shipped or packed.

    Raises:
        RunError: There is no such run, or its folder may not be written to.
    """
    from shoestring.report.page import build  # matplotlib takes a second to import: only when a page is asked for
    from shoestring.report.run_data import Reader

    homes = [what if isinstance(what, Run) else open_run(what) for what in runs]
    first = homes[0]
    if file is None and is_fixed(first):
        file = Path(f"{file_name(first)}.html")
    elif file is None:
        first.require_writable("name the file to write with --out")
    return build(homes, file or first.report_file, Reader(whole_recipe, departures_of, metrics_origin))
