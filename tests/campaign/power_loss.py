"""A run loses no more than the steps since its last checkpoint when the power fails."""

import os
import random
import shutil
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tiny

from campaign.file_layer import Change, watched
from campaign.kills import SECONDS, Begun, train
from campaign.tiny_trainings import KINDS, difference, end_of
from campaign.trials import Trial, drawn, forked
from shoestring.core.checkpoints import Checkpoints
from shoestring.core.run import Run

PROMISE = "a power failure costs at most the steps since the last checkpoint"
ASKED = 200


@dataclass
class Content:
    """What a file holds, and what of it is on the disk for certain."""

    now: bytearray = field(default_factory=bytearray)
    synced: bytes = b""

    def __bool__(self) -> bool:
        return True


Names = dict[str, Content | None]
"""What each path means; None is a folder."""


class Disk:
    """A folder as the changes of a process make it, with what a power failure could leave of it.

    The model is that of POSIX: bytes are safe once their file is synced, names once their folder is. Of what was not
    synced, the changes of names of each folder happened in order up to some point, and a file holds its last synced
    content and any beginning of what was written since, perhaps with zeros in its place.
    """

    def __init__(self, folder: Path) -> None:
        """An empty folder, which is on the disk."""
        self.names: Names = {str(folder.resolve()): None}
        self.safe: Names = dict(self.names)
        self.pending: dict[str, list[tuple[Change, Content | None]]] = {}

    def make(self, change: Change) -> None:
        """Takes in a change."""
        content = self.names.get(change.path)
        match change.kind:
            case "write" if content:
                content.now[change.at : change.at + len(change.content)] = change.content
            case "truncate" if content:
                del content.now[change.at :]
            case "sync" if content:
                content.synced = bytes(content.now)
            case "sync":
                for waiting in self.pending.pop(change.path, []):
                    _rename(self.safe, *waiting)
            case _:
                content = Content() if change.kind == "make" else content
                _rename(self.names, change, content)
                self.pending.setdefault(os.path.dirname(change.path), []).append((change, content))

    def after_a_cut(self, draw: random.Random) -> dict[str, bytes | None]:
        """What could be found by path after a power failure; None is a folder."""
        names = dict(self.safe)
        everything = draw.random() < 0.2
        for waiting in self.pending.values():
            for change in waiting[: len(waiting) if everything else draw.randrange(len(waiting) + 1)]:
                _rename(names, *change)
        found: dict[str, bytes | None] = {}
        for path, content in sorted(names.items()):
            parent = os.path.dirname(path)
            if found and parent not in found:
                continue  # its folder was lost
            found[path] = None if content is None else self._left(content, draw)
        return found

    def _left(self, content: Content, draw: random.Random) -> bytes:
        now = bytes(content.now)
        if now == content.synced:
            return now
        pairs = enumerate(zip(now, content.synced, strict=False))
        same = next((place for place, (a, b) in pairs if a != b), min(len(now), len(content.synced)))
        until = draw.randrange(same, len(now) + 1)
        return draw.choice((content.synced, now[:until], now, now[:until] + bytes(len(now) - until)))


def _rename(names: Names, change: Change, content: Content | None) -> None:
    """Makes a change of names; a folder takes along what is in it."""
    match change.kind:
        case "make" | "make folder":
            names[change.path] = content
        case "rename":
            inside = f"{change.path}/"
            moved = {path: names.pop(path) for path in list(names) if path == change.path or path.startswith(inside)}
            for path, found in (moved or {change.path: content}).items():
                names[change.to + path[len(change.path) :]] = found
        case _:
            names.pop(change.path, None)


def trials(folder: Path, seed: int, numbers: Iterable[int], begun: Begun | None = None) -> Iterator[Trial]:
    """A trial is a cut at some change of a training, which then goes on from what is left."""
    begun = begun or Begun(folder)
    for number in numbers:
        draw = drawn(seed, number)
        name = list(KINDS)[number % len(KINDS)]
        at = draw.randrange(begun.changes[name] + 1)
        home = folder / "disk"
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir()

        def work(name: str = name, at: int = at, draw: random.Random = draw, home: Path = home) -> str:
            try:
                return _cut(begun, name, at, draw, home)
            except Exception as error:
                return f"it does not go on: {type(error).__name__}: {error}"

        status, broken = forked(work, SECONDS)
        yield Trial(number, f"{name}: before change {at}", f"status {status}" if broken is None else broken)


class _Cut(BaseException):
    pass


def _cut(begun: Begun, name: str, at: int, draw: random.Random, home: Path) -> str:
    disk, seen = Disk(home), 0
    run = Run(home / "runs" / name)

    def watch(change: Change) -> None:
        nonlocal seen
        if seen == at:
            raise _Cut
        seen += 1
        disk.make(change)

    reached = _noted(Checkpoints, "write")
    finished = _noted(Run, "write_weights")
    with suppress(_Cut), watched(home, watch):
        train(begun.recipes[name], run)
    shutil.rmtree(home / "runs", ignore_errors=True)
    for path, content in disk.after_a_cut(draw).items():
        if content is None:
            Path(path).mkdir(exist_ok=True)
        else:
            Path(path).write_bytes(content)
    if finished and not run.has_weights():
        return "the final weights are lost"
    step, heard = int(reached[-1][1]) if reached else 0, tiny.Heard()
    if step and step not in run.checkpoints.by_step():
        return f"the checkpoint of step {step} is lost; there are those of {list(run.checkpoints.by_step())}"
    if step and [record["step"] for record in run.log("train")][-1:] < [step]:
        return f"the log up to step {step} is lost"
    train(begun.recipes[name], run, report=False, progress=heard)
    said = [message for message in heard.messages if "damaged" in message]
    return difference(end_of(run), begun.ends[name]) or "; ".join(said)


def _noted(kind: type, name: str) -> list[tuple[Any, ...]]:
    """The arguments of all calls of a method of a class that came to their end."""
    method = getattr(kind, name)
    ended: list[tuple[Any, ...]] = []

    def noting(*given: Any) -> Any:
        made = method(*given)
        ended.append(given)
        return made

    setattr(kind, name, noting)
    return ended
