"""One submission checked by a process of its own, which may crash, hang or ask for too much."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, cast

import torch

from shoestring.contest.board import Graded
from shoestring.contest.finding import Finding
from shoestring.contest.worker import DOING
from shoestring.core.atomic_files import write_json
from shoestring.core.checkpoint_chain import digest


@dataclass(frozen=True)
class Limits:
    """What each submission may take.

    Attributes:
        minutes: Wall time.
        memory: Bytes of memory.
        workers: Submissions at a time, on one thread each.
    """

    minutes: float = 10.0
    memory: int = 4 * 2**30
    workers: int = 2


class CheckProcess:
    """A submission checked by a process of its own; its end, however it comes, is a finding."""

    def __init__(self, path: Path, asked: Mapping[str, Any], out: Path, limits: Limits) -> None:
        # Bytes of a name that are no text are written out, so that every file can hold it.
        self.name = os.fsencode(path.name).decode(errors="backslashreplace")
        self.path = path
        self.limits = limits
        self.folder = (out / "submissions" / self.name).absolute()
        self.asked = {**asked, "path": str(path.absolute()), "folder": str(self.folder)}
        self.files = {
            name: self.folder / name for name in ("check.json", "correct.bin", "samples.png", "graded.json", DOING)
        }

    def start(self) -> None:
        """Begins, after what was found another time is gone. The process hears of Ctrl-C through this one alone."""
        self.key = self._key()
        self.folder.mkdir(parents=True, exist_ok=True)
        for file in self.files.values():
            file.unlink(missing_ok=True)
        self.said = tempfile.TemporaryFile()  # noqa: SIM115 (closed when it is over)
        threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
        self.began = time.monotonic()
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "shoestring.contest.worker", json.dumps(self.asked)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self.said,
            env=os.environ | threads,
            start_new_session=True,
        )

    @property
    def seconds(self) -> float:
        """How long it has been running."""
        return time.monotonic() - self.began

    def over(self) -> bool:
        """Whether it has ended, or has had its time."""
        return self.process.poll() is not None or self.seconds > 60 * self.limits.minutes

    def end(self) -> None:
        """Ends it, if it has not."""
        self.process.kill()
        self.process.wait()
        self.said.close()

    def row(self) -> Graded:
        """What it found; once it is over."""
        seconds, status = self.seconds, self.process.poll()
        last = self._last_line()
        self.end()
        if status == 0 and self.files["check.json"].is_file():
            row = self._read(seconds)
            decided = row.value is not None or row.found["verdict"] == "failed" or self.asked["level"] == 1
            if decided and self.key:
                content = {"of": self.key, "seconds": seconds}
                write_json(self.files["graded.json"], content)
            return row
        doing = self.files[DOING].read_text(encoding="utf-8") if self.files[DOING].is_file() else "starting"
        reason = f"its check ended early, {doing}: {last or f'exit status {status}'}"
        if status is None:
            reason = f"it took more than {self.limits.minutes:g} minutes and was still {doing}"
        failure = Finding(1, "process", "failed", reason)
        found = {"name": self.name, "kind": "", "verdict": "failed", "findings": [failure.to_json()], "metric": None,
                 "measured": None, "not_shown": []}  # fmt: skip
        write_json(self.files["check.json"], found)
        return Graded(self.name, found, seconds)

    def kept(self) -> Graded | None:
        """What was found another time of the same files by the same rules; None where nothing was, or it crashed."""
        try:
            content = json.loads(self.files["graded.json"].read_text(encoding="utf-8"))
            return self._read(content["seconds"]) if content["of"] == self._key() else None
        except (OSError, ValueError, LookupError, TypeError):
            return None

    def _key(self) -> str:
        """What decides the findings, of files by their size and when they were changed, which nobody sets at will.

        Empty where a file cannot be looked at.
        """
        asked = {name: value for name, value in self.asked.items() if name not in ("memory", "seconds", "folder")}
        try:
            files = sorted([self.path, *(self.path.rglob("*") if self.path.is_dir() else ())])
            stats = [(str(file), stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
                     for file in files if not file.is_dir() and (stat := file.stat())]  # fmt: skip
        except OSError:
            return ""
        return digest([version("shoestring"), asked, stats])

    def _read(self, seconds: float) -> Graded:
        found = cast("dict[str, Any]", json.loads(self.files["check.json"].read_text(encoding="utf-8")))
        answers, picture = self.files["correct.bin"], self.files["samples.png"]
        correct = torch.tensor(list(answers.read_bytes()), dtype=torch.bool) if answers.is_file() else None
        return Graded(self.name, found, seconds, correct, picture.read_bytes() if picture.is_file() else None)

    def _last_line(self) -> str:
        self.said.seek(max(0, self.said.seek(0, os.SEEK_END) - 4096))
        lines = self.said.read().decode(errors="replace").strip().splitlines()
        return lines[-1][:300] if lines else ""
