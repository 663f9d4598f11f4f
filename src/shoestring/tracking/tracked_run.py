"""A run that tells trackers what is recorded in it."""

import io
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from PIL import Image

from shoestring.core.html import flat
from shoestring.core.run import Run
from shoestring.tracking.tracker import Tracker


@dataclass(frozen=True)
class TrackedRun(Run):
    """A run whose records also go to trackers: those of its log, its pictures, its metrics at the end."""

    trackers: tuple[Tracker, ...] = field(default=(), compare=False)
    _told: list[Tracker] = field(default_factory=list[Tracker], compare=False)

    @contextmanager
    def told(self) -> Generator[None]:
        """Inside, a training may begin; afterwards, however it ended, its trackers are told that it is over."""
        try:
            yield
        finally:
            if self._told:
                self._finish()

    def rewind(self, step: int, keep: int | None = None) -> None:
        """Forgets what came after a step, and begins or goes on there."""
        super().rewind(step, keep)
        recipe = dict(flat(self.read_recipe()))
        for tracker in self.trackers:
            tracker.start(self.name, recipe, step)
            self._told.append(tracker)

    def append_log(self, records: Sequence[Mapping[str, Any]]) -> None:
        """Adds records to the log."""
        super().append_log(records)
        for record in records:
            values = {f"{record['kind']}/{name}": float(value) for name, value in record["mean"].items()}
            for name in ("learning_rate", "images_per_second"):
                if name in record:
                    values[f"{record['kind']}/{name}"] = float(record[name])
            for tracker in self._told:
                tracker.scalars(values, record["step"])

    def write_bytes(self, name: str, content: bytes) -> Path:
        """Replaces a file of the folder."""
        path = super().write_bytes(name, content)
        if path.suffix == ".png":
            title = PurePosixPath(name).stem
            drawn = title.startswith("step-")  # samples of a training under way, by their step
            picture = Image.open(io.BytesIO(content))
            for tracker in self._told:
                tracker.image("samples" if drawn else title, picture, int(title[5:]) if drawn else self._steps())
        return path

    def _steps(self) -> int:
        return int(self.read_recipe()["budget"]["steps"])

    def _finish(self) -> None:
        kept: dict[str, dict[str, dict[str, Any]]] = self.metrics()
        found = {
            f"{split}/{name}": float(metric["value"])
            for split, metrics in kept.items()
            for name, metric in metrics.items()
            if isinstance(metric.get("value"), int | float)
        }
        for tracker in self._told:
            tracker.finish(found)
