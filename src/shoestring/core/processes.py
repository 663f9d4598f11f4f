"""The processes that take one training's steps together: each has a share of the images, and sums are over all."""

import os
import socket
import zlib
from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager, nullcontext, suppress
from contextvars import ContextVar
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from shoestring.core.errors import RunError
from shoestring.core.shared_memory import LostError, SharedMemory, made

PATIENCE = timedelta(days=30)  # the others wait while the first evaluates; one that dies closes its connections
CHUNK = 2**28  # bytes sent at once


@dataclass(frozen=True)
class Processes:
    """Those that train together, as one of them sees it. One that is alone sends nothing.

    Of the images of a batch, process r of N takes number r, r + N, r + 2 N and so on, so that each has its share of
    those at the beginning of the batch and of those at its end.

    Attributes:
        rank: Which one this is, from 0. The first one writes.
        count: How many there are.
        memory: By which those of one machine sum, where they can.
    """

    rank: int = 0
    count: int = 1
    memory: SharedMemory | None = None

    def share(self, whole: Tensor) -> Tensor:
        """This process's rows of a tensor that has one for each image of the batch."""
        return whole[self.rank :: self.count].contiguous() if self.count > 1 else whole

    def share_of(self, images: int) -> int:
        """How many of the first so many images of the batch this process has."""
        return len(range(self.rank, images, self.count))

    def weight(self, part: range, of: int) -> float:
        """How much this process's mean over a part of a batch of so many images counts.

        So weighted, the processes' means have the mean over the whole part as their mean. 1 where each has equally many
        of its images.
        """
        here = self.share_of(part.stop) - self.share_of(part.start)
        return (here * of) / (self.share_of(of) * len(part))

    def add(self, tensor: Tensor) -> Tensor:
        """The sum over processes, the same bits in each; in place.

        Raises:
            LostError: Another process has ended.
        """
        if self.memory is not None and tensor.device.type == "cpu":
            self.memory.add(tensor)
        elif self.count > 1:
            with _connected():
                torch.distributed.all_reduce(tensor)
        return tensor

    @torch.no_grad()
    def average(self, tensors: Iterable[Tensor]) -> None:
        """Replaces floats by their means over processes, by one sum of all of them laid end to end.

        Raises:
            LostError: Another process has ended.
        """
        if self.count == 1:
            return
        tensors = list(tensors)
        mean = self.add(torch.cat([tensor.flatten().float() for tensor in tensors])).div_(self.count)
        begin = 0
        for tensor in tensors:
            tensor.copy_(mean[begin : begin + tensor.numel()].view(tensor.shape))
            begin += tensor.numel()

    def any(self, here: bool) -> bool:
        """Whether it is so in any process; each waits for all.

        Raises:
            LostError: Another process has ended.
        """
        return bool(self.add(torch.tensor(int(here)))) if self.count > 1 else here

    def require_alike(self, tensors: Mapping[str, Tensor]) -> None:
        """Does nothing if all processes have the same bits.

        Raises:
            RunError: They have not.
            LostError: Another process has ended.
        """
        if self.count == 1:
            return
        here = {name: _checksum(tensor) for name, tensor in tensors.items()}
        everywhere: list[dict[str, int]] = [{}] * self.count
        with _connected():
            torch.distributed.all_gather_object(everywhere, here)
        apart = [name for name, value in here.items() if any(there.get(name) != value for there in everywhere)]
        if apart:
            raise RunError(
                f"processes have come apart: each has another {apart[0]}. A part of the recipe mixes images of a step "
                "in a way that is not shared; train it with one process, --engine.processes 1"
            )

    def told(self, what: Any = None) -> Any:
        """What the first process tells all, in each of them; any object that can be pickled.

        Raises:
            LostError: Another process has ended.
        """
        box = [what]
        with _connected():
            torch.distributed.broadcast_object_list(box, device=torch.device("cpu"))
        return box[0]

    def sent(self, tensor: Tensor | None = None) -> Tensor:
        """The first process's tensor on the CPU, in each of them.

        Raises:
            LostError: Another process has ended.
        """
        shape, dtype = self.told(None if tensor is None else (tuple(tensor.shape), tensor.dtype))
        there = torch.empty(shape, dtype=dtype) if tensor is None else tensor.cpu().contiguous()
        flat = there.view(-1)
        rows = max(CHUNK // there.element_size(), 1)
        with _connected():
            for begin in range(0, len(flat), rows):
                torch.distributed.broadcast(flat[begin : begin + rows], 0)
        return there


ALONE = Processes()
_sharing: ContextVar[Processes] = ContextVar("sharing", default=ALONE)


def sharing() -> Processes:
    """The processes that share the images of the step that is being taken."""
    return _sharing.get()


@contextmanager
def shared_by(processes: Processes) -> Generator[None]:
    """Inside, these processes share the images of a step."""
    token = _sharing.set(processes)
    try:
        yield
    finally:
        _sharing.reset(token)


@dataclass(frozen=True)
class Launched:
    """What a launcher such as torchrun told this process.

    Attributes:
        rank: Which process this is of all.
        count: How many there are.
        local: Which one of its machine it is.
        alone: Whether all are of this machine.
    """

    rank: int
    count: int
    local: int
    alone: bool


def launched() -> Launched | None:
    """What torchrun, or a launcher that sets the same variables, told this process; None if it started none or one."""
    names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
    found = [os.environ.get(name) for name in names]
    if None in found or found[1] == "1":
        return None
    rank, count, local = (int(value or 0) for value in found[:3])
    return Launched(rank, count, local, os.environ.get("LOCAL_WORLD_SIZE") == found[1])


@contextmanager
def joined(rank: int, count: int, on_gpu: bool, meeting: Path | None = None) -> Generator[Processes]:
    """Inside, this process is connected to the others; afterwards its connections are closed.

    Args:
        rank: Which one this is.
        count: How many there will be.
        on_gpu: Whether nets are on GPUs, whose sums NCCL takes; all else is gloo's.
        meeting: A file that all find each other by, of processes of one machine; by default as a launcher says.
    """
    there = launched()
    store, one_machine = None, meeting is not None or (there is not None and there.alone)
    if meeting is not None:
        from torch.distributed import FileStore  # pyright: ignore[reportPrivateImportUsage]

        store = FileStore(str(meeting), count)
        _stay_on_this_machine()
    backend = "cpu:gloo,cuda:nccl" if on_gpu else "gloo"
    with _connected():
        torch.distributed.init_process_group(backend, store=store, rank=rank, world_size=count, timeout=PATIENCE)
    processes, memory = Processes(rank, count), None
    try:
        memory = _shared_memory(processes) if one_machine else None
        yield replace(processes, memory=memory)
    finally:
        if memory is not None:
            memory.close()
        torch.distributed.destroy_process_group()


def _shared_memory(processes: Processes) -> SharedMemory | None:
    """Memory that these processes, all of one machine, sum by; None if one of them cannot."""
    with made(processes.count) if processes.rank == 0 else nullcontext() as path:
        path, file = processes.told(path), None
        if path is not None:
            with suppress(OSError):
                file = os.open(path, os.O_RDWR)
        if processes.any(file is None) or file is None:
            if file is not None:
                os.close(file)
            return None
        memory = SharedMemory(file, processes.rank, processes.count)
        processes.any(False)  # each has its lock now, before another tries it
        return memory


def _stay_on_this_machine() -> None:
    """Lets gloo and NCCL connect by the loopback interface alone, which no other machine reaches."""
    loopback = next((name for _, name in socket.if_nameindex() if name.startswith("lo")), None)
    if loopback:
        os.environ.setdefault("GLOO_SOCKET_IFNAME", loopback)
        os.environ.setdefault("NCCL_SOCKET_IFNAME", loopback)


@contextmanager
def _connected() -> Generator[None]:
    try:
        yield
    except RuntimeError as error:  # what torch raises when a connection is closed, or cannot be made
        raise LostError from error


def _checksum(tensor: Tensor) -> int:
    return zlib.crc32(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
