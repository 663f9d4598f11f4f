"""Times a file and measures its memory, in a process of its own that loads nothing else.

It is run by its path, so it must import nothing of this package: what it runs needs none of it either.
"""

import json
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

WARM, LEAST = 3, 5
"""Answers before the clock starts, and answers that are timed at least."""

CLOCK = "process_time" if time.get_clock_info("process_time").resolution < 1e-5 else "perf_counter"
"""What is timed: processor time, which other programs do not stretch; where its clock is coarse, wall time."""

Call = Callable[[list[Any]], object]


def timed(call: Callable[[], object], seconds: float) -> dict[str, Any]:
    """Milliseconds of a call by `CLOCK`: {"median", "low", "high" (5th and 95th percentile), "n"}.

    Args:
        call: What to time.
        seconds: About how long to go on.
    """
    for _ in range(WARM):
        call()
    taken: list[float] = []
    clock: Callable[[], float] = getattr(time, CLOCK)
    until = time.perf_counter() + seconds
    while len(taken) < LEAST or time.perf_counter() < until:
        start = clock()
        call()
        taken.append(1000 * (clock() - start))
    taken.sort()
    ends = (taken[round(part * (len(taken) - 1))] for part in (0.05, 0.95))
    return {"median": statistics.median(taken), **dict(zip(("low", "high"), ends, strict=True)), "n": len(taken)}


def peak_bytes() -> int | None:
    """The most memory that this process held so far; None where the system does not say."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), None)


def made_up(specs: list[dict[str, Any]], count: int) -> list[Any]:
    """Inputs by {"dtype", "shape"} of one: bytes, numbers in 0..1, or zeros for classes."""
    rng = np.random.default_rng(0)
    found: list[Any] = []
    for spec in specs:
        shape = (count, *spec["shape"])
        if spec["dtype"] == "uint8":
            found.append(rng.integers(0, 256, shape, np.uint8))
        elif spec["dtype"] == "int64":
            found.append(np.zeros(shape, np.int64))
        else:
            found.append(rng.random(shape, np.float32))
    return found


def onnx(file: str, names: list[str]) -> tuple[Callable[[], Call], Callable[[Any], Any]]:
    """What loads an ONNX file, and what it takes an array as."""
    runtime = import_module("onnxruntime")

    def load() -> Call:
        options = runtime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        session = runtime.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        return lambda inputs: session.run(None, dict(zip(names, inputs, strict=True)))

    return load, lambda array: array


def torch(file: str, names: list[str]) -> tuple[Callable[[], Call], Callable[[Any], Any]]:
    """What loads a .pt2 file, and what it takes an array as."""
    library = import_module("torch")
    library.set_num_threads(1)

    def load() -> Call:
        with warnings.catch_warnings(action="ignore"):
            net = import_module("torch.export").load(file).module()

        def call(inputs: list[Any]) -> object:
            with library.inference_mode():
                return net(*inputs)

        return call

    return load, library.from_numpy


RUNTIMES = {"onnx": onnx, "torch": torch}


def main() -> None:
    """Reads {"runtime", "file", "inputs", "batches", "seconds", "result"} as its argument, writes JSON to "result"."""
    asked = json.loads(sys.argv[1])
    load, given = RUNTIMES[asked["runtime"]](asked["file"], [spec["name"] for spec in asked["inputs"]])
    before = peak_bytes()  # the runtime itself
    call = load()
    found: list[dict[str, Any]] = []
    for batch in asked["batches"]:
        inputs = [given(array) for array in made_up(asked["inputs"], batch)]
        row = {"batch": batch, "milliseconds": timed(lambda inputs=inputs: call(inputs), asked["seconds"])}
        after = peak_bytes()
        found.append(row | {"peak_bytes": after - before if after and before else None})
    Path(asked["result"]).write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main()
