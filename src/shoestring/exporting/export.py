"""Writes a trained model in another form, and with it the proof that it answers there as it does here.

Whatever the form, an export is a folder: the files, `export.json` and, written by `report.export_page` from that,
`export.html`. It appears whole or not at all.
"""

import datetime
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from shoestring.core.atomic_files import write_json
from shoestring.core.errors import DataError, ExportError, RunError
from shoestring.core.progress import Progress
from shoestring.core.run import Run
from shoestring.core.run_records import EXPORT
from shoestring.data.dataset import Images
from shoestring.data.download import checksum_of
from shoestring.exporting import probe
from shoestring.exporting.exportable import Exportable, by_batches, exportable
from shoestring.exporting.form import Form
from shoestring.exporting.forms import WRITERS, Asked, Writer, Written, meaning
from shoestring.exporting.parity import accuracies, compare
from shoestring.integers.quantization import require_accurate
from shoestring.model.load import file_name, is_fixed
from shoestring.model.model import Model
from shoestring.model.run_splits import load_split

COMPARED = 1_000
"""Inputs whose answers are compared one by one."""
TOLERANCE = 1e-4
"""How far a number may be off where nothing is quantised: rounding in another order."""
PAGE_TOLERANCE = 0.05
"""How far an image of a generator's page may be off: root mean square over the std of all. Its weights are rounded."""
BATCHES = (1, 64)
SECONDS = 2.0
"""How long each batch size is timed."""


def usual_folder(run: Run, form: str) -> Path:
    """Where an export goes unless told otherwise: RUN/exports/FORM, or NAME-FORM here for what is shipped or packed."""
    if is_fixed(run):
        return Path(f"{file_name(run)}-{form}")
    return run.folder / "exports" / form


def export_model(
    model: Model, run: Run, form: Form, folder: Path, data_folder: Path, progress: Progress, *, force: bool = False
) -> Path:
    """The folder of an export, after it was written and checked.

    Its answers are compared with the model's on 1,000 images of test; where there are none, or of generators, on
    made-up inputs. A classifier's accuracy is measured before and after on all of test.

    Args:
        model: A finished run's, on the CPU.
        run: That run.
        form: What to write.
        folder: Where to; files of an earlier export there are replaced.
        data_folder: Where data lies or is downloaded to.
        progress: Reports everything that takes time.
        force: Write also integers that lose more than a point of accuracy.

    Raises:
        RunError: The run is not finished.
        ExportError: An extra is missing, the form cannot hold the net, or answers differ by more than rounding.
        ShoestringError: Integers lose more than a point of accuracy, or cannot hold the net.
    """
    if not run.finished():
        raise RunError(f"{run.folder} is not finished; run the same `train` command again, and export it then")
    if folder.exists() and not folder.is_dir():
        raise ExportError(f"--out {folder} is a file; an export is a folder: name another")
    found, writer = exportable(model), WRITERS[form]
    if found.kind == "classifier" and (views := model.recipe.task.nfe) > 1:
        progress.say(
            f"{model.recipe.name} answers by {views} views of an image; what is exported answers by one, of which "
            "`shoestring evaluate RUN --views 1` tells the accuracy"
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    alone = replace(model.machine, threads=1)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as staging, alone.running():
        made = writer.write(Asked(found, run, Path(staging), data_folder, progress))
        checked = _checked(found, writer, made, _test_images(found, run, data_folder, progress), progress, force)
        record = (
            _described(found, run, form, made)
            | _scores(found, run)
            | checked
            | {"speed": _speed(found, made, progress)}
        )
        _publish(made.files, record, folder)
    return folder


def is_current(folder: Path, run: Run) -> bool:
    """Whether an export in a folder is of the weights that a run has now, and its files are as they were written."""
    try:
        record = json.loads((folder / EXPORT).read_text(encoding="utf-8"))
        files = record["files"]
        return (
            record["weights"]["sha256"] == checksum_of(run.weights_file, "sha256")
            and record["versions"]["shoestring"] == version("shoestring")
            and all(checksum_of(folder / file["name"], "sha256") == file["sha256"] for file in files)
        )
    except (OSError, ValueError, KeyError, TypeError):  # none there, or no whole one
        return False


def _test_images(found: Exportable, run: Run, data_folder: Path, progress: Progress) -> Images | None:
    """A classifier's test split; None where it cannot be had, which is said."""
    if found.kind != "classifier":
        return None
    try:
        return load_split(found.model.recipe, run, "test", data_folder, progress)
    except DataError as error:
        progress.say(f"no test images ({error}): compared on made-up images, and accuracy is not measured")
        return None


def _checked(
    found: Exportable, writer: Writer, made: Written, images: Images | None, progress: Progress, force: bool
) -> dict[str, Any]:
    """Parity and, with images, accuracy; refuses what is beyond rounding, or of integers beyond a point of accuracy."""
    inputs = found.draw(COMPARED) if images is None else (images.images,)
    what = "made-up inputs" if images is None else "test"
    answers = by_batches(made.answer, inputs, f"answers of {writer.words}", progress)
    before = by_batches(found.reference, inputs, "answers of the model", progress)
    compared, reference = answers[:COMPARED], before[:COMPARED]
    if made.integers is not None:
        compared, reference = _up_to_a_number(compared), _up_to_a_number(reference)
    tolerance = PAGE_TOLERANCE if made.rounded else TOLERANCE
    parity = compare(
        compared,
        reference,
        None if made.integers is not None else tolerance,
        what,
        classify=found.kind == "classifier",
        by="image" if made.rounded else "number",
    )
    parity.require(writer.words, found.model.recipe.name)
    checked: dict[str, Any] = {"parity": parity.to_json()}
    if images is not None:
        measured = accuracies(before, answers, images.labels)
        if made.integers is not None and not force:
            require_accurate(made.integers, measured["before"].value, measured["after"].value, len(images))
        checked["accuracy"] = {"split": "test", "source": images.source} | {
            name: metric.to_json() for name, metric in measured.items()
        }
    return checked


def _up_to_a_number(logits: torch.Tensor) -> torch.Tensor:
    """Logits whose mean is 0: integer nets give them up to a number for each image, which softmax does not see."""
    return logits - logits.mean(1, keepdim=True)


def _speed(found: Exportable, made: Written, progress: Progress) -> list[dict[str, Any]]:
    """Milliseconds and memory at each batch size, on one thread: the form's, in its own process, and the model's."""
    if made.runtime is None:
        return []
    rows: list[dict[str, Any]] = []
    with progress.task("timing", 2 * len(BATCHES)) as advance:
        timed = probed(made.runtime, made.files[0], meaning(found)["inputs"])
        advance(len(BATCHES))
        for row in timed:
            inputs = found.draw(row["batch"])
            with torch.inference_mode():
                model = probe.timed(lambda given=inputs: found.reference(given), SECONDS)
            rows.append(row | {"model_milliseconds": model, "clock": probe.CLOCK})
            advance()
    return rows


def probed(runtime: str, file: Path, inputs: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """What `probe` finds out about a file, in a process of its own."""
    result = file.with_suffix(".timing")
    asked = {
        "runtime": runtime,
        "file": str(file),
        "inputs": inputs,
        "batches": BATCHES,
        "seconds": SECONDS,
        "result": str(result),
    }
    # -P: the folder of the script is not where modules are looked for.
    command = [sys.executable, "-P", str(probe.__file__), json.dumps(asked)]
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | threads, check=False)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]
        raise ExportError(f"{file.name} was written, but a process of its own cannot run it: {last}")
    found = json.loads(result.read_text(encoding="utf-8"))
    result.unlink()
    return found


def _described(found: Exportable, run: Run, form: str, made: Written) -> dict[str, Any]:
    """What was made of what, with what and where."""
    files = [
        {"name": file.name, "bytes": file.stat().st_size, "sha256": checksum_of(file, "sha256")} for file in made.files
    ]
    weights = run.weights_file
    return {
        "form": form,
        **meaning(found),
        "files": files,
        "parameters": sum(parameter.numel() for parameter in found.trained.parameters()),
        "weights": {"bytes": weights.stat().st_size, "sha256": checksum_of(weights, "sha256")},
        "recipe": found.model.recipe.fingerprint(),
        **made.facts,
        "versions": {"python": platform.python_version()} | _versions("shoestring", "torch", *made.packages),
        "machine": {key: found.model.machine.describe()[key] for key in ("processor", "cores")} | {"threads": 1},
        "made": datetime.date.today().isoformat(),
    }


def _scores(found: Exportable, run: Run) -> dict[str, Any]:
    """Of a GAN, what its run recorded on test of one call of the generator, which leaves, and of its own sampling."""
    if found.kind != "generator":
        return {}
    calls = found.model.recipe.task.nfe
    measured = {"one_call": run.metrics_by_one_call()} | ({} if calls == 1 else {"own_sampling": run.metrics()})
    scores = {
        way: {name: metric for name, metric in metrics.get("test", {}).items() if name.startswith(("fid_", "kid_"))}
        for way, metrics in measured.items()
    }
    return {"scores": scores, "calls": calls}


def _versions(*packages: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _publish(files: Sequence[Path], record: dict[str, Any], folder: Path) -> None:
    """Moves what is checked to its place; while it is under way no record tells of files that are gone."""
    folder.mkdir(exist_ok=True)
    (folder / EXPORT).unlink(missing_ok=True)
    for file in files:
        file.replace(folder / file.name)
    write_json(folder / EXPORT, record)
