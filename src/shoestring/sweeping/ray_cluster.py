"""Workers on a Ray cluster: a plain task for each training that is left."""

import logging
import os
import time
from collections.abc import Callable
from contextlib import redirect_stdout
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from shoestring.core.errors import ShoestringError
from shoestring.core.progress import Progress
from shoestring.core.trust import allow
from shoestring.model.code import kept_code
from shoestring.sweeping.board import Board
from shoestring.sweeping.folder import SweepFolder
from shoestring.sweeping.search import open_proposals
from shoestring.sweeping.worker import train_next
from shoestring.training.loop import Interrupted, caught_signals

LOOK_SECONDS = 0.5
MOST_TASKS = 1000  # that wait at once, for a cluster that grows with what waits
HERE = "127.0.0.1"


def require_ray() -> None:
    """Does nothing where Ray is installed.

    Raises:
        ShoestringError: It is not.
    """
    if find_spec("ray") is None:
        raise ShoestringError("--launcher ray needs Ray: pip install 'shoestring[ray]'")


def run_on_ray(
    board: Board,
    data_folder: Path,
    device: str | None,
    progress: Progress,
    address: str | None,
    look: Callable[[], object],
) -> None:
    """Leaves trainings to a cluster until nothing is left; one whose process dies is gone on with by another.

    A task has a processor for each of the recipe's threads, or one, and a GPU where the cluster has any.

    Args:
        board: What there is to do. Its folder must be seen under the same path by all of the cluster.
        data_folder: Where data lies, there too.
        device: "cpu", "cuda", …; None takes a GPU when there is one.
        progress: Hears of workers that died.
        address: Of the cluster; None starts one on this machine, and ends it afterwards.
        look: Called now and then.

    Raises:
        ShoestringError: Ray is not reached, or a training needs what the cluster does not have.
        Interrupted: A signal came; the tasks have saved everything.
    """
    ray: Any = import_module("ray")  # an extra, which may not be there
    try:
        _connect(ray, address)
        with Path(os.devnull).open("w", encoding="utf-8") as nowhere, redirect_stdout(nowhere):
            # Ray prints there that a worker died, which we hear of too, and say where such things are said.
            _run(ray, board, data_folder, device, progress, look)
    finally:
        ray.shutdown()


def _connect(ray: Any, address: str | None) -> None:
    quiet = {"log_to_driver": False, "logging_level": logging.ERROR}
    where = {"_node_ip_address": HERE, "include_dashboard": False} if address is None else {"address": address}
    try:
        ray.init(**where, **quiet)
    except Exception as error:  # Ray raises whatever comes, Exception itself when a node takes long to start
        failed = f"--ray-address {address}: no Ray cluster is reached there" if address else "Ray did not start here"
        raise ShoestringError(f"{failed} ({str(error).strip().partition(chr(10))[0]})") from error


def _run(
    ray: Any, board: Board, data_folder: Path, device: str | None, progress: Progress, look: Callable[[], object]
) -> None:
    threads = board.folder.recipe.engine.threads or 1
    gpus = 1 if device != "cpu" and ray.cluster_resources().get("GPU") else 0
    task = ray.remote(num_cpus=threads, num_gpus=gpus, max_retries=0)(train_one)
    keys = [kept.key for kept in kept_code(board.folder.base)]
    asked = (str(board.folder.folder.absolute()), str(data_folder.absolute()), device, keys)
    running: list[Any] = []
    with caught_signals() as caught:
        try:
            while not caught and not board.complete():
                done, planned = board.count()
                running += [task.remote(*asked) for _ in range(min(planned - done, MOST_TASKS) - len(running))]
                ended, running = ray.wait(running, num_returns=1, timeout=LOOK_SECONDS)
                for reference in ended:
                    if not _heard(ray, reference, progress):
                        time.sleep(LOOK_SECONDS)  # nothing to do for it now: others are at what is left
                look()
        finally:
            for reference in running:
                ray.cancel(reference)
            ray.wait(running, num_returns=len(running), timeout=60) if running else None
    if caught:
        raise Interrupted(caught[0], board.count()[0])


def _heard(ray: Any, reference: Any, progress: Progress) -> bool:
    """Whether a task that has ended found something to do.

    Raises:
        ShoestringError: It met an error that all others would meet.
    """
    try:
        found, error = ray.get(reference)
    except ray.exceptions.RayError as lost:
        progress.say(f"a worker of the cluster died ({type(lost).__name__}); another one goes on with its training")
        return True
    if error:
        raise ShoestringError(f"on the cluster: {error}")
    return found


def train_one(folder: str, data_folder: str, device: str | None, keys: list[str]) -> tuple[bool, str]:
    """The task: trains one open training; gives whether there was one, and an error that all others would meet.

    Args:
        folder: The sweep's.
        data_folder: Where data lies.
        device: Where to train.
        keys: Of the user's own code, which whoever began the sweep has allowed.
    """
    for key in keys:
        allow(key)
    home = SweepFolder(Path(folder))
    try:
        return train_next(Board(home, open_proposals(home)), Path(data_folder), device, Progress()), ""
    except Interrupted:
        return True, ""
    except ShoestringError as error:
        return False, str(error)
