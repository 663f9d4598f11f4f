"""Standard streams as pipes, cron, containers and Windows leave them: closed, of few letters, without a reader."""

import errno
import io
import os
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO, cast

GONE = (errno.EPIPE, errno.EIO)  # what a pipe without a reader and a terminal that was closed say


def complete_streams() -> None:
    """Opens standard streams that are closed, to nowhere, and lets no letter fail that an encoding lacks.

    Closed ones would else give their numbers to the files opened next, into which libraries then write their warnings.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115 (it stays open)
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors in ("strict", "surrogateescape"):
        sys.stdout.reconfigure(errors="replace")


class Lasting:
    """A stream that can be written to for ever.

    Attributes:
        lost: Whether the reader went away; nothing is written any more.
    """

    def __init__(self, stream: TextIO | None, nowhere: TextIO, whatever: bool) -> None:
        """Stands in for a stream.

        Args:
            stream: Where text goes; None, as Python has it, of a process that was started without.
            nowhere: Where it goes when nobody reads it.
            whatever: Whether any failure to write counts as a lost reader, such as a full disk; else it is an error.
        """
        self.stream = stream or nowhere
        self.nowhere = nowhere
        self.whatever = whatever
        self.lost = False

    def write(self, text: str) -> int:
        """Writes, or drops the text when nobody reads it any more."""
        self._unless_lost(lambda: self.stream.write(text))
        return len(text)

    def flush(self) -> None:
        """Flushes, as long as somebody reads."""
        self._unless_lost(self.stream.flush)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def _unless_lost(self, act: Callable[[], object]) -> None:
        if self.lost:
            return
        try:
            act()
        except OSError as error:
            if not self.whatever and error.errno not in GONE:
                raise
            self.lost = True
            with suppress(OSError):  # what is still in its buffer would fail again when the process ends
                os.dup2(self.nowhere.fileno(), self.stream.fileno())


@contextmanager
def lasting_streams() -> Generator[Lasting]:
    """Inside, lost readers of standard output and of the error stream end nothing; gives the former.

    On the error stream lies only what is said about the work, so a failure of any kind must not end it.
    """
    before = sys.stdout, sys.stderr
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        out, notes = Lasting(before[0], nowhere, whatever=False), Lasting(before[1], nowhere, whatever=True)
        sys.stdout, sys.stderr = cast(TextIO, out), cast(TextIO, notes)
        try:
            yield out
        finally:
            sys.stdout, sys.stderr = before
