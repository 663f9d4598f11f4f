"""Files from the network, whole and checked, or not at all."""

import hashlib
import http.client
import os
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from shoestring.core.errors import DataError
from shoestring.core.lock import locked
from shoestring.core.progress import Progress

AS_FOUND = "files as found, whose checksum is not the official one"
"""How reports call data that may be damaged or another version."""
_BLOCK = 1 << 18


class _UnfinishedError(Exception):
    """A download that may succeed if it is tried again from where it stopped."""


class _RefusedError(Exception):
    """An answer that would be the same again."""


def checksum_of(path: Path, algorithm: str) -> str:
    """The hexadecimal checksum of a file; `algorithm` is a name hashlib knows, such as "md5" or "sha256"."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.new(algorithm, usedforsecurity=False)).hexdigest()


def has_checksum(path: Path, checksum: str) -> bool:
    """Whether a file has a checksum, given as "md5:..." or "sha256:...", in hexadecimal."""
    algorithm, _, expected = checksum.partition(":")
    return checksum_of(path, algorithm) == expected


def check(path: Path, checksum: str) -> None:
    """Deletes a file whose checksum is wrong, and says so.

    Args:
        path: The file.
        checksum: As "md5:..." or "sha256:...", in hexadecimal.

    Raises:
        DataError: The checksum is another.
    """
    algorithm, _, expected = checksum.partition(":")
    found = checksum_of(path, algorithm)
    if found != expected:
        path.unlink()
        raise DataError(f"{path} had {algorithm} {found}, not {expected}: damaged or another version; it was deleted")


def fetch(
    urls: Sequence[str],
    path: Path,
    checksum: str,
    progress: Progress,
    *,
    remedy: str = "",
    attempts: int = 4,
    pause_seconds: float = 1.0,
    timeout_seconds: float = 30.0,
) -> Path:
    """The path of a file that is there whole and has its checksum, downloaded when it was not there.

    Bytes land in PATH.part, which a later attempt or a later call continues; PATH appears by one rename after the
    checksum is right. Where another process or thread downloads the same file, this one waits for it.

    Args:
        urls: Places that hold the same file, best first; the next is asked when one fails.
        path: Where the file goes; its folder is made.
        checksum: As "md5:..." or "sha256:...", in hexadecimal.
        progress: Reports the bytes.
        remedy: What the user can do when no place delivers, ending the error's message.
        attempts: Tries per place while the connection breaks or the server is busy.
        pause_seconds: Wait before the second try; it doubles with each one.
        timeout_seconds: Silence after which a connection counts as broken.

    Raises:
        DataError: No place delivered the file, or the file already at `path` has another checksum.
    """
    if path.exists():
        return _expected(path, checksum)
    failures: list[str] = []
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with alone(path, progress):
            if path.exists():
                return _expected(path, checksum)
            for url in urls:
                reason = _from(url, path, checksum, progress, attempts, pause_seconds, timeout_seconds)
                if not reason:
                    return path
                failures.append(f"{url}: {reason}")
    except OSError as error:
        raise DataError(f"{path} cannot be written: {error}. Free space or name another folder.") from error
    raise DataError(
        "\n".join(
            [f"{path.name} could not be downloaded.", *failures, f"Try again later, or put it at {path} yourself."]
        )
        + (f" {remedy}" if remedy else "")
    )


def alone(path: Path, progress: Progress) -> AbstractContextManager[None]:
    """Inside, no other process or thread makes this file; waits for one that does, however that ends.

    Args:
        path: The file; PATH.lock beside it is locked by the operating system, and removed at the end.
        progress: Reports waiting.
    """
    return locked(path.with_name(path.name + ".lock"), progress, awaited=path)


def _expected(path: Path, checksum: str) -> Path:
    if not has_checksum(path, checksum):
        algorithm, _, expected = checksum.partition(":")
        raise DataError(f"{path} is not the expected file ({algorithm} is not {expected}); delete or replace it")
    return path


def _from(
    url: str,
    path: Path,
    checksum: str,
    progress: Progress,
    attempts: int,
    pause_seconds: float,
    timeout_seconds: float,
) -> str:
    """Downloads a file from one place; gives the reason why not, or an empty one."""
    partial = path.with_name(path.name + ".part")
    reason = "no try was made"
    for attempt in range(attempts):
        try:
            _continue(url, partial, progress, timeout_seconds)
            check(partial, checksum)
            partial.replace(path)
            return ""
        except _UnfinishedError as failure:
            reason = f"{failure} ({attempt + 1} tries)"
            if attempt + 1 < attempts:
                time.sleep(pause_seconds * 2**attempt)
        except (_RefusedError, DataError) as failure:
            return str(failure)
    return reason


def _continue(url: str, partial: Path, progress: Progress, timeout_seconds: float) -> None:
    """Fetches what is still missing of a file, from the start where the server cannot continue."""
    start = partial.stat().st_size if partial.exists() else 0
    request = urllib.request.Request(url, headers={"User-Agent": "shoestring", "Accept-Encoding": "identity"})
    if start:
        request.add_header("Range", f"bytes={start}-")
    try:
        answer = urllib.request.urlopen(request, timeout=timeout_seconds)
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == 416:
            # Nothing lies past what we have; its checksum decides whether that is the file.
            return
        message = f"the server answered {error.code} {error.reason}"
        if error.code == 429 or error.code >= 500:
            raise _UnfinishedError(message) from error
        raise _RefusedError(message) from error
    except (http.client.HTTPException, OSError) as error:
        raise _UnfinishedError(f"the connection failed: {getattr(error, 'reason', error)}") from error
    with answer:
        _receive(answer, start, partial, progress)


def _receive(answer: http.client.HTTPResponse, start: int, partial: Path, progress: Progress) -> None:
    if answer.status not in (200, 206):
        raise _RefusedError(f"the server answered {answer.status} {answer.reason} and did not deliver the file")
    if answer.status == 200:
        start = 0
    elif not (answer.getheader("Content-Range") or "").startswith(f"bytes {start}-"):
        partial.unlink(missing_ok=True)
        raise _UnfinishedError("the server continued at another byte than asked")
    length = answer.getheader("Content-Length")
    total = start + int(length) if length else 0
    received = start
    with (
        progress.task(f"downloading {partial.name.removesuffix('.part')}", total, "bytes", start) as advance,
        partial.open("ab" if start else "wb") as file,
    ):
        while block := _read(answer):
            file.write(block)
            received += len(block)
            advance(len(block))
        file.flush()
        os.fsync(file.fileno())
    if received == 0:
        partial.unlink()
        raise _RefusedError("the server answered with an empty body")
    if received < total:
        raise _UnfinishedError(f"the connection ended after {received:,} of {total:,} bytes")


def _read(answer: http.client.HTTPResponse) -> bytes:
    # Apart from writing, so that a broken connection is not taken for a full disk.
    try:
        return answer.read(_BLOCK)
    except (http.client.HTTPException, OSError) as error:
        raise _UnfinishedError(f"the connection broke: {error}") from error
