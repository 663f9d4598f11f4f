"""One process at a time: a lock that the operating system holds, and frees however its holder ends."""

import datetime
import errno
import os
import socket
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from shoestring.core.errors import BusyError
from shoestring.core.progress import Progress

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

HELD = (errno.EAGAIN, errno.EACCES, errno.EDEADLK)  # what systems say of a lock that another process holds

LOOK_SECONDS = 0.2  # between looks whether another process has ended
NAMING_SECONDS = 2.0  # that a holder may take to write its name, on a busy machine


@contextmanager
def locked(file: Path, progress: Progress, awaited: Path | None = None) -> Generator[None]:
    """Inside, no other process, and no other thread of this one, holds the lock of this file.

    Where the file system knows no locks, goes on without.

    Args:
        file: Made for the lock, in the folder that is locked; names the holder; removed at the end.
        progress: Reports waiting, or when there can be no lock.
        awaited: What others may be making under this lock, to wait for; by default nobody waits.

    Raises:
        BusyError: Another process holds it, and nothing is waited for; names that process, its host and since when.
    """
    with _acquired(file, progress, awaited) as held:
        held.truncate(0)
        held.write(f"process {os.getpid()} on {socket.gethostname()} since {_now()}")
        held.flush()
        try:
            yield
        finally:
            with suppress(OSError):  # Windows removes no open file; a file that stays locks nobody out
                file.unlink()


def _acquired(file: Path, progress: Progress, awaited: Path | None) -> TextIO:
    told, until = False, time.monotonic() + NAMING_SECONDS
    while True:
        held = file.open("a+", encoding="utf-8")
        try:
            _lock(held)
        except OSError as error:
            if error.errno in HELD and awaited:
                held.close()
                if not told:
                    progress.say(f"{awaited} is being made by another process; waiting for it")
                told = True
                time.sleep(LOOK_SECONDS)
                continue
            if error.errno in HELD:
                with held:
                    held.seek(0)
                    holder = held.read()
                if not holder and time.monotonic() < until:  # it has only just come
                    time.sleep(0.01)
                    continue
                holder = holder or "another process"
                raise BusyError(f"{file.parent} is in use by {holder}; wait until that ends, or stop it") from None
            if not awaited:
                progress.say(f"{file.parent} lies on a file system without locks ({error}): start nothing else there")
            return held
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(held.fileno()), file.stat()):
                return held
        held.close()  # its last holder removed it between our opening and our locking it


def _lock(held: TextIO) -> None:
    if sys.platform == "win32":
        held.seek(2**30)  # a lock keeps others from reading too: one byte far behind the text
        msvcrt.locking(held.fileno(), msvcrt.LK_NBLCK, 1)
    else:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _now() -> str:
    return f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M:%S} UTC"
