"""How long grading takes: nets of about 100,000 parameters on the 10,000 test images of CIFAR-100; and a large board.

Claim: on two cores, 30 submissions are graded in less than 5 minutes, and the board of 200 is made in less than 5 s.

    python benchmarks/grading.py [NAME] [--submissions 30] [--board 200] [--level 3] [--workers 2] [--json]

Each submission is the shipped run NAME (cifar100-best) with every weight off by a ten-thousandth at random, seeds 0, 1,
…, under its own hashes; so each is another file, and passes as what it claims. The data folder (SHOESTRING_DATA) must
hold CIFAR-100. Processor time is that of all processes; two idle cores would take half of it.
The board is ranked, and its page, tables and scores are written, from rows of the same length with answers at random.
"""

import argparse
import json
import os
import resource
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from conditions import conditions

from shoestring import api
from shoestring.contest.board import Board, Graded, ranked
from shoestring.contest.check_process import Limits
from shoestring.core.packed import KEY, record_of, weights_digest
from shoestring.core.tensor_files import tensor_bytes
from shoestring.model.load import open_run
from shoestring.recipes.rules import rules
from shoestring.report.leaderboard import build

NOISE = 1e-4
IMAGES = 10_000


def main() -> None:
    """Prints wall and processor time of both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", nargs="?", default="cifar100-best", metavar="NAME")
    parser.add_argument("--submissions", type=int, default=30)
    parser.add_argument("--board", type=int, default=200)
    parser.add_argument("--level", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home) / "handed-in"
        folder.mkdir()
        for seed in range(given.submissions):
            (folder / f"{seed:03}.safetensors").write_bytes(another(given.name, seed))
        boards: list[Board] = []
        limits = Limits(workers=given.workers)
        graded = timed(lambda: boards.append(api.grade(folder, level=given.level, limits=limits)))
        rows = boards[0].rows
        if any(row.found["verdict"] == "failed" for row in rows):
            raise SystemExit("\n".join(f"{row.name}: {row.reasons}" for row in rows))
        large = timed(lambda: board(rows[0], given.board, Path(home)))
    found = {
        "submissions": given.submissions,
        "parameters": rows[0].spent["parameters"],
        "images": rows[0].found["measured"]["n"],
        "grading": graded,
        "board": {"rows": given.board} | large,
    }
    if given.json:
        print(json.dumps(conditions() | {"load": round(os.getloadavg()[0], 1)} | found, indent=1))
        return
    for what, seconds in ((f"{given.submissions} submissions graded", graded), (f"board of {given.board}", large)):
        print(f"{what:<28} {seconds['wall']:7.1f} s wall {seconds['processor']:7.1f} s processor")


def another(name: str, seed: int) -> bytes:
    """A packed run whose weights are all a little different."""
    run = open_run(name)
    random = torch.Generator().manual_seed(seed)
    tensors = {
        key: value * (1 + NOISE * torch.randn(value.shape, generator=random))
        for key, value in run.read_weights().items()
    }
    record = record_of(run).to_json()
    record["sha256"]["weights"] = weights_digest(tensors)
    return tensor_bytes(tensors, {KEY: json.dumps(record)})


def board(row: Graded, count: int, home: Path) -> None:
    """A board of so many rows like one, ranked and written."""
    random = torch.Generator().manual_seed(0)
    rows: list[Graded] = []
    for place in range(count):
        correct = torch.rand(IMAGES, generator=random) < 0.4 + place / (4 * count)
        measured: Mapping[str, Any] = row.found["measured"] | {"value": float(correct.float().mean())}
        rows.append(Graded(f"{place:03}", row.found | {"measured": measured}, 1.0, correct))
    made = Board(rules(), ranked(rows), home / "board" / "index.html")
    made.write(home / "board")
    build(made.to_json(), {}, made.page)


def timed(work: Callable[[], object]) -> dict[str, float]:
    """Seconds of wall time, and of processor time of this process and those that it waited for."""
    start, before = time.perf_counter(), processor()
    work()
    return {"wall": round(time.perf_counter() - start, 2), "processor": round(processor() - before, 2)}


def processor() -> float:
    """Processor time so far."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


if __name__ == "__main__":
    main()
