"""A layer between this process and its files: sees every change before it is made, and can end or refuse it."""

import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Change:
    """A change of a file or folder that is about to be made.

    Attributes:
        kind: "make", "write", "truncate", "sync", "rename", "remove", "make folder" or "remove folder".
        path: What is changed.
        to: Where it is moved to.
        at: Where bytes are written, or how long the file becomes.
        content: The bytes that are written.
    """

    kind: str
    path: str
    to: str = ""
    at: int = 0
    content: bytes = b""


Watch = Callable[[Change], int | None]
"""Is told of a change beforehand. It may end the process, raise an OSError, or give how many of the bytes are written;
the layer then refuses the rest as a full disk does."""


@contextmanager
def watched(folder: Path, watch: Watch) -> Iterator[None]:
    """Inside, the watch is told of every change below a folder that Python's own functions make."""
    layer = _Layer(str(folder.resolve()), watch)
    before = {(holder, name): getattr(holder, name) for holder, name in layer.replaced}
    try:
        for (holder, name), usual in before.items():
            setattr(holder, name, layer.replaced[holder, name](usual))
        yield
    finally:
        for (holder, name), usual in before.items():
            setattr(holder, name, usual)


class _File(io.FileIO):
    """A file whose changes are told."""

    layer: "_Layer"
    where: str

    def write(self, content: Any, /) -> int:
        whole = bytes(content)
        at = os.fstat(self.fileno()).st_size if "a" in self.mode else self.tell()
        allowed = self.layer.watch(Change("write", self.where, at=at, content=whole))
        if allowed is None:
            return super().write(whole)
        if allowed:
            super().write(whole[:allowed])
        raise OSError(28, os.strerror(28), self.where)

    def truncate(self, size: int | None = None, /) -> int:
        self.layer.watch(Change("truncate", self.where, at=self.tell() if size is None else size))
        return super().truncate(size)


class _Layer:
    def __init__(self, folder: str, watch: Watch) -> None:
        self.folder = folder
        self.watch = watch
        moves = {"rename": "rename", "replace": "rename"}
        ends = {"unlink": "remove", "remove": "remove", "rmdir": "remove folder", "mkdir": "make folder"}
        self.replaced: dict[tuple[Any, str], Callable[[Any], Any]] = {
            (io, "open"): self._open,
            (__import__("builtins"), "open"): self._open,
            (os, "open"): self._os_open,
            (os, "fsync"): self._fsync,
            **{(os, name): lambda usual, kind=kind: self._moving(usual, kind) for name, kind in moves.items()},
            **{(os, name): lambda usual, kind=kind: self._ending(usual, kind) for name, kind in ends.items()},
        }

    def inside(self, path: Any) -> str | None:
        """The path below the folder; None of one that lies elsewhere."""
        if isinstance(path, int):
            try:
                path = os.readlink(f"/proc/self/fd/{path}")
            except OSError:
                return None
        found = os.path.abspath(os.fsdecode(path))
        return found if f"{found}/".startswith(f"{self.folder}/") else None

    def _open(self, usual: Any) -> Any:
        def opened(file: Any, mode: str = "r", buffering: int = -1, *more: Any, **named: Any) -> Any:
            where = self.inside(file)
            if where is None or named.get("opener") or not set(mode) & set("wax+"):  # an opener's file has no name
                return usual(file, mode, buffering, *more, **named)
            if not isinstance(file, int) and not os.path.exists(where):
                self.watch(Change("make", where))
            elif "w" in mode and not isinstance(file, int):
                self.watch(Change("truncate", where))
            raw = _File(file, mode.replace("b", "").replace("t", ""))
            raw.layer, raw.where = self, where
            buffer = io.BufferedRandom(raw) if "+" in mode else io.BufferedWriter(raw)
            if "b" in mode:
                return buffer
            words = dict(zip(("encoding", "errors", "newline"), more, strict=False)) | named
            return io.TextIOWrapper(
                buffer, **{k: v for k, v in words.items() if k in ("encoding", "errors", "newline")}
            )

        return opened

    def _os_open(self, usual: Any) -> Any:
        def opened(path: Any, flags: int, *more: Any, **named: Any) -> int:
            where = self.inside(path)
            if where is not None and flags & os.O_CREAT and not os.path.exists(where):
                self.watch(Change("make", where))
            return usual(path, flags, *more, **named)

        return opened

    def _fsync(self, usual: Any) -> Any:
        def synced(file: Any) -> None:
            number = file if isinstance(file, int) else file.fileno()
            where = self.inside(number)
            if where is not None:
                self.watch(Change("sync", where))
            usual(number)

        return synced

    def _moving(self, usual: Any, kind: str) -> Any:
        def moved(source: Any, target: Any, **named: Any) -> None:
            where = self.inside(source)
            if where is not None:
                self.watch(Change(kind, where, to=os.path.abspath(os.fsdecode(target))))
            usual(source, target, **named)

        return moved

    def _ending(self, usual: Any, kind: str) -> Any:
        def done(path: Any, *more: Any, **named: Any) -> None:
            where = self.inside(path)
            if where is not None and (kind == "make folder") != os.path.exists(where):
                self.watch(Change(kind, where))
            usual(path, *more, **named)

        return done
