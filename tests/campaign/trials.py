"""A trial of a promise, and trials in a process of their own, whose time and memory are bounded."""

import contextlib
import os
import pickle
import random
import resource
import select
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

SERVED = 25  # trials of a process: what torch and own nets leave behind in it adds up


@dataclass(frozen=True)
class Trial:
    """What was tried once.

    Attributes:
        number: Decides, with the seed, all that was drawn.
        what: In a few words.
        broken: How the promise was broken; empty where it was kept.
        facts: Numbers to report the largest of.
    """

    number: int
    what: str
    broken: str = ""
    facts: dict[str, float] = field(default_factory=dict[str, float])


def drawn(seed: int, number: int) -> random.Random:
    """All randomness of a trial."""
    return random.Random(f"{seed}/{number}")


def forked(work: Callable[[], Any], seconds: float = 60.0) -> tuple[int, Any]:
    """What work in a forked process gives, with its exit status as a shell names it; None where it gave nothing.

    A process that takes longer is killed. Its standard streams lead nowhere.
    """
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        _in_child(reading, writing, lambda answer: answer(work()))
    os.close(writing)
    with os.fdopen(reading, "rb") as answers:
        found = _received(answers, seconds)
        if found is _NOTHING and not _ended(child, 0.5):
            os.kill(child, signal.SIGKILL)
    return _status(child), None if found is _NOTHING else found


def isolated(
    trial: Callable[[int], Trial], numbers: Iterable[int], seconds: float = 60.0, extra_bytes: int = 2 << 30
) -> Iterator[Trial]:
    """Trials one after another in a forked process, another one where it ended or took too long.

    Args:
        trial: One, by number.
        numbers: Of the trials.
        seconds: How much of the processor's time one may take; it may wait ten times as long.
        extra_bytes: Address space that the process may take beyond what it has.
    """
    waiting = iter(numbers)
    number = next(waiting, None)
    while number is not None:
        to_child, from_child = os.pipe(), os.pipe()
        child = os.fork()
        if child == 0:
            os.close(to_child[1])
            _bound_memory(extra_bytes)
            orders = os.fdopen(to_child[0], "rb")
            _in_child(
                from_child[0], from_child[1], lambda answer, orders=orders: _serve(trial, orders, seconds, answer)
            )
        os.close(to_child[0])
        os.close(from_child[1])
        try:
            with os.fdopen(from_child[0], "rb") as answers, os.fdopen(to_child[1], "wb", buffering=0) as orders:
                for _ in range(SERVED):
                    if number is None:
                        break
                    orders.write(number.to_bytes(8, "little"))
                    found = _received(answers, 10 * seconds)
                    if not isinstance(found, Trial):
                        hung = not _ended(child, 0.5)
                        if hung:
                            os.kill(child, signal.SIGKILL)
                        status = _status(child)
                        how = f"it waited {10 * seconds:g} s" if hung else f"its process ended with status {status}"
                        yield Trial(number, "unknown", how)
                        number = next(waiting, None)
                        break
                    yield found
                    number = next(waiting, None)
        finally:  # also where nobody wants the rest: nothing writes any more
            with contextlib.suppress(ProcessLookupError, ChildProcessError):
                os.kill(child, signal.SIGKILL)
                os.waitpid(child, 0)


def where(error: BaseException) -> str:
    """An error with the last place of this package that it went through."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "shoestring" in frame.filename] or frames
    last = f" in {'/'.join(Path(ours[-1].filename).parts[-2:])}:{ours[-1].lineno}" if ours else ""
    return f"{type(error).__name__}: {str(error)[:160]}{last}"


_NOTHING = object()


def _serve(trial: Callable[[int], Trial], orders: Any, seconds: float, answer: Callable[[Any], None]) -> None:
    while order := orders.read(8):
        signal.setitimer(signal.ITIMER_PROF, seconds)  # its signal ends the process
        answer(trial(int.from_bytes(order, "little")))


def _in_child(reading: int, writing: int, work: Callable[[Callable[[Any], None]], None]) -> None:
    """Never returns."""
    status = 1
    try:
        os.close(reading)
        nowhere = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2):
            os.dup2(nowhere, stream)
        torch.set_num_threads(1)
        with os.fdopen(writing, "wb") as answers:

            def answer(value: Any) -> None:
                pickle.dump(value, answers)
                answers.flush()

            work(answer)
        status = 0
    finally:
        os._exit(status)


def _received(answers: Any, seconds: float) -> Any:
    until = time.monotonic() + seconds
    ready, _, _ = select.select([answers], [], [], max(0.0, until - time.monotonic()))
    if not ready:
        return _NOTHING
    try:
        return pickle.load(answers)
    except EOFError:
        return _NOTHING


def _ended(child: int, seconds: float) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        with contextlib.suppress(ChildProcessError):
            if os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT):
                return True
        time.sleep(0.005)
    return False


def _status(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _bound_memory(extra_bytes: int) -> None:
    if sys.platform == "linux":
        limit = _memory("VmSize") + extra_bytes
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _memory(what: str) -> int:
    """A figure of this process, in bytes; 0 where the system has none."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            if line.startswith(f"{what}:"):
                return int(line.split()[1]) * 1024
    return 0


def forget_peak() -> None:
    """Starts the count of the most memory anew."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def peak_bytes() -> int:
    """The most memory that this process held since."""
    return _memory("VmHWM")


def resident_bytes() -> int:
    """Memory that this process holds."""
    return _memory("VmRSS")
