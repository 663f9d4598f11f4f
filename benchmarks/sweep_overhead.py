"""What a sweep costs beside its trainings: seconds of processor for each point, and memory from point to point.

Claim: a sweep of 200 points of a 20-step recipe takes less than 1 s a point beyond the steps of its trainings, and no
more memory at its end than at a tenth of it (within 5 %).

    python benchmarks/sweep_overhead.py [NAME] [--points 200] [--json]

Counted is the processor time of this one process, which others on the machine do not change; steps are counted in the
step itself, so that building nets, reading images, looking at tune, writing and choosing are all overhead. Images are
read for the first point alone. Memory is what the process holds after each point (Linux).
"""

import argparse
import json
import tempfile
import time
from pathlib import Path
from typing import Any

from conditions import conditions

from shoestring import api
from shoestring.sweeping import worker
from shoestring.training.step import TrainStep

EARLY = 0.1  # of the points, after which memory must not grow
GROWTH = 1.05


class Spent:
    """Processor seconds inside a function."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def timing(self, function: Any) -> Any:
        """The function, timed."""

        def timed(*arguments: Any) -> Any:
            start = time.process_time()
            try:
                return function(*arguments)
            finally:
                self.seconds += time.process_time() - start

        return timed


def resident_bytes() -> int:
    """The memory that this process holds now."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS:"))


def main() -> None:
    """Prints the overhead."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", nargs="?", default="addnist-quick", metavar="NAME")
    parser.add_argument("--points", type=int, default=200)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    steps, memory = Spent(), list[int]()
    TrainStep.__call__ = steps.timing(TrainStep.__call__)
    whole = worker.train

    def noted(*arguments: Any, **named: Any) -> Any:
        try:
            return whole(*arguments, **named)
        finally:
            memory.append(resident_bytes())

    worker.train = noted
    rates = [float(f"{1e-4 * 1.02**place:.6g}") for place in range(given.points)]
    with tempfile.TemporaryDirectory() as folder:
        start = time.process_time()
        found = api.sweep(
            given.name, Path(folder) / "sweep", grid={"optimiser.learning_rate": rates}, confirm=0, device="cpu",
            budget={"steps": 20}, data={"tune": 2000}, engine={"threads": 1},
        )  # fmt: skip
        spent = time.process_time() - start
    assert all(point["state"] == "finished" for point in found["points"])
    early, late = memory[round(EARLY * (given.points - 1))], memory[-1]
    result = {
        "name": given.name,
        "points": given.points,
        "overhead_seconds": round((spent - steps.seconds) / given.points, 3),
        "step_seconds": round(steps.seconds / given.points, 3),
        "early_megabytes": round(early / 1e6, 1),
        "late_megabytes": round(late / 1e6, 1),
        "holds": (spent - steps.seconds) / given.points < 1 and late <= GROWTH * early,
        **conditions("cpu"),
    }
    if given.json:
        print(json.dumps(result))
        return
    for key, value in result.items():
        print(f"{key:<18} {value}")


if __name__ == "__main__":
    main()
