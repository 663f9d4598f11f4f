"""Pieces that several nets are made of."""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field, PositiveInt
from torch import Tensor, nn

PerStage = Annotated[tuple[PositiveInt, ...], Field(min_length=1)]
"""A number for each stage of a net, of which there is at least one."""
StemStride = Literal[1, 2, 4, 8]
"""By how much the first convolution makes images smaller, for images that are large."""
STEM_STRIDES: tuple[StemStride, ...] = (1, 2, 4, 8)


def stem_kernel(stride: StemStride) -> int:
    """Side of the first convolution's kernel: odd, and covering what its stride passes over."""
    return max(3, stride + 1)


def require_one_per_stage(**numbers: Sequence[int]) -> None:
    """Refuses lists of different lengths; a ValueError, for validators of specs."""
    *names, last = numbers
    *lengths, length = [str(len(each)) for each in numbers.values()]
    if set(lengths) != {length}:
        raise ValueError(
            f"{', '.join(names)} and {last} must have one number per stage, got {', '.join(lengths)} and {length}"
        )


def conv_norm(
    in_channels: int,
    out_channels: int,
    kernel_size: int,
    stride: int = 1,
    groups: int = 1,
    activation: nn.Module | None = None,
) -> nn.Sequential:
    """Convolution without bias that keeps the size (divided by stride), batch norm, and an activation if given."""
    layers: list[nn.Module] = [
        nn.Conv2d(in_channels, out_channels, kernel_size, stride, kernel_size // 2, groups=groups, bias=False),
        nn.BatchNorm2d(out_channels),
    ]
    if activation is not None:
        layers.append(activation)
    return nn.Sequential(*layers)


class PixelMean(nn.Module):
    """Global average pooling, (n, c, h, w) -> (n, c, 1, 1), whose gradient is in channels_last order.

    That of `nn.AdaptiveAvgPool2d` is not, whatever its input, and all that is added to it or computed from it is slow.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(n, c, h, w) -> (n, c, 1, 1)."""
        return x.permute(0, 2, 3, 1).flatten(1, 2).mean(1)[:, :, None, None]


def classifier_head(features: int, num_classes: int) -> nn.Sequential:
    """Global average pooling and a linear layer: (n, features, h, w) -> (n, num_classes) logits."""
    return nn.Sequential(PixelMean(), nn.Flatten(), nn.Linear(features, num_classes))


def normed_head(features: int, num_classes: int) -> list[nn.Module]:
    """The layers of a classifier head that normalises the pooled features by batch; shapes as of `classifier_head`."""
    return [PixelMean(), nn.Flatten(), nn.BatchNorm1d(features), nn.Linear(features, num_classes)]
