"""How long work reports itself without printing: the library calls a Progress, the command line draws it."""

from collections.abc import Generator
from contextlib import contextmanager


class Progress:
    """Silent progress; the base that a display overrides.

    Use as `with progress.task("evaluating", 10_000, "images") as advance: advance(256)`.
    """

    @contextmanager
    def task(self, title: str, total: int, unit: str = "", start: int = 0) -> Generator["Advance"]:
        """A piece of work. Pieces may lie within one another.

        Args:
            title: What is being done, in a few words.
            total: Length in `unit`, 0 where it is not known.
            unit: What is counted.
            start: How much of it was done before, when work is resumed.

        Yields:
            A function to call with the amount done since the last call, and details to show.
        """
        yield Advance()

    def say(self, message: str) -> None:
        """Something the user should know now, such as a warning."""


class Advance:
    """Called as work proceeds; this one shows nothing."""

    def __call__(self, amount: int = 1, **details: str) -> None:
        """Notes that `amount` more is done."""
