"""What a step has to do, and how fast this machine can do it: the two sides of a roofline."""

import time
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from shoestring.core.device import Machine
from shoestring.core.rng import generator
from shoestring.model.build import Built
from shoestring.recipes.recipe import Recipe


def operations(recipe: Recipe, built: Built) -> int:
    """Floating-point operations of one step in convolutions and matrix products, two for each multiply-add.

    Counted forwards, times what the task says of forwards and backwards: torch's own count of the backward pass is too
    high by the number of channels for depthwise convolutions.
    """
    forward = {
        net: sum(row.multiply_adds for row in built.layers if row.name.split(".")[0] == net)
        for net in recipe.task.forward_passes
    }
    return round(sum(2 * recipe.batch_size * calls * forward[net] for net, calls in recipe.task.forward_passes.items()))


class Traffic(TorchDispatchMode):
    """Counts the bytes of the tensors that operators read and write inside; views cost nothing.

    Attributes:
        products: Bytes of convolutions and matrix products.
        others: Bytes of all other operators.
    """

    def __init__(self) -> None:
        super().__init__()
        self.products = 0
        self.others = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Calls an operator and counts what goes through it."""
        result = func(*args, **(kwargs or {}))
        read, written = _tensors((args, kwargs)), _tensors(result)
        known = {tensor.untyped_storage().data_ptr() for tensor in read}
        view = not func._schema.is_mutable and all(t.untyped_storage().data_ptr() in known for t in written)
        moved = 0 if view else sum(tensor.nbytes for tensor in read + written)
        if any(word in func.__name__ for word in ("convolution", "mm.", "addmm", "attention")):
            self.products += moved
        else:
            self.others += moved
        return result


def matrix_product_rate(machine: Machine) -> float:
    """Floating-point operations per second of a large square matrix product, the best of several."""
    size, tries = (1536, 6) if machine.device.type == "cpu" else (8192, 20)
    source = generator(0, "matrix product")
    a, b = (torch.randn(size, size, generator=source).to(machine.device, machine.dtype) for _ in range(2))
    best = float("inf")
    for _ in range(tries):
        synchronise(machine)
        start = time.perf_counter()
        torch.mm(a, b)
        synchronise(machine)
        best = min(best, time.perf_counter() - start)
    return 2 * size**3 / best


def copy_rate(machine: Machine) -> float:
    """Bytes per second of a copy far larger than the caches, read and written, the best of several."""
    size, tries = 2**26 if machine.device.type == "cpu" else 2**30, 6
    source = torch.ones(size // 4, device=machine.device)
    target = torch.zeros_like(source)
    best = float("inf")
    for _ in range(tries):
        synchronise(machine)
        start = time.perf_counter()
        target.copy_(source)
        synchronise(machine)
        best = min(best, time.perf_counter() - start)
    return 2 * size / best


def synchronise(machine: Machine) -> None:
    """Waits until the device has done all that was asked of it."""
    if machine.device.type == "cuda":
        torch.cuda.synchronize(machine.device)


def _tensors(values: object) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(values) if isinstance(leaf, Tensor)]
