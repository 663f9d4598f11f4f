"""What leaves: files for other runtimes, the page to try a model on, a repository of the hub."""

from contextlib import nullcontext
from pathlib import Path

from shoestring.api.models import load
from shoestring.core.config import did_you_mean
from shoestring.core.errors import ExportError, RunError
from shoestring.core.progress import Progress
from shoestring.data.paths import data_folder as resolve_data_folder
from shoestring.exporting.export import export_model, is_current, usual_folder
from shoestring.exporting.form import Form
from shoestring.exporting.forms import WRITERS
from shoestring.hub.address import parse_address
from shoestring.hub.push import push as push_run
from shoestring.live.usual import usual_progress
from shoestring.model.load import is_fixed, open_run


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
    progress = progress or usual_progress()
    home = open_run(what, progress)
    if not home.finished():
        raise RunError(f"{home.folder} is not finished; run the same `train` command again, and export it then")
    folder = usual_folder(home, to) if out is None else Path(out)
    inside = out is None and not is_fixed(home)
    if inside:
        home.require_writable("name the folder to write with --out")
    model = load(what, "cpu", progress=progress, trust_code=trust_code)
    with home.locked(progress) if inside else nullcontext():
        export_model(model, home, to, folder, resolve_data_folder(data_folder), progress, force=force)
        from shoestring.report.export_page import build  # templates and their engine: only when a page is written

        build(folder)
    return folder


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
    progress = progress or usual_progress()
    home = open_run(what, progress)
    folder = usual_folder(home, "web") if out is None else Path(out)
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
