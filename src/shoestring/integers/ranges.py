"""Ranges of numbers in eight bits: a scale and the integer of zero, chosen so that what follows loses least."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from shoestring.integers.graph import Pointwise
from shoestring.integers.integer_graph import Int8

Numbers = NDArray[np.float64]
SHRINKAGES = np.linspace(1, 0.4, 16)
"""Fractions of the whole range that are tried; what lies beyond saturates."""
SAMPLES = 50_000
"""Numbers that ranges are chosen by."""


@dataclass(frozen=True)
class Range:
    """What int8 numbers stand for: real = scale * (q - zero_point); beyond -128..127 they saturate."""

    scale: float
    zero_point: int

    def integers(self, numbers: Numbers) -> Int8:
        """The integers nearest to numbers, of any shape."""
        return np.clip(np.rint(numbers / self.scale) + self.zero_point, -128, 127).astype(np.int8)

    def numbers(self, integers: NDArray[Any]) -> Numbers:
        """What integers stand for, of any shape."""
        return (integers.astype(np.float64) - self.zero_point) * self.scale


def fitted(numbers: Tensor, function: Callable[[Tensor], Tensor] | None = None) -> Range:
    """The range of 256 steps, with an exact zero, that numbers lose least in.

    Args:
        numbers: Of any shape.
        function: What follows; the loss is that of its output.
    """
    flat = numbers.flatten()
    sample = flat[:: max(1, flat.numel() // SAMPLES)].double()
    lowest, highest = min(0.0, float(flat.min())), max(0.0, float(flat.max()))
    if highest - lowest < 1e-12:
        return Range(1.0, 0)
    best, least = Range(1.0, 0), math.inf
    wanted = sample if function is None else function(sample)
    for fraction in SHRINKAGES:
        scale = (highest - lowest) * float(fraction) / 255
        tried = Range(scale, int(np.clip(round(-128 - lowest * float(fraction) / scale), -128, 127)))
        rounded = torch.from_numpy(tried.numbers(tried.integers(sample.numpy())))
        loss = float(((rounded if function is None else function(rounded)) - wanted).square().mean())
        if loss < least:
            best, least = tried, loss
    return best


def table_of(given: Range, activation: Pointwise | None, wanted: Range) -> Int8:
    """int8 (256,), by q + 128: the integers that a function makes of all that it can read; None is the identity."""
    numbers = given.numbers(np.arange(-128, 128))
    if activation is not None:
        numbers = activation.function(torch.from_numpy(numbers)).numpy()
    return wanted.integers(numbers)
