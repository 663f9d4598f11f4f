"""Long runs keep their memory, their open files and their pace."""

import contextlib
import io
import os
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import tiny

from campaign.trials import Trial, resident_bytes
from shoestring import api
from shoestring.core.progress import Progress
from shoestring.core.run import Run

PROMISE = "long runs keep their memory, open files and pace"
ASKED = 3
STEPS, CALLS, PARTS = 100_000, 1000, 10
MEMORY_BYTES = 16e6  # more than this is a leak: 160 bytes a step
PACE = 1.5  # of the median time of the last parts by that of the first ones


class Meter:
    """Memory, open files and time of the processor, part by part."""

    def __init__(self) -> None:
        self.since = time.process_time()
        self.seconds: list[float] = []
        self.memory: list[int] = []
        self.files: list[int] = []

    def note(self) -> None:
        """Ends a part."""
        now = time.process_time()
        self.seconds.append(now - self.since)
        self.memory.append(resident_bytes())
        self.files.append(len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0)
        self.since = now

    def trial(self, number: int, what: str, limit: float) -> Trial:
        """What changed between the parts; the first one, in which everything is opened, does not count."""
        third = max(1, len(self.seconds) // 3)
        more = max(self.memory[-third:]) - max(self.memory[1 : 1 + third])
        files = self.files[-1] - self.files[1]
        pace = statistics.median(self.seconds[-third:]) / statistics.median(self.seconds[1 : 1 + third])
        broken = [f"{more / 1e6:.1f} MB more memory"] if more > MEMORY_BYTES else []
        broken += [f"{files} more open files"] if files > 0 else []
        broken += [f"{pace:.2f} times as slow at the end"] if pace > limit else []
        return Trial(
            number, what, ", ".join(broken), {"MB more": more / 1e6, "files more": files, "times as slow": pace}
        )


def trials(
    folder: Path, seed: int, numbers: Iterable[int], steps: int = STEPS, calls: int = CALLS, pace: float = PACE
) -> Iterator[Trial]:
    """Three trials: a training, calls of `predict`, calls of `sample`; memory and time are taken after each tenth.

    Args:
        folder: For runs.
        seed: Decides nothing.
        numbers: Which of the three.
        steps: Of the training.
        calls: Of each function.
        pace: How many times as long the last parts may take as the first ones.
    """
    pictures = tiny.write_pictures(folder / "pictures", train=4, test=2)
    for number in numbers:
        meter = (_training, _predicting, _sampling)[number](folder, pictures, steps if number == 0 else calls)
        what = (f"training: {steps:,} steps", f"predict: {calls:,} calls", f"sample: {calls:,} calls")[number]
        trial = meter.trial(number, what, pace)
        yield replace(trial, facts=trial.facts | {"steps" if number == 0 else "calls": steps if number == 0 else calls})


def _training(folder: Path, pictures: Path, steps: int) -> Meter:
    every = steps // PARTS
    cadence = {
        "cadence__log": max(1, every // 20),
        "cadence__evaluate": every,
        "cadence__checkpoint": max(1, every // 4),
    }
    recipe = tiny.classifier(pictures, budget__steps=steps, batch_size=4, augment__rotation_degrees=0, **cadence)
    meter = Meter()

    def watch(step: int, _: Mapping[str, float]) -> bool:
        meter.note()
        return False

    run = api.train(recipe, folder / "long", device="cpu", progress=Progress(), watch=watch)
    assert Run(run.folder).log("train")[-1]["step"] == steps
    return meter


def _predicting(folder: Path, pictures: Path, calls: int) -> Meter:
    run = api.train(
        tiny.classifier(pictures, budget__steps=2), folder / "classifier", device="cpu", progress=Progress()
    )
    image = next((pictures / "test" / "red").iterdir())
    return _called(lambda: api.predict(run.folder, [image], device="cpu", progress=Progress()), calls)


def _sampling(folder: Path, pictures: Path, calls: int) -> Meter:
    run = api.train(tiny.gan(pictures, budget__steps=1), folder / "gan", device="cpu", progress=Progress())
    return _called(lambda: api.sample(run.folder, 4, device="cpu", progress=Progress()), calls)


def _called(call: Callable[[], Any], calls: int) -> Meter:
    meter = Meter()
    with contextlib.redirect_stdout(io.StringIO()):
        for index in range(calls):
            call()
            if (index + 1) % max(1, calls // PARTS) == 0:
                meter.note()
    return meter
