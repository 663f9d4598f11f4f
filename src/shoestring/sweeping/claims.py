"""Who trains what: claims on names in a shared folder, without a server, which end when their holder does."""

import functools
import json
import os
import socket
import threading
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

BEAT_SECONDS = 5.0  # between two signs of life
SILENT_SECONDS = 180.0  # without one, after which a holder counts as dead; file servers show times a minute late


@dataclass(frozen=True)
class Holder:
    """Who holds a claim.

    Attributes:
        machine: As `this_machine` gives it.
        pid: Its process there.
    """

    machine: str
    pid: int


class Claims:
    """The claims in a folder, a file each.

    A claim is taken by making a file that must not be there, which file systems do for one process only, NFS included.
    Its holder touches it every few seconds. One that no longer does, or whose process is gone where that can be seen,
    is dead: the next file, with a higher number, is the claim that counts. So nothing is ever taken from a living
    holder in a race, and one that slept for long and wakes sees that it was followed.
    """

    def __init__(self, folder: Path, silent_seconds: float = SILENT_SECONDS) -> None:
        """Needs nothing to be there yet.

        Args:
            folder: Of the claims alone.
            silent_seconds: How long a holder may give no sign of life.
        """
        self.folder = folder
        self.silent_seconds = silent_seconds

    def take(self, name: str) -> "Claim | None":
        """A claim on a name; None where somebody holds it or was faster."""
        files = self._files(name)
        if files and self._lives(files[-1]):
            return None
        number = _number(files[-1]) + 1 if files else 1
        file = self.folder / f"{name}.{number}"
        self.folder.mkdir(parents=True, exist_ok=True)
        try:
            handle = os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
        except FileExistsError:
            return None
        os.close(handle)
        if self._files(name)[-1:] != [file]:  # what we saw of the folder was old: one that follows ours is there
            file.unlink(missing_ok=True)
            return None
        return Claim(file)

    def deaths(self, name: str) -> int:
        """How many holders of a name ended without a word."""
        files = self._files(name)
        return len(files) - (1 if files and self._lives(files[-1]) else 0)

    def living(self) -> set[str]:
        """The names that somebody holds, by one look at the folder, however many there are."""
        files = self._files()
        last = {file.stem: file for file in files}
        now = self._now() if files else 0.0
        return {name for name, file in last.items() if self._lives(file, now)}

    def forget(self, names: Collection[str]) -> None:
        """Removes all claims on some names."""
        for file in self._files():
            if file.stem in names:
                file.unlink(missing_ok=True)

    def _files(self, name: str = "*") -> list[Path]:
        """The claims on a name, or on all, by number."""
        found = [file for file in self.folder.glob(f"{name}.*") if file.suffix[1:].isdecimal()]
        return sorted(found, key=_number)

    def _lives(self, file: Path, now: float | None = None) -> bool:
        holder = _read(file)
        if holder is not None and holder.machine == this_machine() and not _is_running(holder.pid):
            return False
        try:
            return (self._now() if now is None else now) - file.stat().st_mtime < self.silent_seconds
        except FileNotFoundError:  # given back this moment: it can be taken the next time, under its own number
            return True

    def _now(self) -> float:
        """The time by the clock of the file system, which is that of the files."""
        clock = self.folder / f".clock-{socket.gethostname()}-{os.getpid()}"
        clock.touch()
        try:
            return clock.stat().st_mtime
        finally:
            clock.unlink(missing_ok=True)


class Claim:
    """A claim that is held. Inside a `with`, a thread gives the signs of life; at its end it is given back."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.lost = False
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True, name=f"claim {file.name}")
        self._write()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None):
        self._ended.set()
        self._thread.join()
        if not self.lost:
            self.file.unlink(missing_ok=True)

    def _beat(self) -> None:
        while not self._ended.wait(BEAT_SECONDS) and not self.lost:
            name, number = self.file.stem, _number(self.file)
            try:
                followed = any(_number(file) > number for file in self.file.parent.glob(f"{name}.*[0-9]"))
                if followed or not self.file.exists():
                    self.lost = True
                else:
                    self._write()
            except OSError:  # a file server that is away for a moment; if for longer, others will take over
                continue

    def _write(self) -> None:
        values = {"machine": this_machine(), "pid": os.getpid()}
        self.file.write_text(json.dumps(values), encoding="utf-8")


@functools.cache
def this_machine() -> str:
    """A name of the machine and, of a container, of its processes: where one process has one number."""
    parts = [socket.gethostname()]
    with suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()[:8])
        parts.append(str(Path("/proc/self/ns/pid").readlink()))
    return " ".join(parts)


def _number(file: Path) -> int:
    return int(file.suffix[1:])


def _read(file: Path) -> Holder | None:
    """Who a claim names; None where it is being written, or gone."""
    try:
        values: Mapping[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        return Holder(str(values["machine"]), int(values["pid"]))
    except (OSError, ValueError, LookupError):
        return None


def _is_running(pid: int) -> bool:
    """Whether a process of this machine runs."""
    if os.name == "nt":
        return True  # only its signs of life tell
    with suppress(PermissionError):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
    return not _is_zombie(pid)


def _is_zombie(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()[0] == "Z"
    except (OSError, IndexError):
        return False
