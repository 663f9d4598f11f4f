"""Progress in a notebook: bars, and curves of what a training logs, in the cell's output."""

import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from html import escape
from importlib import import_module
from typing import Any

from shoestring.core.progress import Advance, Progress

ipython: Any = import_module("IPython.display")

UPDATE_SECONDS = 0.5  # between two pictures of the same work
POINTS = 300  # of a curve; more are thinned out
CURVES = 3  # how many are drawn
WIDTH, HEIGHT = 200, 60  # of a curve, in pixels


@dataclass
class Work:
    """A piece of work under way.

    Attributes:
        title: What is being done.
        total: Length in `unit`, 0 where it is not known.
        unit: What is counted.
        done: How much of it is done.
        begun: How much was done when it began, where work is resumed.
        since: When it began, by the monotonic clock.
        details: The last ones.
        curves: name -> (done, value) for each detail that is a number.
    """

    title: str
    total: int
    unit: str
    done: int
    begun: int
    since: float = field(default_factory=time.monotonic)
    details: dict[str, str] = field(default_factory=dict[str, str])
    curves: dict[str, list[tuple[int, float]]] = field(default_factory=dict[str, list[tuple[int, float]]])

    def note(self, amount: int, details: dict[str, str]) -> None:
        """Takes in what was done, and the details."""
        self.done += amount
        self.details = details or self.details
        for name, text in details.items():
            try:
                value = float(text.replace(",", ""))
            except ValueError:
                continue
            curve = self.curves.setdefault(name, [])
            curve.append((self.done, value))
            if len(curve) > POINTS:
                del curve[1:-1:2]

    def html(self) -> str:
        """A line with a bar, and the curves below it."""
        much = f"{self.done:,} of {self.total:,}" if self.total else f"{self.done:,}"
        bar = f'<progress value="{self.done}" max="{self.total}"></progress>' if self.total else ""
        line = f"<div>{escape(self.title)} {bar} {much} {escape(self.unit)}{self._left()}</div>"
        drawn = [_curve(name, points) for name, points in self.curves.items() if len(points) > 1][:CURVES]
        if drawn:
            return f'{line}<div style="display:flex;gap:1em">{"".join(drawn)}</div>'
        said = "  ".join(f"{name.replace('_', ' ')} {text}" for name, text in self.details.items())
        return line + (f"<div>{escape(said)}</div>" if said else "")

    def _left(self) -> str:
        new = self.done - self.begun
        if not self.total or new <= 0 or self.done >= self.total:
            return ""
        seconds = (self.total - self.done) * (time.monotonic() - self.since) / new
        return f", {int(seconds // 60)}:{int(seconds % 60):02d} left"


class NotebookProgress(Progress):
    """Shows work in the output of the cell that is running; work within work stands below it while it lasts."""

    def __init__(self) -> None:
        self.works: list[Work] = []
        self.handle: Any = None
        self.next = 0.0

    @contextmanager
    def task(self, title: str, total: int, unit: str = "", start: int = 0) -> Generator[Advance]:
        """A bar, with curves of the details that are numbers."""
        work = Work(title, total, unit, start, start)
        self.works.append(work)
        outermost = len(self.works) == 1
        if outermost:
            self.handle = ipython.display(ipython.HTML(self.html()), display_id=True)
        try:
            yield _Bar(self, work)
        finally:
            if outermost:
                self.show()  # the last state stays
            self.works.remove(work)

    def say(self, message: str) -> None:
        """The message as a paragraph of its own."""
        ipython.display(ipython.HTML(f"<div>{escape(message)}</div>"))

    def html(self) -> str:
        """All that is under way."""
        return "".join(work.html() for work in self.works)

    def show(self, *, at_leisure: bool = False) -> None:
        """Shows how things stand; at leisure, only where they were not shown a moment ago."""
        now = time.monotonic()
        if not at_leisure or now >= self.next:
            self.handle.update(ipython.HTML(self.html()))
            self.next = now + UPDATE_SECONDS


class _Bar(Advance):
    def __init__(self, owner: NotebookProgress, work: Work) -> None:
        self.owner = owner
        self.work = work

    def __call__(self, amount: int = 1, **details: str) -> None:
        self.work.note(amount, details)
        self.owner.show(at_leisure=True)


def _curve(name: str, points: list[tuple[int, float]]) -> str:
    """One curve as SVG, with its name and last value."""
    xs, ys = [x for x, _ in points], [y for _, y in points]
    low, high = min(ys), max(ys)
    across, up = (xs[-1] - xs[0]) or 1, (high - low) or 1.0
    path = " ".join(f"{(x - xs[0]) / across * WIDTH:.1f},{HEIGHT - (y - low) / up * HEIGHT:.1f}" for x, y in points)
    label = f"{name.replace('_', ' ')} {ys[-1]:,.4g}"
    return (
        f'<figure style="margin:0"><svg width="{WIDTH}" height="{HEIGHT + 4}" viewBox="-2 -2 {WIDTH + 4} {HEIGHT + 4}"'
        f' role="img" aria-label="{escape(label)}"><polyline points="{path}" fill="none" stroke="#1f77b4"'
        f' stroke-width="1.5"/></svg><figcaption>{escape(label)}</figcaption></figure>'
    )
