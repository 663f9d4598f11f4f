"""Nets that come in every width: of each family the largest one is taken that all limits admit."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from shoestring.core.errors import OverBudgetError
from shoestring.nets.layers import STEM_STRIDES, StemStride
from shoestring.nets.resnet import BasicNet
from shoestring.nets.separable import SeparableNet

FamilyName = Literal["basic", "separable"]
FINENESS = 64
"""Widths are those of the recipe's own net times a multiple of one over this."""
WIDEST = 64


@dataclass(frozen=True)
class Family:
    """Nets of one kind that differ in width.

    Attributes:
        words: What it is, in a few words.
        first_stage: Side of the first stage's maps in pixels, which the stem's stride makes of larger images.
        net: The net of widths times a factor, with a stride of the stem.
    """

    words: str
    first_stage: int
    net: Callable[[float, StemStride], BasicNet | SeparableNet]

    def stem_stride(self, size: int) -> StemStride:
        """The stride that brings images of a size closest to the first stage's, not below three quarters of it."""
        fitting: list[StemStride] = [stride for stride in STEM_STRIDES if size / stride >= 0.75 * self.first_stage]
        return fitting[-1] if fitting else 1


def _basic(factor: float, stem_stride: StemStride) -> BasicNet:
    return BasicNet(widths=_scaled((16, 32, 52), factor), stem_stride=stem_stride)


def _separable(factor: float, stem_stride: StemStride) -> SeparableNet:
    return SeparableNet(widths=_scaled((32, 64, 112), factor), stem_stride=stem_stride)


def _scaled(widths: tuple[int, ...], factor: float) -> tuple[int, ...]:
    return tuple(max(1, round(factor * width)) for width in widths)


FAMILIES: dict[FamilyName, Family] = {
    "basic": Family("plain 3x3 convolutions, which processors compute fastest", 32, _basic),
    "separable": Family("depthwise 3x3 and pointwise convolutions, few multiply-adds", 16, _separable),
}


def largest_factor(admits: Callable[[float], bool]) -> float:
    """The largest multiple of one sixty-fourth that is admitted, by bisection.

    Args:
        admits: Whether a factor is admitted; if one is, all smaller ones are.

    Raises:
        OverBudgetError: Not even the smallest one is.
    """
    low, high = 0, FINENESS
    while high <= WIDEST * FINENESS and admits(high / FINENESS):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if admits(middle / FINENESS) else (low, middle)
    if not low:
        raise OverBudgetError("not even the narrowest net is within these limits")
    return low / FINENESS
