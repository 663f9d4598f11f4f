"""Sums over the processes of one machine through memory that all map: microseconds, where sockets take a millisecond.

Each process writes its numbers, announces the sum it has come to, waits until the others have announced it too, and
adds up what all have written, in the same order. Announcements need no lock where a processor lets others see writes in
their order, as x86 does; on others sums go through sockets.
"""

import mmap
import os
import platform
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

import torch
from torch import Tensor

from shoestring.core.errors import ShoestringError

ORDERED = ("x86_64", "AMD64", "amd64")  # processors that let others see writes in their order
PART_BYTES = 2**20  # that a process writes at once; a larger tensor takes several turns
LINE_BYTES = 64  # of a cache line: one for each announcement
EAGER_SECONDS = 0.005  # of looking without sleeping; most waits are shorter
PAUSE_SECONDS = 0.0002
LOOK_SECONDS = 0.1  # between looks whether the others live


class LostError(ShoestringError):
    """Another process of the training has ended, so that nothing can be summed over all of them any more."""

    def __init__(self, message: str = "another process of this training has ended") -> None:
        super().__init__(message)


class SharedMemory:
    """The memory, as one of the processes sees it.

    Two buffers take turns: whoever writes its part of a sum to one of them has seen that all others came to the sum
    before, and so are done with the one before that, which the same buffer held.

    A process holds a lock on its own byte of the file as long as it lives, by which the others see that it does.
    """

    def __init__(self, file: int, rank: int, count: int) -> None:
        """Maps an open file that `made` made, and says that this process lives.

        Args:
            file: Its descriptor, which is this object's from now on.
            rank: Which process this is.
            count: How many there are.
        """
        import fcntl

        self.file, self.rank, self.count = file, rank, count
        self.others = [other for other in range(count) if other != rank]
        fcntl.lockf(file, fcntl.LOCK_EX, 1, rank)
        self.memory = mmap.mmap(file, size_of(count))
        self.announced = memoryview(self.memory)[: count * LINE_BYTES].cast("q")
        rows = torch.frombuffer(self.memory, dtype=torch.uint8, offset=count * LINE_BYTES)
        self.buffers = rows.view(2, count, PART_BYTES)
        self.turn = 0

    def add(self, tensor: Tensor) -> None:
        """Replaces a tensor on the CPU by its sum over processes, the same bits in each.

        Raises:
            LostError: Another process has ended.
        """
        flat = tensor.reshape(-1)
        rows = PART_BYTES // tensor.element_size()
        for begin in range(0, len(flat), rows):
            self._add(flat[begin : begin + rows])
        if flat.data_ptr() != tensor.data_ptr():
            tensor.copy_(flat.view_as(tensor))

    def _add(self, here: Tensor) -> None:
        self.turn += 1
        buffer = self.buffers[self.turn % 2, :, : here.numel() * here.element_size()].view(here.dtype)
        buffer[self.rank].copy_(here)
        self._announce()
        if self.count == 2:
            torch.add(buffer[0], buffer[1], out=here)
        else:
            torch.sum(buffer, 0, dtype=here.dtype, out=here)

    def _announce(self) -> None:
        """Says that this process has written its part, and waits until all have."""
        step, announced, turn = LINE_BYTES // 8, self.announced, self.turn
        announced[self.rank * step] = turn
        for other in self.others:
            place, began, looked = other * step, 0.0, 0.0
            while announced[place] < turn:
                os.sched_yield()  # to the one that is waited for, should it have to share the core
                now = time.monotonic()
                began, looked = began or now, looked or now
                if now - began > EAGER_SECONDS:
                    time.sleep(PAUSE_SECONDS)
                if now - looked > LOOK_SECONDS:
                    looked = now
                    if announced[place] < turn and not self._lives(other):
                        raise LostError

    def _lives(self, other: int) -> bool:
        import fcntl

        try:
            fcntl.lockf(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, other)
        except OSError:
            return True
        fcntl.lockf(self.file, fcntl.LOCK_UN, 1, other)
        return False

    def close(self) -> None:
        """Says that this process is gone."""
        os.close(self.file)  # which gives its lock back


def size_of(count: int) -> int:
    """Bytes of the memory of so many processes."""
    return count * LINE_BYTES + 2 * count * PART_BYTES


@contextmanager
def made(count: int) -> Generator[Path | None]:
    """A file in memory for so many processes to map, which has a name while inside; None where there can be none."""
    if sys.platform != "linux" or platform.machine() not in ORDERED:
        yield None
        return
    path = None
    with suppress(OSError):  # there is no such folder, or no room
        handle, name = tempfile.mkstemp(prefix="shoestring-", dir="/dev/shm")
        path = Path(name)
        try:
            os.posix_fallocate(handle, 0, size_of(count))  # or a write without room would end the process
        except OSError:
            path.unlink()
            path = None
        finally:
            os.close(handle)
    try:
        yield path
    finally:
        if path is not None:
            path.unlink(missing_ok=True)
