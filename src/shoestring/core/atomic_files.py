"""Files that are there whole or not at all, whenever a process is killed or the power fails."""

import errno
import json
import os
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

UNFINISHED = ".unfinished"  # ends the names of temporary files
NO_SYNC = (errno.EACCES, errno.EINVAL, errno.ENOTSUP, errno.EPERM)  # of folders that may not be read, or file systems


def write_atomic(path: Path, content: bytes) -> Path:
    """Replaces a file so that no reader ever sees half of it, and a crash leaves the old one.

    Once it returns, the new one is on the disk.
    """
    make_folder(path.parent)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=UNFINISHED)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    sync_folder(path.parent)
    return path


def write_json(path: Path, value: Any) -> Path:
    """Replaces a file by a JSON value, as `write_atomic` does."""
    return write_atomic(path, json_bytes(value))


def json_bytes(value: Any) -> bytes:
    """A JSON value as files of ours hold it.

    Raises:
        ValueError: It has NaN or infinity, which JSON has not.
    """
    return (json.dumps(value, indent=1, allow_nan=False) + "\n").encode()


def make_folder(folder: Path) -> None:
    """Makes a folder, and those it lies in, so that a power failure does not take it away with what is in it.

    Raises:
        FileExistsError: It is a file.
    """
    missing = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for each in missing:
        sync_folder(each.parent)


def sync_folder(folder: Path) -> None:
    """Brings the names in a folder to the disk, where the system can."""
    if sys.platform == "win32":
        return  # it opens no folders; NTFS keeps a journal of names
    try:
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        if error.errno not in NO_SYNC:
            raise


def forget_unfinished_writes(folder: Path) -> None:
    """Removes what `write_atomic` left of writes that a killed process did not end; nobody else may be writing."""
    for file in folder.rglob(f".*{UNFINISHED}"):
        with suppress(OSError):
            file.unlink()
