"""What a run was made with: versions, code, hardware, sessions."""

import datetime
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path
from typing import Any

from shoestring.engine import Machine
from shoestring.run import Run

PACKAGES = ("shoestring", "torch", "numpy", "pillow")


def open_session(run: Run, machine: Machine, step: int, evaluations: int, loss_unit: str) -> None:
    """Records the environment, and that a session of training starts at a step.

    Args:
        run: The run.
        machine: What it computes on.
        step: Steps taken before.
        evaluations: Net calls that one answer or sample takes, which the budget may limit.
        loss_unit: Of the losses in the log; empty where they have none.
    """
    known: dict[str, Any] = {"sessions": []}
    if (run.folder / "environment.json").is_file():
        known = run.read_json("environment.json")
    session = {
        "started": _now().isoformat(timespec="milliseconds"),
        "from_step": step,
        "to_step": step,
        "seconds": 0.0,
    }
    facts: dict[str, Any] = {
        "versions": {"python": platform.python_version()} | {name: version(name) for name in PACKAGES},
        "commit": _commit(),
        "system": platform.platform(),
        "machine": machine.describe(),
        "evaluations": evaluations,
        "loss_unit": loss_unit,
        "sessions": [*known["sessions"], session],
    }
    run.write_json("environment.json", facts)


def close_session(run: Run, step: int) -> None:
    """Records how far the last session came and how long it took."""
    known = run.read_json("environment.json")
    session = known["sessions"][-1]
    passed = _now() - datetime.datetime.fromisoformat(session["started"])
    session |= {"to_step": step, "seconds": round(passed.total_seconds(), 1)}
    run.write_json("environment.json", known)


def record_evaluations(run: Run, evaluations: int) -> None:
    """Records the net calls that one answer or sample takes from now on."""
    run.write_json("environment.json", run.read_json("environment.json") | {"evaluations": evaluations})


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


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
