"""What the command line shows: progress bars, tables, messages on the error stream; results on standard output."""

import json
import sys
import time
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from typing import Any

from rich import box
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
from rich.table import Column, Table
from rich.text import Text

from shoestring.progress import Advance, Progress

PAUSE_SECONDS = 2.0  # between two lines about the same work, where there is no bar
BAR_SECONDS = 0.1  # between two movements of a bar

PIPED_WIDTH = 120  # columns of tables where the output is no terminal


class Display(Progress):
    """Shows progress on the error stream, results on standard output; with `as_json`, only one JSON object there."""

    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json
        self.out = Console(highlight=False, width=None if sys.stdout.isatty() else PIPED_WIDTH)
        self.notes = Console(stderr=True, highlight=False)

    @contextmanager
    def task(self, title: str, total: int, unit: str = "", start: int = 0) -> Generator[Advance]:
        """A progress bar; where the error stream is no terminal, a line now and then."""
        if self.notes.is_terminal:
            whole = Column(no_wrap=True)  # in a narrow terminal, facts are cut off before anything else
            with Bars(
                TextColumn("{task.description}"),
                BarColumn(bar_width=min(40, self.notes.width // 5)),
                MofNCompleteColumn(table_column=whole),
                TextColumn(unit),
                TimeElapsedColumn(table_column=whole),
                TextColumn("left"),
                TimeRemainingColumn(elapsed_when_finished=False, table_column=whole),
                Facts(),
                console=self.notes,
            ) as bars:
                yield Bar(bars, bars.add_task(title, total=total, completed=start, facts=""))
        else:
            yield Lines(self.notes, title, total, unit, start)

    def say(self, message: str) -> None:
        """One message on the error stream."""
        self.notes.print(message, markup=False, soft_wrap=True)

    def result(self, values: Mapping[str, Any]) -> None:
        """The JSON object of a verb, when asked for."""
        if self.as_json:
            sys.stdout.write(json.dumps(values, allow_nan=False) + "\n")

    def line(self, text: str) -> None:
        """A line of the result, for people."""
        if not self.as_json:
            self.out.print(text, markup=False, soft_wrap=True)

    def table(
        self, title: str, columns: Iterable[str], rows: Iterable[Iterable[str]], numbers: Iterable[str] = ()
    ) -> None:
        """A table of the result, for people; the columns named in `numbers` are set flush right."""
        if self.as_json:
            return
        table = Table(title=title, title_justify="left", header_style="bold", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
        for column in columns:
            whole = not table.columns or column in numbers  # names and numbers are never broken, words may be
            table.add_column(column, justify="right" if column in numbers else "left", overflow="fold", no_wrap=whole)
        for row in rows:
            table.add_row(*row)
        self.out.print(table)


class Facts(ProgressColumn):
    """The facts beside a bar, in one line, as much of it as there is room for."""

    def render(self, task: Task) -> Text:
        """The text of the column."""
        return Text(task.fields["facts"], no_wrap=True, overflow="ellipsis")


class Bar(Advance):
    """Moves a bar of rich, but no more often than one can see: a step may take a millisecond."""

    def __init__(self, bars: Bars, task: TaskID) -> None:
        self.bars = bars
        self.task = task
        self.waiting = 0
        self.next = 0.0

    def __call__(self, amount: int = 1, **facts: str) -> None:
        """Moves the bar and shows the facts beside it, or else the last ones."""
        self.waiting += amount
        now = time.monotonic()
        task = self.bars.tasks[self.task]
        if facts or now >= self.next or task.completed + self.waiting >= (task.total or 0):
            shown: dict[str, Any] = {"facts": _join(facts)} if facts else {}
            self.bars.update(self.task, advance=self.waiting, **shown)
            self.waiting, self.next = 0, now + BAR_SECONDS


class Lines(Advance):
    """Writes a line at every twentieth of the work, for logs; one in two seconds at most, but always the last."""

    def __init__(self, console: Console, title: str, total: int, unit: str, start: int) -> None:
        self.console = console
        self.title = title
        self.total = max(total, 1)
        self.unit = unit
        self.done = start
        self.shown = start
        self.quiet_until = time.monotonic() + PAUSE_SECONDS
        self.facts: Mapping[str, str] = {}

    def __call__(self, amount: int = 1, **facts: str) -> None:
        """Writes the line when it is due, with the last facts."""
        self.done += amount
        self.facts = facts or self.facts
        due = self.done * 20 // self.total > self.shown * 20 // self.total
        if self.done >= self.total or (due and time.monotonic() >= self.quiet_until):
            self.shown, self.quiet_until = self.done, time.monotonic() + PAUSE_SECONDS
            text = f"{self.title}: {self.done:,}/{self.total:,} {self.unit} {_join(self.facts)}".rstrip()
            self.console.print(text, markup=False, soft_wrap=True)


def _join(facts: Mapping[str, str]) -> str:
    return "  ".join(f"{name.replace('_', ' ')} {value}" for name, value in facts.items())
