"""The verbs of a contest: hand in, check, grade; torch is imported when one runs."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from tyro.conf import Positional, arg

from shoestring.cli.display import Display
from shoestring.cli.options import Options, RunOrName, require_rules, require_run
from shoestring.core.errors import ShoestringError, require_at_least

if TYPE_CHECKING:
    from shoestring.contest.check import Checked

STATUS = {"passed": 0, "failed": 1, "not decided": 3}
"""Exit status by verdict; 2 is wrong usage."""


@dataclass(frozen=True, kw_only=True)
class Pack(Options):
    """Write a finished run as one file, to hand in or pass on: weights, recipe, classes, log, metrics, hashes.

    `predict`, `evaluate`, `sample`, `report` and `export` take the .safetensors file like a run.
    """

    target: Annotated[RunOrName, arg(metavar="RUN_OR_NAME")]
    """A run's folder, or the name of a recipe whose weights are shipped."""
    out: Path | None = None
    """The file to write. By default NAME.safetensors. One that ends in .onnx holds the net itself instead of its code,
    which is how a net of your own is handed in."""

    def do(self, display: Display) -> None:
        """Writes the file."""
        require_run(self.target)
        from shoestring import api

        file = api.pack(self.target, self.out, display)
        size = file.stat().st_size
        display.result({"file": str(file.resolve()), "bytes": size})
        display.line(f"packed  {file.resolve()}, {size:,} bytes")


@dataclass(frozen=True, kw_only=True)
class Check(Options):
    """Whether files or runs keep the rules and are what they claim to be. No code that they bring is ever run.

    Ends with status 0 if all passed, 1 if one failed, 3 if nothing failed but something cannot be decided here.
    """

    targets: Annotated[Positional[tuple[str, ...]], arg(metavar="FILE_OR_RUN")]
    """Packed files, ONNX files, runs' folders, or names of recipes whose weights are shipped."""
    rules: Path | None = None
    """A file of rules. By default the shipped rules."""
    level: Literal[1, 2, 3, 4] = 3
    """1: static, in seconds. 2: measured anew on test. 3: log, sessions, chain of checkpoints. 4: windows between kept
    checkpoints trained again. Each with those before."""
    windows: int = 3
    """Windows to replay."""
    seed: int | None = None
    """Decides which windows. By default nobody can know beforehand."""
    samples: int | None = None
    """Of a generator, samples to measure. By default 10,000."""
    inception: Path | None = None
    """Of a generator, a file with the FID Inception, or "none" to do without. By default as of `evaluate`."""

    def do(self, display: Display) -> int:
        """Prints what was found."""
        if not self.targets:
            raise ShoestringError("name at least one: shoestring check FILE_OR_RUN")
        require_rules(self.rules)
        for target in self.targets:
            if not Path(target).exists():
                require_run(target)
        from shoestring import api
        from shoestring.contest.finding import verdict

        found = [
            api.check(
                target,
                self.rules,
                self.level,
                self.data_folder,
                display,
                windows=self.windows,
                seed=self.seed,
                device=self.device,
                samples=self.samples,
                inception=self.inception,
            )
            for target in self.targets
        ]
        display.result({"submissions": [one.to_json() for one in found]})
        for one in found:
            _show(one, display)
        return STATUS[verdict(finding for one in found for finding in one.findings)]


def _show(found: "Checked", display: Display) -> None:
    from shoestring.contest.finding import LEVELS

    rows = [[LEVELS[one.level], one.name, one.verdict, one.reason] for one in found.findings]
    display.table(f"{found.name}: {found.verdict}", ("level", "what", "verdict", "reason"), rows)
    for sentence in found.not_shown:
        display.line(f"not shown: {sentence}")


@dataclass(frozen=True, kw_only=True)
class Grade(Options):
    """Check every submission of a folder in a process of its own, and put them in order on one HTML page.

    One that crashes, hangs or lies costs only itself. Written are index.html, results.json, results.csv, and
    scores.json of each submission, as Codabench reads it.
    """

    folder: Annotated[Positional[Path], arg(metavar="FOLDER")]
    """Packed files, ONNX files, folders of runs."""
    rules: Path | None = None
    """A file of rules. By default the shipped rules."""
    out: Path | None = None
    """Where results go. By default FOLDER-graded beside the folder."""
    level: Literal[1, 2, 3, 4] = 3
    """As of `check`."""
    minutes: float = 10.0
    """Wall time that a submission may take."""
    memory: float = 4.0
    """GiB of memory that it may take, where the system knows such limits."""
    workers: int = 2
    """Submissions at a time, on one thread each."""
    samples: int | None = None
    """Of a generator, samples to measure. By default 10,000."""
    inception: Path | None = None
    """Of a generator, a file with the FID Inception, or "none" to do without. By default as of `evaluate`."""

    def do(self, display: Display) -> int | None:
        """Prints the board; on a signal gives 128 plus its number."""
        require_at_least(1, workers=self.workers)
        if self.minutes <= 0 or self.memory <= 0:
            raise ShoestringError("--minutes and --memory must be above 0")
        if not self.folder.is_dir():
            raise ShoestringError(f"there is no folder {self.folder}; name one with submissions")
        require_rules(self.rules)
        from shoestring import api
        from shoestring.contest.check_process import Limits
        from shoestring.contest.grade import GradingStopped

        limits = Limits(self.minutes, int(self.memory * 2**30), self.workers)
        try:
            board = api.grade(
                self.folder,
                self.rules,
                self.out,
                self.level,
                self.data_folder,
                display,
                limits=limits,
                samples=self.samples,
                inception=self.inception,
            )
        except GradingStopped as stop:
            display.say(f"{stop}. The same command again goes on from there.")
            display.result({"finished": False})
            return 128 + stop.signal_number
        display.result(board.to_json() | {"page": str(board.page.resolve())})
        rows = [
            [
                str(row.rank or ""),
                row.name,
                row.found["verdict"],
                "" if row.value is None else f"{row.value:.4g}",
                "" if row.tied is None else "tied" if row.tied else "apart",
                "; ".join(row.reasons),
            ]
            for row in board.rows
        ]
        columns = ("rank", "submission", "verdict", "value", "with the one above", "reasons")
        display.table(f"Graded by {board.rules.name}", columns, rows, numbers=("rank", "value"))
        display.line(f"page  {board.page.resolve()}")
        return None
