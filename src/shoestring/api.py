"""What a user of the package calls; the command line calls the same."""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from shoestring.core.config import did_you_mean
from shoestring.core.errors import ExportError, RecipeError, RunError, ShoestringError, require_at_least
from shoestring.core.image_batch import ImageBatch, image_batch
from shoestring.core.layer_table import LayerTable
from shoestring.core.progress import Progress
from shoestring.core.run import Run
from shoestring.data.dataset import Split, holds_out
from shoestring.data.image_folder import ImageFolder
from shoestring.data.inspection import FolderReport
from shoestring.data.inspection import inspect as inspect_folder
from shoestring.data.paths import data_folder as resolve_data_folder
from shoestring.evaluation.classifier import record_classifier
from shoestring.evaluation.evaluate import compare_images as compare_images
from shoestring.evaluation.evaluate import evaluate as evaluate
from shoestring.evaluation.evaluate import evaluate_run
from shoestring.evaluation.promote import promote as promote_run
from shoestring.evaluation.sample_grids import draw_samples
from shoestring.exporting.export import export_model, is_current, usual_folder
from shoestring.exporting.forms import WRITERS, Form
from shoestring.fitting.choose import wanted
from shoestring.fitting.prepare import prepare
from shoestring.hub.address import parse_address
from shoestring.hub.push import push as push_run
from shoestring.live.usual import usual_progress
from shoestring.model.build import build
from shoestring.model.code import Kept, allow_code, give_parts, trust_run
from shoestring.model.generator import Generator
from shoestring.model.likeliest import likeliest
from shoestring.model.load import file_name, is_read_only, open_run, usual_run, whole_recipe
from shoestring.model.load import load as load_run
from shoestring.model.model import Model, require_classifier, require_generator
from shoestring.model.pixels import BATCH
from shoestring.profiling.autotune import resolve_engine
from shoestring.recipes.lookup import located, overrides_of, recipe
from shoestring.recipes.recipe import Recipe
from shoestring.tracking.tracked_run import TrackedRun
from shoestring.tracking.tracker import TrackerMaker, open_trackers
from shoestring.training.train import train as train_run


def train(
    what: Recipe | str | Path,
    run: Path | str | None = None,
    data_folder: Path | None = None,
    device: str | None = None,
    progress: Progress | None = None,
    base: Recipe | None = None,
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
        log_to: Trackers that are told all that is recorded: "tensorboard", one's own class, or its file.py:Name.
        fields: Values that replace the recipe's own, as of `recipe`, such as net=TinyNet or budget={"steps": 60}.

    Raises:
        RunError: Another process writes into the folder, or it holds a run of another recipe.
    """
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
        model = train_run(asked, home, folder, device, progress, overrides, resolve_engine)
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
    if is_read_only(home):
        raise RunError(f"{what} is shipped or of the hub and stays as it is; copy {home.folder} and name the copy")
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
        to: "onnx"; "torch", a torch.export program; of classifiers also "int8", an integer net as .safetensors, "c",
            its C99 source, and "web", one HTML file to try it on.
        out: The folder; by default RUN/exports/TO, or NAME-TO here for shipped weights.
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
    inside = out is None and not is_read_only(home)
    if inside:
        home.require_writable("name the folder to write with --out")
    model = load(what, "cpu", progress=progress, trust_code=trust_code)
    with home.locked(progress) if inside else nullcontext():
        export_model(model, home, to, folder, resolve_data_folder(data_folder), progress, force=force)
        from shoestring.report.export_page import build  # templates and their engine: only when a page is written

        build(folder)
    return folder


def _export_folder(home: Run, to: Form) -> Path:
    return Path(f"{file_name(home)}-{to}") if is_read_only(home) else usual_folder(home, to)


def demo(
    what: Path | str,
    out: Path | str | None = None,
    data_folder: Path | None = None,
    progress: Progress | None = None,
    *,
    trust_code: bool = False,
) -> Path:
    """The page of a classifier to try in a browser: that of an export to "web", made where there is no current one.

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
        file: Where to write; by default report.html in the first run's folder, or NAME.html here for shipped weights.

    Raises:
        RunError: There is no such run, or its folder may not be written to.
    """
    from shoestring.report.page import build  # matplotlib takes a second to import: only when a page is asked for

    homes = [what if isinstance(what, Run) else open_run(what) for what in runs]
    first = homes[0]
    if file is None and is_read_only(first):
        file = Path(f"{file_name(first)}.html")
    elif file is None:
        first.require_writable("name the file to write with --out")
    return build(homes, file or first.report_file, whole_recipe)
