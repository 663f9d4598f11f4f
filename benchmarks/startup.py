"""How long one waits: for the import, for --help, and from `shoestring train` to the first step.

Claim: on a CPU `import shoestring`, --help, `list` and errors of usage take less than 0.5 s, and a training reaches its
first step in less than 5 s.

    python benchmarks/startup.py [NAME ...] [--rounds 5] [--json]

Whole processes, timed from outside, medians over rounds, after a round that is not counted; with compiled bytecode, as
an installed package has it. `import torch` alone stands beside them, since a training cannot be faster. Recipes other
than addnist-quick read their data from the data folder (SHOESTRING_DATA), which must hold it already. The first step is
reached when the run has its environment.json, which is written right before it, with everything loaded and built.
"""

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from conditions import conditions

ENVIRONMENT = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
CLI = [sys.executable, "-c", "import sys; from shoestring.cli.main import main; sys.exit(main())"]


def main() -> None:
    """Prints the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", default=["addnist-quick"], metavar="NAME")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    cases: dict[str, Callable[[], float]] = {
        "python": lambda: whole([sys.executable, "-c", ""]),
        "import torch": lambda: whole([sys.executable, "-c", "import torch"]),
        "import shoestring": lambda: whole([sys.executable, "-c", "import shoestring"]),
        "shoestring --help": lambda: whole([*CLI, "--help"]),
        "shoestring list": lambda: whole([*CLI, "list"]),
        "an unknown option": lambda: whole([*CLI, "train", "addnist-quick", "--budget.stepz", "3"], status=2),
    }
    for name in given.names:
        cases[f"first step of {name}"] = lambda name=name: first_step(name)
    found: dict[str, float] = {}
    for case, time_it in cases.items():
        time_it()
        found[case] = statistics.median(time_it() for _ in range(given.rounds))
    if given.json:
        load = round(os.getloadavg()[0], 1)
        print(json.dumps(conditions() | {"load": load, "rounds": given.rounds, "seconds": found}, indent=1))
    else:
        for case, seconds in found.items():
            print(f"{case:<36} {seconds:6.2f} s")


def whole(words: list[str], status: int = 0) -> float:
    """Seconds of a process from start to end, which gives an exit status."""
    start = time.perf_counter()
    done = subprocess.run(words, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    if done.returncode != status:
        raise SystemExit(f"{' '.join(words)} ended with status {done.returncode}")
    return time.perf_counter() - start


def first_step(name: str) -> float:
    """Seconds from the start of a training's process to its first step."""
    with tempfile.TemporaryDirectory() as folder:
        ready = Path(folder) / "run" / "environment.json"
        words = [*CLI, "train", name, "--run", str(ready.parent)]
        start = time.perf_counter()
        process = subprocess.Popen(words, env=ENVIRONMENT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        while not ready.is_file():
            if process.poll() is not None:
                raise SystemExit(f"{name} ended before its first step:\n{process.communicate()[1].decode()}")
            time.sleep(0.005)
        seconds = time.perf_counter() - start
        process.send_signal(signal.SIGTERM)
        process.communicate()
    return seconds


if __name__ == "__main__":
    main()
