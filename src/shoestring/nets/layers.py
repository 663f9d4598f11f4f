"""The layer table of a net: what each layer is, what it gives, what it costs."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from shoestring.budget import Layer

Examples = Mapping[str, tuple[Tensor, ...]]
"""One input batch of a single image for each net, by the net's name."""


def layer_table(nets: nn.ModuleDict, examples: Examples) -> list[Layer]:
    """One row for each module that has parameters of its own, in order of use, net by net.

    Multiply-adds are half of the floating-point operations that torch counts in a forward pass of one image:
    convolutions and matrix products; a module used several times counts each use, its parameters once.

    Args:
        nets: The nets by name; left as they are.
        examples: Inputs for each net, on any device.
    """
    return [row for name, net in nets.items() for row in _rows(name, net, examples[name])]


def _rows(name: str, net: nn.Module, inputs: tuple[Tensor, ...]) -> list[Layer]:
    outputs: dict[str, tuple[int, ...]] = {}
    counter = FlopCounterMode(display=False)
    flops: dict[str, int] = {}

    def before(path: str) -> Any:
        def hook(*_: object) -> None:
            flops[path] = flops.get(path, 0) - counter.get_total_flops()

        return hook

    def after(path: str) -> Any:
        def hook(_: nn.Module, __: object, output: Tensor) -> None:
            flops[path] += counter.get_total_flops()
            outputs[path] = tuple(output.shape[1:])

        return hook

    modules: dict[str, nn.Module] = dict(net.named_modules())  # pyright: ignore[reportUnknownArgumentType]
    owners = {path: module for path, module in modules.items() if _own_parameters(module)}
    handles = [module.register_forward_pre_hook(before(path)) for path, module in owners.items()]
    handles += [module.register_forward_hook(after(path)) for path, module in owners.items()]
    training = net.training
    try:
        with torch.no_grad(), counter:
            net.eval()(*inputs)
    finally:
        net.train(training)
        for handle in handles:
            handle.remove()
    order = [*outputs, *(path for path in owners if path not in outputs)]
    seen: set[int] = set()
    rows: list[Layer] = []
    for path in order:
        own = [p for p in owners[path].parameters(recurse=False) if id(p) not in seen]
        seen.update(id(p) for p in own)
        dotted = f"{name}.{path}" if path else name
        parameters = sum(p.numel() for p in own)
        rows.append(Layer(dotted, _describe(owners[path]), outputs.get(path, ()), parameters, flops.get(path, 0) // 2))
    return rows


def _own_parameters(module: nn.Module) -> bool:
    return next(module.parameters(recurse=False), None) is not None


def _describe(module: nn.Module) -> str:
    kind = type(module).__name__
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        depthwise = module.groups == module.in_channels and module.groups > 1
        size = "x".join(str(side) for side in module.kernel_size)
        stride = f" s{module.stride[0]}" if module.stride[0] > 1 else ""
        groups = " depthwise" if depthwise else f" g{module.groups}" if module.groups > 1 else ""
        return f"{kind} {size}{stride}{groups}"
    return kind
