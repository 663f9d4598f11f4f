"""Contests: what is handed in, checked and graded."""

import tempfile
from pathlib import Path

from shoestring.api.models import load
from shoestring.contest.board import Board
from shoestring.contest.check import WINDOWS, Checked
from shoestring.contest.check import check as check_submission
from shoestring.contest.check_process import Limits
from shoestring.contest.finding import Level
from shoestring.contest.grade import grade as grade_folder
from shoestring.contest.measured import Sampled
from shoestring.core.atomic_files import write_atomic
from shoestring.core.errors import ShoestringError, require_at_least
from shoestring.core.packed import SUFFIX, record_of
from shoestring.core.packed import pack as pack_run
from shoestring.core.progress import Progress
from shoestring.data.paths import data_folder as resolve_data_folder
from shoestring.evaluation.extractors import Weights
from shoestring.exporting.exportable import exportable
from shoestring.exporting.forms import meaning
from shoestring.exporting.onnx_file import write_onnx
from shoestring.live.usual import usual_progress
from shoestring.model.load import open_run
from shoestring.recipes.rules import Rules
from shoestring.recipes.rules import rules as rules_of


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
    build(board.to_json(), pictures, board.page)
    return board
