"""Progress on the error stream: bars where that is a terminal, a line now and then where it is not."""

import math
import sys
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any, TextIO

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bars
from rich.table import Column
from rich.text import Text

from shoestring.core.progress import Advance, Progress

PAUSE_SECONDS = 2.0  # between two lines about the same work, where there is no bar
BAR_SECONDS = 0.1  # between two movements of a bar

NARROW = 60  # columns of a terminal below which only the title, the count and the time left are shown
PIPED_WIDTH = 120  # columns of tables where the output is no terminal
SURROGATES = range(0xD800, 0xE000)  # what bytes of a path that are no UTF-8 become; no output takes them
COMMANDS = dict.fromkeys(
    {*range(32), *range(127, 160), *SURROGATES} - {ord("\n"), ord("\t")}, "\N{REPLACEMENT CHARACTER}"
)


class TerminalProgress(Progress):
    """Bars and messages on the error stream.

    What users name (classes, paths, recipes) is shown as it is: nowhere as markup, nor as orders to the terminal.
    """

    def __init__(self) -> None:
        self.notes = console(stderr=True)
        self.watched = is_terminal(sys.stderr) and self.notes.is_terminal and not self.notes.is_dumb_terminal
        self.bars: Bars | None = None  # of all tasks under way: a console takes one live display

    @contextmanager
    def task(self, title: str, total: int, unit: str = "", start: int = 0) -> Generator[Advance]:
        """A progress bar, below those of the tasks it is part of; where there is no terminal, a line now and then."""
        if not self.watched:
            yield ProgressLines(self.notes, title, total, unit, start)
            return
        inner = self.bars is not None
        with self._live() as bars:
            task = bars.add_task(visible(title), total=total or None, completed=start, unit=unit, details="")
            try:
                yield ProgressBar(bars, task, total - start if total else math.inf)
            finally:
                if inner:  # that of the outermost task stays on the screen
                    bars.remove_task(task)

    @contextmanager
    def _live(self) -> Generator[Bars]:
        if self.bars is not None:
            yield self.bars
            return
        whole = Column(no_wrap=True)  # in a narrow terminal, details are cut off before anything else
        columns = [
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=min(40, self.notes.width // 5)),
            MofNCompleteColumn(table_column=whole),
            TextColumn("{task.fields[unit]}", markup=False),
            TimeElapsedColumn(table_column=whole),
            TextColumn("left"),
            TimeRemainingColumn(elapsed_when_finished=False, table_column=whole),
            ProgressDetails(),
        ]
        shown = columns if self.notes.width >= NARROW else [columns[0], columns[2], columns[6]]
        # What goes to standard output must not land on the error stream where that alone is a terminal.
        bars = Bars(*shown, console=self.notes, redirect_stdout=is_terminal(sys.stdout))
        try:
            with bars as self.bars:
                yield bars
        finally:
            self.bars = None

    def say(self, message: str) -> None:
        """One message on the error stream."""
        self.notes.print(visible(message), soft_wrap=True)


class ProgressDetails(ProgressColumn):
    """The details beside a bar, in one line, as much of it as there is room for."""

    def render(self, task: Task) -> Text:
        """The text of the column."""
        return Text(visible(task.fields["details"]), no_wrap=True, overflow="ellipsis")


class ProgressBar(Advance):
    """Moves a bar of rich, but no more often than one can see: a step may take a millisecond."""

    def __init__(self, bars: Bars, task: TaskID, left: float) -> None:
        self.bars = bars
        self.task = task
        self.left = left
        self.waiting = 0
        self.next = 0.0

    def __call__(self, amount: int = 1, **details: str) -> None:
        """Moves the bar and shows the details beside it, or else the last ones."""
        self.waiting += amount
        self.left -= amount
        now = time.monotonic()
        if details or now >= self.next or self.left <= 0:
            shown: dict[str, Any] = {"details": _join(details)} if details else {}
            self.bars.update(self.task, advance=self.waiting, **shown)
            self.waiting, self.next = 0, now + BAR_SECONDS


class ProgressLines(Advance):
    """Writes a line at every twentieth of the work, for logs; one in two seconds at most, but always the last.

    Of work of unknown length (a total of 0) it tells every two seconds how much is done.
    """

    def __init__(self, console: Console, title: str, total: int, unit: str, start: int) -> None:
        self.console = console
        self.title = title
        self.total = total
        self.unit = unit
        self.done = start
        self.shown = start
        self.quiet_until = time.monotonic() + PAUSE_SECONDS
        self.details: Mapping[str, str] = {}

    def __call__(self, amount: int = 1, **details: str) -> None:
        """Writes the line when it is due, with the last details."""
        self.done += amount
        self.details = details or self.details
        whole = self.total or 20  # of unknown work, each piece is due
        due = self.done * 20 // whole > self.shown * 20 // whole
        if self.done >= self.total > 0 or (due and time.monotonic() >= self.quiet_until):
            self.shown, self.quiet_until = self.done, time.monotonic() + PAUSE_SECONDS
            much = f"{self.done:,}/{self.total:,}" if self.total else f"{self.done:,}"
            text = f"{self.title}: {much} {self.unit} {_join(self.details)}".rstrip()
            self.console.print(visible(text), soft_wrap=True)


def visible(text: str) -> str:
    """The text with what would command a terminal (escape sequences, carriage returns) replaced by a mark."""
    return text.translate(COMMANDS)


def console(*, stderr: bool) -> Console:
    """A console that shows text as it is; where nobody watches, wide enough for tables."""
    width = None if is_terminal(sys.stderr if stderr else sys.stdout) else PIPED_WIDTH
    return Console(stderr=stderr, width=width, highlight=False, markup=False, emoji=False)


def is_terminal(stream: TextIO) -> bool:
    """Whether a person watches, whatever variables for colours in logs say."""
    return stream.isatty()


def _join(details: Mapping[str, str]) -> str:
    return "  ".join(f"{name.replace('_', ' ')} {value}" for name, value in details.items())
