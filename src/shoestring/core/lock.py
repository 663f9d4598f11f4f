"""One process at a time: a lock that the operating system holds, and frees however its holder ends."""

import datetime
import errno
import os
import socket
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

from shoestring.core.errors import RunError
from shoestring.core.progress import Progress

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

HELD = (errno.EAGAIN, errno.EACCES, errno.EDEADLK)  # what systems say of a lock that another process holds


@contextmanager
def locked(file: Path, progress: Progress) -> Generator[None]:
    """Inside, no other process, and no other thread of this one, holds the lock of this file.

    Where the file system knows no locks, says so and goes on without.

    Args:
        file: Made for the lock, in the folder that is locked; names the holder; removed at the end.
        progress: Told when there can be no lock.

    Raises:
        RunError: Another process holds it; names that process, its host and since when.
    """
    with _acquired(file, progress) as held:
        held.truncate(0)
        held.write(f"process {os.getpid()} on {socket.gethostname()} since {_now()}")
        held.flush()
        try:
            yield
        finally:
            with suppress(OSError):  # Windows removes no open file; a file that stays locks nobody out
                file.unlink()


def _acquired(file: Path, progress: Progress) -> TextIO:
    while True:
        held = file.open("a+", encoding="utf-8")
        try:
            _lock(held)
        except OSError as error:
            if error.errno in HELD:
                with held:
                    held.seek(0)
                    holder = held.read() or "another process"
                raise RunError(f"{file.parent} is in use by {holder}; wait until that ends, or stop it") from None
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
