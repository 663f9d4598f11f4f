"""The training's log: facts of each step gathered on the device, fetched and checked every so many steps."""

import time
from typing import Any

import torch
from torch import Tensor

from shoestring.core.errors import DivergedError


class Journal:
    """Gathers the facts of steps and turns them into log records.

    Facts stay on the device until `record`, so a GPU is never waited for inside the loop. Its clock runs from `resume`
    to `record`: between them lie steps and nothing else.
    """

    def __init__(self, step: int, batch_size: int) -> None:
        self.step = step
        self.batch_size = batch_size
        self.names: list[str] = []
        self.rows: list[Tensor] = []
        self.resume()

    def resume(self) -> None:
        """Starts the clock again, after a record and whatever came after it."""
        self.started = time.perf_counter()

    def note(self, facts: dict[str, Tensor]) -> None:
        """Keeps the facts of one step."""
        self.names = list(facts)
        self.rows.append(torch.stack([fact.float() for fact in facts.values()]))

    def record(self, learning_rate: float) -> dict[str, Any] | None:
        """A log record of the steps since the last one: mean and deviation of every fact; None if no steps.

        The log's one convention: a deviation is the population's (divided by the count, not count - 1), so that
        records pool to the moments of the single steps as they are. 0 for a single step.

        Raises:
            DivergedError: A fact of some step is NaN or infinite.
        """
        if not self.rows:
            return None
        rows = torch.stack(self.rows).double().cpu()
        count, first = len(rows), self.step
        broken = (~rows.isfinite()).nonzero()
        if len(broken):
            row, column = int(broken[0, 0]), int(broken[0, 1])
            raise DivergedError(f"{self.names[column]} became NaN or infinite at step {first + row + 1:,}")
        seconds = time.perf_counter() - self.started
        self.step, self.rows = first + count, []
        return {
            "step": self.step,
            "kind": "train",
            "count": count,
            "mean": self._named(rows.mean(0)),
            "deviation": self._named(rows.std(0, correction=0)),
            "learning_rate": learning_rate,
            "images_per_second": round(count * self.batch_size / seconds, 1),
            "seconds": round(seconds, 3),
        }

    def _named(self, facts: Tensor) -> dict[str, float]:
        return {name: float(f"{float(fact):.8g}") for name, fact in zip(self.names, facts, strict=True)}
