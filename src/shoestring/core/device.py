"""How the arithmetic is done on this machine: device, precision, memory format, graphs. Never what is computed."""

import os
import platform
from collections.abc import Generator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from typing import Literal

import torch
from pydantic import PositiveInt
from torch import nn

from shoestring.core.config import Spec
from shoestring.core.errors import ShoestringError

CUBLAS = "CUBLAS_WORKSPACE_CONFIG"
KEEPS_MEMORY_ORDER = "keeps_memory_order"
"""Attribute of nets whose memory order is not to be changed."""


class Engine(Spec):
    """Choices about speed; "auto" and None choose by device."""

    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """Of activations in convolutions and matrix products; weights and losses stay float32. Auto: bfloat16 on a GPU."""
    channels_last: bool | None = None
    """Keep images and convolution weights in NHWC order. By default yes."""
    graphs: bool | None = None
    """Replay each step as one CUDA graph. By default yes on a GPU."""
    compile: bool = False
    """Fuse operators with torch.compile; pays on a GPU, in long trainings."""
    threads: PositiveInt | None = None
    """CPU threads; by default what torch finds."""
    processes: PositiveInt | None = None
    """Processes of this machine that share the images of each step, on a GPU each. By default one, or what torchrun
    started."""
    autotune: bool = False
    """Before training, time a few steps of each choice left open and take the fastest; the run records it."""
    deterministic: bool = False
    """On a GPU, use only algorithms that give the same bits every time. A CPU run always does."""

    def portable(self) -> "Engine":
        """What of these choices holds on every machine: full precision and the same bits, if asked for."""
        precision = "float32" if self.precision == "float32" else "auto"
        return Engine(precision=precision, deterministic=self.deterministic)


@dataclass(frozen=True)
class Machine:
    """The engine's choices for one device. Some are settings of the whole process, in force inside `running` only."""

    device: torch.device
    dtype: torch.dtype
    channels_last: bool
    graphs: bool
    compile: bool
    threads: int | None = None
    deterministic: bool = False
    processes: int = 1

    @staticmethod
    def choose(engine: Engine, device: str | None) -> "Machine":
        """Settles what was left open.

        Args:
            engine: The recipe's engine.
            device: "cpu", "cuda", "cuda:1", "mps"; None takes a GPU when there is one.

        Raises:
            ShoestringError: The device is not there.
        """
        chosen = _find_device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        on_gpu = chosen.type == "cuda"
        half = engine.precision == "bfloat16" or (engine.precision == "auto" and on_gpu)
        return Machine(
            device=chosen,
            dtype=torch.bfloat16 if half else torch.float32,
            channels_last=engine.channels_last is not False,
            graphs=on_gpu if engine.graphs is None else engine.graphs and on_gpu,
            compile=engine.compile,
            threads=engine.threads,
            deterministic=engine.deterministic,
        )

    @contextmanager
    def running(self) -> Generator[None]:
        """Inside, torch works as chosen: threads, current GPU, cuDNN, determinism; then again as it did before."""
        with ExitStack() as undone:
            if self.threads:
                undone.callback(torch.set_num_threads, torch.get_num_threads())
                torch.set_num_threads(self.threads)
            if self.device.type == "cuda":
                undone.enter_context(torch.cuda.device(self.device))  # where streams and graphs are made
                for name, value in (("benchmark", not self.deterministic), ("deterministic", self.deterministic)):
                    undone.callback(setattr, torch.backends.cudnn, name, getattr(torch.backends.cudnn, name))
                    setattr(torch.backends.cudnn, name, value)
            if self.deterministic:
                undone.enter_context(_deterministic_algorithms())
            yield

    def autocast(self) -> AbstractContextManager[object]:
        """Inside, convolutions and matrix products run in the chosen precision."""
        return torch.autocast(self.device.type, self.dtype, enabled=self.dtype != torch.float32)

    def could_halve(self) -> bool:
        """Whether this is a processor that multiplies bfloat16 numbers while float32 is chosen."""
        if self.device.type != "cpu" or self.dtype != torch.float32:
            return False
        known: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()  # older torch has no such function
        return bool(known.get("avx512_bf16") or known.get("amx_bf16"))

    def place(self, nets: nn.ModuleDict) -> nn.ModuleDict:
        """The nets on the device, in the memory format unless they say that they keep their own."""
        nets = nets.to(self.device)
        for net in nets.values() if self.channels_last else ():
            if not hasattr(net, KEEPS_MEMORY_ORDER):
                net.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        return nets

    def describe(self) -> dict[str, object]:
        """Hardware and choices, as a run records them."""
        shared: dict[str, object] = {"processes": self.processes} if self.processes > 1 else {}
        return shared | {
            "device": torch.cuda.get_device_name(self.device) if self.device.type == "cuda" else str(self.device),
            "processor": _processor(),
            "cores": os.cpu_count(),
            "threads": self.threads or torch.get_num_threads(),
            "precision": str(self.dtype).removeprefix("torch."),
            "channels_last": self.channels_last,
            "graphs": self.graphs,
            "compile": self.compile,
        }


@contextmanager
def _deterministic_algorithms() -> Generator[None]:
    before = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    workspace = os.environ.get(CUBLAS)
    os.environ.setdefault(CUBLAS, ":4096:8")  # cuBLAS is reproducible with a fixed workspace
    torch.use_deterministic_algorithms(True, warn_only=True)  # a warning names an operator that has none
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0], warn_only=before[1])
        if workspace is None:
            del os.environ[CUBLAS]


def _find_device(name: str) -> torch.device:
    try:
        return torch.empty(0, device=name).device
    except (RuntimeError, AssertionError) as error:  # what torch raises for an unknown name and for an absent device
        raise ShoestringError(
            f"--device {name}: torch cannot use it here; use --device cpu, or install a build of torch for that device"
        ) from error


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:  # noqa: PTH123
            return next(line.split(":", 1)[1].strip() for line in file if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
