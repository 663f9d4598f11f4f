"""Decoded images kept on disk, by the content of their files: none is decoded twice at one size."""

import hashlib
import json
import os
import sqlite3
import sys
import threading
import time
from collections.abc import Generator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shoestring.core.progress import Progress

MOST = 4 * 2**30  # bytes; an image of 32x32 takes 3 KiB, one of 224x224 147 KiB
SETTLED_SECONDS = 2.0  # the coarsest clock of a file system: a younger file may change without its times changing
_TABLES = """
CREATE TABLE IF NOT EXISTS image
    (key BLOB PRIMARY KEY, pixels BLOB, facts TEXT, image BLOB, checksum BLOB, used INTEGER);
CREATE TABLE IF NOT EXISTS file (path BLOB PRIMARY KEY, identity TEXT, content BLOB);
"""


@dataclass(frozen=True)
class ImageFacts:
    """What is known of an image file, whatever its image was resized to.

    Attributes:
        form: Its format, such as "JPEG".
        width: Upright, in pixels.
        height: Upright, in pixels.
        bits: Of a sample.
        brightest: The largest sample of the decoded image, 0..255.
        grey: Whether red, green and blue are the same everywhere.
    """

    form: str
    width: int
    height: int
    bits: int
    brightest: int
    grey: bool


@dataclass(frozen=True)
class ReadImage:
    """An image as nets get it, and what decides its split.

    Attributes:
        pixels: A hash of the upright pixels before resizing, 16 bytes.
        image: uint8, (3, size, size).
        facts: What is known of the file.
    """

    pixels: bytes
    image: NDArray[np.uint8]
    facts: ImageFacts


class ImageCache:
    """A table of decoded images by content, and one of the content of files by where and when they were written.

    One SQLite file: processes may share it, a kill costs what was not committed, and a damaged image is known by its
    checksum and decoded anew. A cache that cannot be used is done without, which is said once.

    A file's content is known without reading it only while its device, inode, size, time of change and time of the last
    change of anything about it (ctime, which no program sets at will) are the same, and it had been left alone for some
    seconds when it was read. Windows has no such time: there all files are read, and only decoding is saved.
    """

    def __init__(self, file: Path, progress: Progress) -> None:
        """Opens or makes it; use `opened`, which also closes it."""
        self.file = file
        self._progress = progress
        self._lock = threading.Lock()  # workers look images up while the main thread writes
        self._day = int(time.time()) // 86_400
        self._used: set[bytes] = set()
        self._wrote = False
        self._database: sqlite3.Connection | None = None
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            self._database = _connected(file)
        except (OSError, sqlite3.Error) as error:
            self._give_up(error)

    def content(self, path: Path, facts: os.stat_result) -> bytes | None:
        """The hash of a file's content, if it is known without reading it."""
        if sys.platform == "win32":
            return None
        row = self._one("SELECT identity, content FROM file WHERE path = ?", os.fsencode(path))
        return row[1] if row and row[0] == identity(facts) else None

    def image(self, key: bytes, size: int) -> ReadImage | None:
        """The image of a key, if it is there and undamaged."""
        row = self._one("SELECT pixels, facts, image, checksum, used FROM image WHERE key = ?", key)
        if row is None or row[3] != _checksum(key, *row[:3]) or len(row[2]) != 3 * size * size:
            return None
        if row[4] != self._day:
            self._used.add(key)
        image = np.frombuffer(row[2], np.uint8).reshape(3, size, size)
        return ReadImage(row[0], image, ImageFacts(**json.loads(row[1])))

    def keep(
        self, images: Sequence[tuple[bytes, ReadImage]], files: Sequence[tuple[Path, os.stat_result, bytes]]
    ) -> None:
        """Adds images by key, and files with their facts and the hash of their content; all or, at a kill, nothing."""
        now = time.time()
        known = [
            (os.fsencode(path), identity(facts), content)
            for path, facts, content in files
            if max(facts.st_mtime, facts.st_ctime) < now - SETTLED_SECONDS
        ]
        rows = [(key, *_row(key, one), self._day) for key, one in images]
        self._wrote = self._wrote or bool(rows)
        self._write("INSERT OR REPLACE INTO image VALUES (?, ?, ?, ?, ?, ?)", rows)
        self._write("INSERT OR REPLACE INTO file VALUES (?, ?, ?)", known)

    def close(self) -> None:
        """Notes what was used, and lets the images go that were used longest ago where there are too many bytes."""
        if self._used:
            self._write("UPDATE image SET used = ? WHERE key = ?", [(self._day, key) for key in self._used])
        while self._wrote and (count := self._surplus()):
            self._write("DELETE FROM image WHERE key IN (SELECT key FROM image ORDER BY used LIMIT ?)", [(count,)])
            self._write("DELETE FROM file", [()])  # their contents are found again by reading
        if self._database is not None:
            self._database.close()
            self._database = None

    def _surplus(self) -> int:
        """How many images to let go next: an eighth, while there are more bytes than `MOST`."""
        pages, free, size = (
            (self._one(f"PRAGMA {name}") or (0,))[0] for name in ("page_count", "freelist_count", "page_size")
        )
        if (pages - free) * size <= MOST:
            return 0
        count = (self._one("SELECT count(*) FROM image") or (0,))[0]
        return -(-count // 8)

    def _one(self, question: str, *values: object) -> tuple[Any, ...] | None:
        with self._lock:
            if self._database is None:
                return None
            try:
                return self._database.execute(question, values).fetchone()
            except sqlite3.Error as error:
                self._give_up(error)
                return None

    def _write(self, statement: str, rows: Sequence[tuple[object, ...]]) -> None:
        with self._lock:
            if self._database is None or not rows:
                return
            try:
                with self._database:  # one transaction
                    self._database.executemany(statement, rows)
            except sqlite3.Error as error:
                self._give_up(error)

    def _give_up(self, error: Exception) -> None:
        if self._database is not None:
            self._database.close()
            self._database = None
        if _is_damage(error):
            _remove(self.file)
        self._progress.say(f"decoded images are not kept for another time: {self.file}: {error}")


@contextmanager
def opened(folder: Path, progress: Progress) -> Generator[ImageCache]:
    """The cache in a folder, closed at the end; a damaged file is made anew.

    Args:
        folder: Made when missing; the file in it, images.sqlite, is free to be deleted at any time.
        progress: Reports when it cannot be used.
    """
    cache = ImageCache(cache_file(folder), progress)
    try:
        yield cache
    finally:
        cache.close()


def cache_file(folder: Path) -> Path:
    """The file in a folder that the cache is."""
    return folder / "images.sqlite"


def identity(facts: os.stat_result) -> str:
    """What changes whenever a file's content does."""
    return f"{facts.st_dev} {facts.st_ino} {facts.st_size} {facts.st_mtime_ns} {facts.st_ctime_ns}"


def _connected(file: Path) -> sqlite3.Connection:
    """The database in a file; one that is none is replaced."""
    database = _open(file)
    try:
        database.executescript(_TABLES)
    except sqlite3.DatabaseError as error:
        database.close()
        if not _is_damage(error):
            raise
        _remove(file)
        database = _open(file)
        database.executescript(_TABLES)
    return database


def _open(file: Path) -> sqlite3.Connection:
    return sqlite3.connect(file, timeout=10, check_same_thread=False)


def _is_damage(error: Exception) -> bool:
    return type(error) is sqlite3.DatabaseError  # its subclasses: in use, no room, not to be written to, …


def _remove(file: Path) -> None:
    for part in (file, file.with_name(f"{file.name}-journal")):
        with suppress(OSError):
            part.unlink()


def _row(key: bytes, one: ReadImage) -> tuple[bytes, str, bytes, bytes]:
    facts, image = json.dumps(asdict(one.facts)), one.image.tobytes()
    return one.pixels, facts, image, _checksum(key, one.pixels, facts, image)


def _checksum(key: bytes, pixels: bytes, facts: str, image: bytes) -> bytes:
    return hashlib.blake2b(b"".join((key, pixels, facts.encode(), image)), digest_size=8).digest()
