"""The layer table of a net: what each layer is, what it gives, what it costs."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm  # pyright: ignore[reportPrivateUsage]
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves

from shoestring.core.budget import Layer

Examples = Mapping[str, tuple[Tensor, ...]]
"""One input batch of a single image for each net, by the net's name."""


def layer_table(nets: nn.ModuleDict, examples: Examples) -> list[Layer]:
    """One row for each module that has anything of its own that counts, in order of use, net by net.

    Multiply-adds are those of convolutions, matrix products and attention in a forward pass of one image; a module
    used several times counts each use, its parameters once.

    Args:
        nets: The nets by name; left as they are.
        examples: Inputs for each net, on any device.
    """
    return [row for name, net in nets.items() for row in _rows(name, net, examples[name])]


def _rows(name: str, net: nn.Module, inputs: tuple[Tensor, ...]) -> list[Layer]:
    outputs: dict[str, tuple[int, ...]] = {}
    counter = Counter()
    counts: dict[str, int] = {}

    def before(path: str) -> Any:
        def hook(*_: object) -> None:
            counts[path] = counts.get(path, 0) - counter.multiply_adds

        return hook

    def after(path: str) -> Any:
        def hook(_: nn.Module, __: object, output: Any) -> None:
            counts[path] += counter.multiply_adds
            first = next((leaf for leaf in tree_leaves(output) if isinstance(leaf, Tensor)), None)
            outputs[path] = () if first is None else tuple(first.shape[1:])

        return hook

    modules: dict[str, nn.Module] = dict(net.named_modules())  # pyright: ignore[reportUnknownArgumentType]
    buffers = counted_buffers(net)
    owners = {path: module for path, module in modules.items() if _own_parameters(module)}
    handles = [module.register_forward_pre_hook(before(path)) for path, module in owners.items()]
    handles += [module.register_forward_hook(after(path)) for path, module in owners.items()]
    modes = {module: module.training for module in modules.values()}
    fast_path = torch.backends.mha.get_fastpath_enabled()
    try:
        torch.backends.mha.set_fastpath_enabled(False)  # attention in one operator, whose parts nobody could count
        with torch.no_grad(), counter:
            net.eval()(*inputs)
    finally:
        torch.backends.mha.set_fastpath_enabled(fast_path)
        for module, training in modes.items():
            module.training = training
        for handle in handles:
            handle.remove()
    holders = (path for path in dict.fromkeys(path.rpartition(".")[0] for path in buffers) if path not in owners)
    order = [*outputs, *(path for path in owners if path not in outputs), *holders]
    seen: set[int] = set()
    rows: list[Layer] = []
    for path in order:
        module, kept = modules[path], [t for held, t in buffers.items() if held.rpartition(".")[0] == path]
        own = [p for p in (*module.parameters(recurse=False), *kept) if id(p) not in seen]
        seen.update(id(p) for p in own)
        dotted = f"{name}.{path}" if path else name
        kind = f"{_describe(module)}{', with buffers' if kept else ''}"
        rows.append(Layer(dotted, kind, outputs.get(path, ()), sum(p.numel() for p in own), counts.get(path, 0)))
    return rows


def count(net: nn.Module) -> int:
    """What counts of a net: its parameters and its counted buffers, shared ones once."""
    kept = {id(tensor): tensor.numel() for tensor in (*net.parameters(), *counted_buffers(net).values())}
    return sum(kept.values())


def counted_buffers(net: nn.Module) -> dict[str, Tensor]:
    """The buffers that count as parameters do, by dotted name: all that are saved, where weights could hide.

    The running statistics of batch norms are free: folded into the layer before, they take no room. So are step
    counters, which no run keeps. A batch norm is one of torch's own or of this package's nets.
    """
    modules: dict[str, nn.Module] = dict(net.named_modules())  # pyright: ignore[reportUnknownArgumentType]
    free = {
        f"{path}.{name}" if path else name
        for path, module in modules.items()
        if isinstance(module, _BatchNorm) and type(module).__module__.split(".")[0] in ("torch", "shoestring")
        for name in ("running_mean", "running_var", "num_batches_tracked")
    }
    saved = net.state_dict(keep_vars=True)
    return {
        name: buffer for name, buffer in net.named_buffers() if name in saved and name not in free and buffer.numel()
    }


class Counter(TorchFunctionMode):
    """Counts the multiply-adds of what is called inside.

    torch's own counter gives the same numbers (a test compares them), but imports for seconds.
    """

    def __init__(self) -> None:
        super().__init__()
        self.multiply_adds = 0

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Calls a function and counts it."""
        name = getattr(func, "__name__", "")
        result = func(*args, **(kwargs or {}))
        if name in ("conv1d", "conv2d", "conv3d", "linear"):  # an output takes in the inputs that its weights weigh
            self.multiply_adds += result.numel() * args[1][0].numel()
        elif name.startswith("conv_transpose"):  # an input goes to the outputs that its weights weigh
            self.multiply_adds += args[0].numel() * args[1][0].numel()
        elif name in ("matmul", "__matmul__", "mm", "bmm"):
            self.multiply_adds += result.numel() * args[0].shape[-1]
        elif name == "scaled_dot_product_attention":
            query, key, value = args[:3]
            pairs = query.numel() // query.shape[-1] * key.shape[-2]
            self.multiply_adds += pairs * (query.shape[-1] + value.shape[-1])
        elif name == "multi_head_attention_forward":  # nn.MultiheadAttention, whose operators cannot be seen from here
            self.multiply_adds += _attention(*args[:4])
        return result


def _attention(query: Tensor, key: Tensor, value: Tensor, width: int) -> int:
    """Multiply-adds of attention with its projections, of (tokens, n, features)."""
    projected = 2 * query.shape[0] * width + key.shape[0] * (key.shape[-1] + value.shape[-1])
    return query[0].numel() // width * width * (projected + 2 * query.shape[0] * key.shape[0])


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
