"""The checkpoints of a run, to go on from, and the chain that binds them to the log."""

import hashlib
import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from shoestring.core import checkpoint_chain
from shoestring.core.atomic_files import sync_folder
from shoestring.core.checkpoint_chain import next_link
from shoestring.core.progress import Progress
from shoestring.core.record_folder import RecordFolder
from shoestring.core.run_records import CHAIN
from shoestring.core.tensor_files import load_checkpoint

LAST = 2  # those that always stay: the last, and the one before in case the last is damaged


@dataclass(frozen=True)
class Checkpoints:
    """The files checkpoints/step-STEPS-CHECKSUM.pt of a run.

    Attributes:
        files: The run's folder.
        log: Gives all records of its log so far.
    """

    files: RecordFolder
    log: Callable[[], list[dict[str, Any]]]

    def write(self, step: int, state: Mapping[str, Any], keep: int | None = None) -> Path:
        """Saves the state reached after `step` steps; its checksum is part of its name, and a link of the chain.

        Args:
            step: Steps taken.
            state: All that changes.
            keep: Checkpoints of multiples of so many steps stay; by default only the last two do.
        """
        buffer = io.BytesIO()
        torch.save(dict(state), buffer)
        content = buffer.getvalue()
        sha256 = hashlib.sha256(content).hexdigest()
        path = self.files.write_bytes(f"checkpoints/step-{step:08d}-{sha256[:16]}.pt", content)
        before = [link for link in self.chain() if link["step"] < step]
        self.files.write_json(checkpoint_chain.FILE, [*before, next_link(before, step, sha256, self.log())])
        self._forget_older(keep)
        return path

    def read(self, progress: Progress, device: torch.device) -> dict[str, Any] | None:
        """The newest undamaged checkpoint, or None; says so for each damaged one, and leaves it where it is."""
        for path in reversed(self._paths()):
            content = path.read_bytes()
            if path.stem.endswith(hashlib.sha256(content).hexdigest()[:16]):
                return load_checkpoint(path, content, device)
            progress.say(f"{path} is damaged (its content does not match its checksum); using the one before")
        return None

    def last(self) -> Path | None:
        """Path of the newest."""
        return next(reversed(self._paths()), None)

    def by_step(self) -> dict[int, Path]:
        """Those that are kept, by the steps taken, in order."""
        return {_step_of(path): path for path in self._paths()}

    def chain(self) -> list[dict[str, Any]]:
        """The chain of all there ever were; empty of runs of before there was one."""
        return self.files.read_held(checkpoint_chain.FILE, CHAIN, [])

    def forget_after(self, step: int, keep: int | None = None) -> None:
        """Forgets those after a step, damaged ones, before it is trained again, and what `write` may have left to do.

        They would outlive the next ones as two of the last. `keep` is as of `write`.
        """
        for path in self._paths():
            if _step_of(path) > step:
                path.unlink()
        self._forget_older(keep)

    def end_chain(self, step: int) -> None:
        """Makes the checkpoint of a step the last of the chain; the log ends there already."""
        chain = [link for link in self.chain() if link["step"] <= step]
        reached = self.by_step().get(step)
        if reached and (not chain or chain[-1]["step"] < step):  # killed after the checkpoint, before its link
            sha256 = hashlib.sha256(reached.read_bytes()).hexdigest()
            chain.append(next_link(chain, step, sha256, self.log()))
        if chain:
            self.files.write_json(checkpoint_chain.FILE, chain)

    def remove(self) -> None:
        """Removes them all."""
        for path in self._paths():
            path.unlink()

    def _paths(self) -> list[Path]:
        return sorted((self.files.folder / "checkpoints").glob("step-*.pt"))

    def _forget_older(self, keep: int | None) -> None:
        older = [old for old in self._paths()[:-LAST] if not keep or _step_of(old) % keep]
        for old in older:
            old.unlink()
        if older:
            sync_folder(older[0].parent)


def _step_of(checkpoint: Path) -> int:
    return int(checkpoint.stem.split("-")[1])
