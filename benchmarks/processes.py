"""One training on two cores: one process of two threads against two processes of one thread that share its steps.

Claim: the two are at least 1.25 times as fast, at the median of the papers' four systems.

    python benchmarks/processes.py [NAME ...] [--processes 2] [--rounds 5] [--steps 6] [--precision bfloat16] [--json]

Both sides take turns, round after round, on random images; the others of the second side are started anew each time and
nothing else runs meanwhile. A ratio is that of the medians over rounds, its range is that of single rounds. The machine
must be idle: processes wait for each other at every batch norm, so that a neighbour who takes one core stops both. The
load is printed for that.
"""

import argparse
import json
import os
import statistics
from dataclasses import replace
from typing import Any

from conditions import conditions

from shoestring import api
from shoestring.core.allocator import keep_freed_memory
from shoestring.core.device import Machine
from shoestring.profiling.profile import step_seconds

NAMES = ("addnist-effnet", "cifar100-resnet", "cifar100-dcgan-44", "cifar100-dcgan-64")
GOAL = 1.25


def compared(name: str, given: argparse.Namespace) -> dict[str, Any]:
    """Milliseconds of a step on both sides, and how many times as fast the second one is."""
    recipe = api.recipe(name, engine={"precision": given.precision})
    alone = Machine.choose(recipe.engine.replace(threads=given.processes), "cpu")
    together = replace(alone, threads=1, processes=given.processes)
    taken: list[list[float]] = [[], []]
    for _ in range(given.rounds):
        for side, machine in zip(taken, (alone, together), strict=True):
            with machine.running():
                side.append(1e3 * statistics.median(step_seconds(recipe, machine, given.steps)))
    ratios = sorted(one / other for one, other in zip(*taken, strict=True))
    one, other = (statistics.median(side) for side in taken)
    return {
        "name": name,
        "threads_milliseconds": round(one, 1),
        "processes_milliseconds": round(other, 1),
        "ratio": round(one / other, 3),
        "ratios": [round(ratios[0], 3), round(ratios[-1], 3)],
        "load": round(os.getloadavg()[0], 2),
    }


def main() -> None:
    """Prints a line for each recipe, and the median of their ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=NAMES, metavar="NAME")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=6, help="timed steps of a turn")
    parser.add_argument("--precision", choices=("auto", "float32", "bfloat16"), default="auto")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    keep_freed_memory()  # as the command line and its processes do
    results: list[dict[str, Any]] = []
    for name in given.names:
        row = compared(name, given)
        results.append(row)
        if not given.json:
            one, other, (least, most) = row["threads_milliseconds"], row["processes_milliseconds"], row["ratios"]
            print(
                f"{name:<20} {one:8.1f} ms  {other:8.1f} ms  {row['ratio']:.2f} ({least:.2f} to {most:.2f})", flush=True
            )
    median = statistics.median(row["ratio"] for row in results)
    result = {"results": results, "median_ratio": round(median, 3), "holds": median >= GOAL, **conditions("cpu")}
    print(json.dumps(result, indent=1) if given.json else f"median {median:.2f}, to be at least {GOAL}")


if __name__ == "__main__":
    main()
