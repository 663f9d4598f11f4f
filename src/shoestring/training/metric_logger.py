"""The training's log: metrics of each step gathered on the device, fetched and checked every so many steps."""

import time
from typing import Any

import torch
from torch import Tensor

from shoestring.core.errors import DivergedError


class MetricLogger:
    """Gathers the metrics of steps and turns them into log records.

    Metrics stay on the device until `record`, so a GPU is never waited for inside the loop. Its clock runs from
    `resume` to `record`: between them lie steps and nothing else.
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

    def note(self, metrics: dict[str, Tensor]) -> None:
        """Keeps the metrics of one step."""
        self.names = list(metrics)
        self.rows.append(torch.stack([value.float() for value in metrics.values()]))

    def record(self, learning_rate: float) -> dict[str, Any] | None:
        """A log record of the steps since the last one: mean and standard deviation of every metric; None if no steps.

        The log's one convention: a standard deviation is the population's (divided by the count, not count - 1), so
        that records pool to the moments of the single steps as they are. 0 for a single step.

        Raises:
            DivergedError: A metric of some step is NaN or infinite.
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
            "std": self._named(rows.std(0, correction=0)),
            "learning_rate": learning_rate,
            "images_per_second": round(count * self.batch_size / seconds, 1),
            "seconds": round(seconds, 3),
        }

    def _named(self, metrics: Tensor) -> dict[str, float]:
        return {name: float(f"{float(value):.8g}") for name, value in zip(self.names, metrics, strict=True)}
