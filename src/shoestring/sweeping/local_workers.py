"""Workers of this machine: in this process, or so many processes beside it."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from shoestring.core.errors import ShoestringError
from shoestring.core.progress import Progress
from shoestring.sweeping.board import Board
from shoestring.training.loop import Interrupted, caught_signals

LOOK_SECONDS = 0.5
MOST_DEATHS = 5  # of workers in a row without a training ended between


def run_workers(
    count: int, board: Board, data_folder: Path, device: str | None, progress: Progress, look: Callable[[], object]
) -> None:
    """Lets processes train until nothing is left; one that dies is replaced, and its training goes on.

    Each has its part of the processor's threads, unless OMP_NUM_THREADS says otherwise.

    Args:
        count: How many.
        board: What there is to do.
        data_folder: Where data lies.
        device: "cpu", "cuda", …; None takes a GPU when there is one.
        progress: Hears of workers that died.
        look: Called now and then.

    Raises:
        ShoestringError: A worker ended with an error, or they die one after the other; names their log.
        Interrupted: A signal came; the workers have saved everything.
    """
    command = [sys.executable, "-m", "shoestring.sweeping.worker", _asked(board, data_folder, device)]
    threads = str(max((os.cpu_count() or 1) // count, 1))
    environment = {"OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads} | os.environ
    logs = [board.folder.worker_log(number) for number in range(1, count + 1)]
    deaths, ended_before = 0, board.count()[0]

    def started(log: Path) -> subprocess.Popen[bytes]:
        with log.open("ab") as file:
            # In a session of its own, so that Ctrl-C reaches it once, through us.
            return subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=file, stderr=file, env=environment, start_new_session=True
            )

    workers = {log: started(log) for log in logs}
    with caught_signals() as caught:
        try:
            while workers and not caught:
                time.sleep(LOOK_SECONDS)
                look()
                ended = board.count()[0]
                deaths, ended_before = (0, ended) if ended > ended_before else (deaths, ended_before)
                for log, worker in list(workers.items()):
                    status = worker.poll()
                    if status is None:
                        continue
                    _finish(workers.pop(log))
                    if status > 0:
                        raise ShoestringError(f"a worker ended: {_last_line(log)} (all that it said: {log})")
                    if status < 0:
                        deaths += 1
                        if deaths >= MOST_DEATHS:
                            raise ShoestringError(
                                f"{deaths} workers died one after the other, the last by signal {-status}; is there "
                                f"memory for {count} trainings at once? What they said: {log}"
                            )
                        progress.say(f"a worker died by signal {-status}; another one goes on with its training")
                        workers[log] = started(log)
        finally:
            for worker in workers.values():
                worker.terminate()
            for worker in workers.values():
                _finish(worker)
    if caught:
        raise Interrupted(caught[0], board.count()[0])


def _asked(board: Board, data_folder: Path, device: str | None) -> str:
    return json.dumps({
        "folder": str(board.folder.folder.absolute()),
        "data_folder": str(data_folder.absolute()),
        "device": device,
    })  # fmt: skip


def _finish(worker: subprocess.Popen[bytes]) -> None:
    worker.wait()
    if worker.stdin:
        worker.stdin.close()


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1].removeprefix("error: ") if lines else "it said nothing"
