"""Steps of which each process has a share of the images, computed as if one process had them all."""

from collections.abc import Collection, Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

from shoestring.core.processes import Processes, shared_by

FILLING = {
    torch.Tensor.bernoulli_,
    torch.Tensor.uniform_,
    torch.Tensor.normal_,
    torch.Tensor.exponential_,
    torch.Tensor.random_,
}
"""What fills its tensor with random numbers."""
CHANGING = {
    F.dropout,
    F.dropout1d,
    F.dropout2d,
    F.dropout3d,
    F.alpha_dropout,
    F.feature_alpha_dropout,
    torch.bernoulli,
    torch.rand_like,
    torch.randn_like,
}
"""What draws random numbers for the elements of its tensor."""
MAKING = {torch.rand, torch.randn}
"""What makes random numbers of a shape."""


@contextmanager
def whole_batch(processes: Processes, parts: Collection[int]) -> Generator[None]:
    """Inside, batch norms normalise over the images of all processes, and random numbers are drawn for all of these.

    Nets stay as they are: functions of torch that look beyond one image do otherwise.

    Args:
        processes: Those that share the images.
        parts: How many images of the whole batch a net may be called with at once.
    """
    if processes.count == 1:
        yield
        return
    with shared_by(processes), _WholeBatch(processes, parts):
        yield


class _WholeBatch(TorchFunctionMode):
    def __init__(self, processes: Processes, parts: Collection[int]) -> None:
        super().__init__()
        self.processes = processes
        self.rows = {processes.share_of(images) for images in parts}

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """What a function of torch gives, where a tensor of as many rows as a part has here has one for each image."""
        kwargs = dict(kwargs or {})
        if func is F.batch_norm:
            return batch_norm(self.processes, *args, **kwargs)
        if func in FILLING and self._of_images(args[0].shape):
            return args[0].copy_(self.processes.share(func(self._whole(args[0]), *args[1:], **kwargs)))
        if func in CHANGING and self._of_images(args[0].shape):
            if "inplace" in kwargs:
                kwargs["inplace"] = False
            return self.processes.share(func(self._whole(args[0]), *args[1:], **kwargs))
        if func in MAKING and args:
            shape: tuple[int, ...] = tuple(args[0]) if isinstance(args[0], tuple | list) else args  # pyright: ignore
            if self._of_images(shape):
                return self.processes.share(func(shape[0] * self.processes.count, *shape[1:], **kwargs))
        return func(*args, **kwargs)

    def _of_images(self, shape: Sequence[int]) -> bool:
        return len(shape) > 0 and shape[0] in self.rows

    def _whole(self, share: Tensor) -> Tensor:
        """A tensor of all images that has this process's rows where they belong, in the same order of memory."""
        whole = share.new_zeros((len(share) * self.processes.count, *share.shape[1:]))
        if share.ndim == 4 and share.is_contiguous(memory_format=torch.channels_last):
            whole = whole.contiguous(memory_format=torch.channels_last)
        whole[self.processes.rank :: self.processes.count] = share
        return whole


def batch_norm(
    processes: Processes,
    x: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """`F.batch_norm` over the images of all processes: (n, c, ...), of which each has some, to the same shape.

    Statistics come by one sum of (count, sum, sum of squares), gradients by another one; gradients of gradients, too.
    The running statistics become those of all images (arXiv 1502.03167).
    """
    if not training:
        return F.batch_norm(x, running_mean, running_var, weight, bias, False, momentum, eps)
    scale = x.new_ones(x.shape[1], dtype=_wide(x)) if weight is None else weight
    shift = x.new_zeros(x.shape[1], dtype=_wide(x)) if bias is None else bias
    normed, mean, variance, count = cast(
        tuple[Tensor, Tensor, Tensor, Tensor],
        _BatchNorm.apply(processes, x, scale, shift, eps),  # pyright: ignore[reportUnknownMemberType]
    )
    if running_mean is not None and running_var is not None:
        with torch.no_grad():
            running_mean.lerp_(mean.to(running_mean.dtype), momentum)
            running_var.lerp_((variance * (count / (count - 1))).to(running_var.dtype), momentum)
    return normed


class _BatchNorm(torch.autograd.Function):
    """Batch norm by torch's own kernels: those of evaluation, given the statistics of all images."""

    @staticmethod
    def forward(  # pyright: ignore
        ctx: Any, processes: Processes, x: Tensor, weight: Tensor, bias: Tensor, eps: float
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        wide = _wide(x)
        unused = torch.zeros(2, x.shape[1], dtype=wide, device=x.device)  # it makes the statistics of bfloat16 float32
        found = torch.batch_norm_update_stats(x, unused[0], unused[1], 0.0)
        mean, variance = found[0].double(), found[1].double()
        count = torch.full_like(mean, x.numel() / x.shape[1])
        sums = processes.add(torch.stack((count, count * mean, count * (variance + mean.square()))))  # exact in float64
        count = sums[0, 0]
        mean, square = sums[1:] / count
        variance = (square - mean.square()).clamp_(min=0)
        mean, variance = mean.to(wide), variance.to(wide)
        ctx.save_for_backward(x, weight, mean, variance, count)
        ctx.processes, ctx.eps = processes, eps
        count = count.to(wide)
        ctx.mark_non_differentiable(mean, variance, count)
        return F.batch_norm(x, mean, variance, weight, bias, False, 0.0, eps), mean, variance, count

    @staticmethod
    def backward(ctx: Any, slope: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore
        x, weight, mean, variance, count = ctx.saved_tensors
        if torch.is_grad_enabled():  # these gradients are to be differentiated
            return (None, *_differentiable(ctx, slope, x, weight, count), None)
        slope = slope.contiguous(memory_format=_memory_order(x))
        exact = slope.dtype == weight.dtype  # else the factors of channels are not rounded as the images are
        inward, of_weight, of_bias = torch.ops.aten.native_batch_norm_backward(
            slope, x, weight, mean, variance, None, None, False, ctx.eps, [not exact, True, True]
        )
        if ctx.needs_input_grad[1]:
            by = weight * (variance + ctx.eps).rsqrt()
            sums = ctx.processes.add(torch.stack((of_weight, of_bias))) * (-by / count.to(weight.dtype))
            through = F.batch_norm(x, mean, variance, sums[0], sums[1], False, 0.0, ctx.eps)
            each = by.view(1, -1, *[1] * (x.ndim - 2))
            inward = through.addcmul_(slope, each) if exact else inward.add_(through)
        return None, inward, of_weight, of_bias, None


def _differentiable(ctx: Any, slope: Tensor, x: Tensor, weight: Tensor, count: Tensor) -> list[Tensor | None]:
    """The gradients of batch norm by functions that can be differentiated once more."""
    over, each = [0, *range(2, x.ndim)], (1, -1, *[1] * (x.ndim - 2))
    wanted = ctx.needs_input_grad[1:4]
    with torch.enable_grad():
        bias = torch.zeros_like(weight, requires_grad=True)
        wide, total = x.to(weight.dtype), count.to(weight.dtype)
        centred = wide - (_sum(ctx.processes, wide.sum(over)) / total).view(each)
        variance = _sum(ctx.processes, centred.square().sum(over)) / total
        normed = centred * (variance + ctx.eps).rsqrt().view(each) * weight.view(each) + bias.view(each)
        inputs = [each for each, asked in zip((x, weight, bias), wanted, strict=True) if asked]
        found = iter(torch.autograd.grad(normed.to(x.dtype), inputs, slope, create_graph=True))
    return [next(found) if asked else None for asked in wanted]


class _Sum(torch.autograd.Function):
    """The sum over processes, whose gradient is the sum of their gradients; so is that of this one."""

    @staticmethod
    def forward(ctx: Any, processes: Processes, here: Tensor) -> Tensor:  # pyright: ignore
        ctx.processes = processes
        return processes.add(here.clone())

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> tuple[None, Tensor]:  # pyright: ignore
        return None, _sum(ctx.processes, slope)


def _sum(processes: Processes, here: Tensor) -> Tensor:
    return cast(Tensor, _Sum.apply(processes, here))  # pyright: ignore[reportUnknownMemberType]


def _wide(x: Tensor) -> torch.dtype:
    """Of statistics, gains and sums."""
    return torch.float64 if x.dtype == torch.float64 else torch.float32


def _memory_order(x: Tensor) -> torch.memory_format:
    last = x.ndim == 4 and x.is_contiguous(memory_format=torch.channels_last)
    return torch.channels_last if last else torch.contiguous_format
