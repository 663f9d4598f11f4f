"""Which metrics this user's machine measured itself: hashes of them, kept where no run that is passed on can reach."""

import hashlib
import json
import os
from contextlib import suppress
from pathlib import Path

from shoestring.core.errors import RunError
from shoestring.core.run import Run
from shoestring.core.trust import configuration_folder

VARIABLE = "SHOESTRING_MEASURED"


def measured_file() -> Path:
    """The file with a line for each split that was ever measured; it need not exist.

    The environment variable SHOESTRING_MEASURED names it; without that it lies in the user's configuration folder.

    Raises:
        FileNotFoundError: The user has no home.
    """
    named = os.environ.get(VARIABLE)
    return Path(named).expanduser() if named else configuration_folder() / "shoestring" / "measured"


def remember_measured(run: Run, *splits: str) -> None:
    """Notes that the metrics which a run now has of some splits were measured here, with its weights.

    Where the note cannot be written, they will count as claimed.
    """
    with suppress(OSError):
        file = measured_file()
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("a", encoding="utf-8") as lines:
            lines.writelines(f"{_key(run, split)}\n" for split in splits)


def was_measured_here(run: Run, split: str) -> bool:
    """Whether the metrics that a run has of a split are just those that were measured here with its weights."""
    try:
        return _key(run, split) in measured_file().read_text(encoding="utf-8").splitlines()
    except (OSError, RunError):
        return False


def _key(run: Run, split: str) -> str:
    values = [run.answers_digest(), split, run.metrics().get(split)]
    return hashlib.sha256(json.dumps(values, sort_keys=True).encode()).hexdigest()
