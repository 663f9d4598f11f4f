"""What a run was made with: versions, code, hardware, sessions."""

import datetime
import platform
import subprocess
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol

from shoestring.core.device import Machine
from shoestring.core.run import Run

FILE = "environment.json"
PACKAGES = ("shoestring", "torch", "numpy", "pillow")


class Progressed(Protocol):
    """How far a training has come."""

    step: int
    """Steps taken."""
    seconds: float
    """Time spent training."""


class Session:
    """One start of a training, recorded with what it was made with, how far it came and how long it took."""

    def __init__(self, run: Run, machine: Machine, state: Progressed, nfe: int, loss_unit: str) -> None:
        """Records that a session starts.

        Args:
            run: The run.
            machine: What it computes on.
            state: Where it starts from.
            nfe: Net calls that one answer or image takes, which the budget may limit.
            loss_unit: Of the losses in the log; empty where they have none.
        """
        self.run = run
        self.began = time.monotonic()  # a clock that is set back does not set it back
        self.before = _sessions(run)
        self.nfe = nfe
        self.loss_unit = loss_unit
        self.made_with: dict[str, Any] = {
            "versions": {"python": platform.python_version()} | {name: version(name) for name in PACKAGES},
            "commit": _commit(),
            "system": platform.platform(),
            "machine": machine.describe(),
        }
        self.started = datetime.datetime.now(datetime.UTC).isoformat(timespec="milliseconds")
        self.from_step = state.step
        self.note(state)

    def note(self, state: Progressed) -> None:
        """Records how far it came, so that a process which is killed later has counted up to here."""
        session = {
            "started": self.started,
            "from_step": self.from_step,
            "to_step": state.step,
            "seconds": round(time.monotonic() - self.began, 1),
        }
        self.run.write_json(
            FILE,
            {
                **self.made_with,  # of the last session; each keeps its own
                "nfe": self.nfe,
                "loss_unit": self.loss_unit,
                "training_seconds": round(state.seconds, 1),
                "sessions": [*self.before, session | self.made_with],
            },
        )


def seconds_so_far(run: Run) -> float:
    """Wall time of all sessions of a run, in seconds."""
    return sum(session["seconds"] for session in _sessions(run))


def record_nfe(run: Run, nfe: int) -> None:
    """Records the net calls that one answer or image takes from now on."""
    run.write_json(FILE, run.environment() | {"nfe": nfe})


def _sessions(run: Run) -> list[dict[str, Any]]:
    return run.environment().get("sessions", [])


def _commit() -> str | None:
    """The commit of the checkout this package runs from; None when it is installed, be it below another checkout."""
    file = Path(__file__)
    try:
        _git("ls-files", "--error-unmatch", file.name, folder=file.parent)
        return _git("describe", "--always", "--dirty", "--abbrev=12", folder=file.parent) or None
    except (OSError, subprocess.SubprocessError):
        return None


def _git(*words: str, folder: Path) -> str:
    done = subprocess.run(["git", *words], cwd=folder, capture_output=True, text=True, timeout=5, check=True)
    return done.stdout.strip()
