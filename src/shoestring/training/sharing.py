"""One training by several processes: the first starts the others, or torchrun does, and tells them all they need."""

import io
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from shoestring.core.allocator import keep_freed_memory
from shoestring.core.device import Engine, Machine
from shoestring.core.errors import RecipeError, ShoestringError
from shoestring.core.processes import ALONE, LostError, Processes, joined, launched
from shoestring.core.registry import NOTEBOOK, code_of, offer
from shoestring.core.source_code import Code
from shoestring.core.trust import allow, trust_key
from shoestring.data.dataset import Images
from shoestring.model.build import initialise
from shoestring.model.train_state import State
from shoestring.recipes.recipe import Recipe, has_outside, parts_of
from shoestring.training.loop import Interrupted, Stopped, follow

LOOK_SECONDS = 0.05
MOURNING_SECONDS = 3.0  # until a process whose connections have closed has ended
LEAVING_SECONDS = 10.0  # that a process may take to end
PROGRAM = "from shoestring.training.sharing import main; main()"
MEETING, READY = "meeting", "ready-"  # files by which processes of this machine find each other


def count_of(engine: Engine) -> int:
    """How many processes are to share a training: as torchrun says, else as the engine does."""
    there = launched()
    return there.count if there else engine.processes or 1


def require_shareable(recipe: Recipe, machine: Machine) -> None:
    """Does nothing where the processes that are asked for can share a recipe's steps, or one is.

    Raises:
        RecipeError: They cannot; says why.
    """
    count = count_of(recipe.engine)
    if count == 1:
        return
    there = launched()
    if there and recipe.engine.processes not in (None, count):
        raise RecipeError(f"torchrun started {count} processes, but engine.processes is {recipe.engine.processes}")
    if recipe.batch_size % count:
        raise RecipeError(
            f"{count} processes cannot share {recipe.batch_size} images a step evenly; take a --batch-size that is a "
            f"multiple of {count}, or another --engine.processes"
        )
    parts = recipe.task.parts(recipe.batch_size)
    if min(parts) < count or (has_outside(recipe) and any(part % count for part in parts)):
        said = " and ".join(f"{part:,}" for part in parts)
        raise RecipeError(f"{count} processes cannot share the parts of a step, {said} images; take fewer processes")
    if not torch.distributed.is_available():
        raise RecipeError("this build of torch has no torch.distributed; set --engine.processes 1")
    if machine.device.type not in ("cpu", "cuda"):
        raise RecipeError(f"processes can share a training on CPUs and NVIDIA GPUs, not on {machine.device}")
    if machine.compile:
        raise RecipeError("engine.compile is for one process: leave it out, or set --engine.processes 1")
    gpus = torch.cuda.device_count()
    if machine.device.type == "cuda" and not there and count > gpus:
        raise RecipeError(f"each of {count} processes needs a GPU of its own, and there are {gpus}")
    kinds = [str(getattr(part, "kind", "")) for part in parts_of(recipe).values()]
    given = [kind.rpartition(":")[2] for kind in kinds if kind.startswith(f"{NOTEBOOK}:")]
    if given and not there:
        raise RecipeError(f"{given[0]} was written in a notebook or script, which other processes cannot import; put "
                          "it into a file, and give file.py:Name")  # fmt: skip


@contextmanager
def company(recipe: Recipe, device: str | None) -> Generator[Processes]:
    """Inside, this process and others that torchrun started are connected; without torchrun, it is alone.

    The others `serve`, until the first one leaves.

    Raises:
        LostError: Another one has ended.
    """
    there = launched()
    if there is None:
        yield ALONE
        return
    on_gpu = Machine.choose(recipe.engine, device).device.type == "cuda"
    with joined(there.rank, there.count, on_gpu) as processes, _dismissed(processes):
        yield processes


@contextmanager
def shared(
    recipe: Recipe, state: State, machine: Machine, images: Images, company: Processes = ALONE
) -> Generator[Processes]:
    """Inside, other processes take their shares of the steps of a training; this one is the first of them.

    Args:
        recipe: What is trained.
        state: Where it goes on from.
        machine: How the arithmetic is done, and by how many processes.
        images: The training split.
        company: The others, where there are some; else they are started here.

    Raises:
        LostError: One of the others died; says which and how. All have ended then.
    """
    if machine.processes == 1:
        yield ALONE
        return
    with started(machine) if company is ALONE else nullcontext(company) as processes:
        processes.told(_Training.of(recipe, state, machine))
        processes.sent(images.images)
        processes.sent(images.labels)
        yield processes


@contextmanager
def started(machine: Machine) -> Generator[Processes]:
    """Inside, other processes of this machine `serve`, each with its part of the threads; afterwards they have ended.

    Args:
        machine: How the arithmetic is done, and by how many processes.

    Raises:
        LostError: One of them died; says which and how.
    """
    threads = machine.threads or max(torch.get_num_threads() // machine.processes, 1)
    on_gpu = machine.device.type == "cuda"
    with ExitStack() as undone:
        undone.callback(torch.set_num_threads, torch.get_num_threads())
        torch.set_num_threads(threads)
        folder = Path(undone.enter_context(tempfile.TemporaryDirectory(prefix="shoestring-")))
        others = [
            _start(folder, rank, machine.processes, threads, on_gpu, undone) for rank in range(1, machine.processes)
        ]
        while not all((folder / f"{READY}{rank}").exists() for rank in range(1, machine.processes)):
            if any(other.process.poll() is not None for other in others):
                raise LostError(_last_words(others))
            time.sleep(LOOK_SECONDS)
        try:
            with joined(0, machine.processes, on_gpu, folder / MEETING) as processes, _dismissed(processes):
                yield processes
        except LostError:
            raise LostError(_last_words(others)) from None


def serve(processes: Processes) -> None:
    """Takes this process's share of the steps of each training that the first process tells of, until it leaves.

    Raises:
        LostError: The first process, or another one, has ended.
    """
    while (asked := processes.told()) is not None:
        assert isinstance(asked, _Training)
        recipe = asked.opened()
        here = launched()
        local = here.local if here else processes.rank
        on_gpu = asked.machine.device.type == "cuda"
        machine = replace(asked.machine, device=torch.device("cuda", local)) if on_gpu else asked.machine
        with machine.running():
            images = Images(processes.sent(), processes.sent(), "the first process")
            state = State.start(recipe, initialise(recipe), machine)
            state.load_state_dict(torch.load(io.BytesIO(asked.state), map_location=machine.device, weights_only=True))
            follow(recipe, state, machine, images, processes)


@dataclass(frozen=True)
class _Training:
    """What the other processes are told of a training; the code of the user's own parts comes along."""

    recipe: dict[str, Any]
    machine: Machine
    state: bytes
    code: tuple[Code, ...]
    allowed: tuple[str, ...]

    @staticmethod
    def of(recipe: Recipe, state: State, machine: Machine) -> "_Training":
        own = [(str(getattr(part, "kind", "")), str(getattr(part, "source", ""))) for part in parts_of(recipe).values()]
        own = [(kind, source) for kind, source in own if source]
        saved = io.BytesIO()
        torch.save(state.state_dict(), saved)
        code = tuple(found for _, source in own if (found := code_of(source)))
        keys = tuple(trust_key(kind, source) for kind, source in own)
        return _Training(recipe.to_json(), machine, saved.getvalue(), code, keys)

    def opened(self) -> Recipe:
        """The recipe; its own parts are those of the first process, which the user has named there."""
        for code in self.code:
            offer(code)
        for key in self.allowed:
            allow(key)
        return Recipe.from_json(self.recipe)


@dataclass(frozen=True)
class _Other:
    """A process that this one started, and what it says."""

    process: subprocess.Popen[bytes]
    log: Path
    name: str


def _start(folder: Path, rank: int, count: int, threads: int, on_gpu: bool, undone: ExitStack) -> _Other:
    """A process that meets the others in a folder, and is ended by the stack."""
    log = folder / f"process-{rank}"
    asked = json.dumps({"folder": str(folder), "rank": rank, "count": count, "on_gpu": on_gpu})
    environment = os.environ | {
        "OMP_NUM_THREADS": str(threads),
        "MKL_NUM_THREADS": str(threads),
        "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
    }
    with log.open("wb") as file:
        # In a session of its own, so that Ctrl-C reaches the first process alone, which tells it.
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, asked],
            stdin=subprocess.PIPE, stdout=file, stderr=file, env=environment, start_new_session=True,
        )  # fmt: skip
    undone.callback(_end, process)
    return _Other(process, log, f"process {rank + 1} of {count}")


def _end(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    process.stdin.close()  # which it takes as the end
    try:
        process.wait(LEAVING_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@contextmanager
def _dismissed(processes: Processes) -> Generator[None]:
    """At the end the first process lets the others go; where it ended in disorder, closed connections tell them."""
    try:
        yield
    except (Interrupted, Stopped):
        if processes.rank == 0:
            processes.told(None)
        raise
    if processes.rank == 0:
        processes.told(None)


def _last_words(others: Sequence[_Other]) -> str:
    """Which process has ended, and how."""
    until = time.monotonic() + MOURNING_SECONDS
    while time.monotonic() < until:
        for other in others:
            status = other.process.poll()
            if status is not None and status < 0:
                return f"{other.name} died by signal {-status} ({signal.Signals(-status).name})"
            if status:
                lines = other.log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
                return f"{other.name} ended: {lines[-1] if lines else 'it said nothing'}"
        time.sleep(LOOK_SECONDS)
    return "another process of this training has ended"


def main() -> None:
    """A process that another one started, whose argument is {"folder", "rank", "count", "on_gpu"} as JSON.

    It ends when its standard input does, which the first process holds, so that it never outlives that one.
    """
    asked: dict[str, Any] = json.loads(sys.argv[1])
    folder, rank = Path(asked["folder"]), int(asked["rank"])
    threading.Thread(target=_end_with_parent, daemon=True).start()
    keep_freed_memory()
    (folder / f"{READY}{rank}").touch()
    try:
        with joined(rank, int(asked["count"]), bool(asked["on_gpu"]), folder / MEETING) as processes:
            serve(processes)
    except LostError:
        raise SystemExit(0) from None  # the first process says what became of whom
    except ShoestringError as error:
        raise SystemExit(str(error)) from None


def _end_with_parent() -> None:
    while os.read(sys.stdin.fileno(), 1):
        pass
    os._exit(0)  # the main thread may be waiting for others, where no signal reaches it
