"""Is a depthwise convolution faster as a full convolution with a diagonal kernel?

    python benchmarks/depthwise.py [--device cuda] [--batch 1024]

Times one forward and backward pass of each depthwise layer of `cifar100-mixconv`, both ways, in the precision and
memory format of a training; on a GPU as a CUDA graph, so that launches do not count.
"""

import argparse
import time
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from shoestring.core.device import Engine, Machine
from shoestring.nets.mixconv import Depthwise

LAYERS = (12, 32, 3, 1), (12, 32, 7, 1), (12, 32, 7, 3), (20, 16, 3, 1), (20, 16, 7, 1), (20, 16, 7, 3)
"""Channels, side, kernel size, dilation."""


def grouped(layer: Depthwise, images: Tensor) -> Tensor:
    """The layer by the kernel for groups."""
    return torch.nn.Conv2d.forward(layer, images)


def full(layer: Depthwise, images: Tensor) -> Tensor:
    """The layer as a convolution of one group."""
    return F.conv2d(images, layer.full_kernel(), padding=layer.padding, dilation=layer.dilation)


def milliseconds(step: Callable[[], None], machine: Machine, repeats: int = 20) -> float:
    """Mean time of a call, after three to warm up."""
    on_gpu = machine.device.type == "cuda"
    stream = torch.cuda.Stream() if on_gpu else None
    with torch.cuda.stream(stream):
        for _ in range(3):
            step()
    run = step
    if on_gpu:
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            step()
        run = graph.replay
        torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(repeats):
        run()
    if on_gpu:
        torch.cuda.synchronize()
    return (time.perf_counter() - start) / repeats * 1e3


def main() -> None:
    """Prints one line a layer: milliseconds of both ways."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default=None)
    parser.add_argument("--batch", type=int, default=1024)
    given = parser.parse_args()
    machine = Machine.choose(Engine(), given.device)
    print(f"batch {given.batch}, {machine.describe()['device']}, {machine.dtype}; forward and backward, ms")
    print("channels side kernel dilation  grouped   full")
    for channels, side, size, dilation in LAYERS:
        layer = Depthwise(channels, size, dilation).to(machine.device).to(memory_format=torch.channels_last)
        images = torch.randn(given.batch, channels, side, side, device=machine.device, dtype=machine.dtype)
        images = images.to(memory_format=torch.channels_last).requires_grad_()

        def step(way: Callable[[Depthwise, Tensor], Tensor], layer: Depthwise = layer, images: Tensor = images) -> None:
            layer.weight.grad = images.grad = None
            with machine.autocast():
                made = way(layer, images)
            made.backward(torch.ones_like(made))

        times = [milliseconds(lambda way=way: step(way), machine) for way in (grouped, full)]  # pyright: ignore
        print(f"{channels:8} {side:4} {size:6} {dilation:8}  {times[0]:7.3f} {times[1]:6.3f}", flush=True)


if __name__ == "__main__":
    main()
