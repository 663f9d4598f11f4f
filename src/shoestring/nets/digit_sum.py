"""Adds up digits it has read: one net for all channels, whose digit distributions are convolved into the sum's."""

import math
from itertools import pairwise
from typing import Literal, Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from pydantic import PositiveInt
from torch import Tensor, nn

from shoestring.core.config import Spec
from shoestring.core.errors import RecipeError
from shoestring.nets.layers import classifier_head, conv_norm

DIGITS = 10


class DigitSum(Spec):
    """AddNIST classifier that reads a digit in each channel with one shared net and adds the digits up exactly.

    The sum is the only label, and that is enough to learn what each digit is: a reading g with
    g(a) + g(b) + g(c) = a + b + c for all triples has 2 g(0) + g(1) = 1, hence g(0) = 0 and g(1) = 1 among 0..9, and
    then g(d) = d from (0, 0, d), all of them sums within 1..20. As the net is shared no channel can read one more and
    another one less. A training can still get stuck, with some digits read 3 too high or too low; its loss then stays
    near 0.9, far above that of one that found them all.
    """

    kind: Literal["digit-sum"] = "digit-sum"
    width: PositiveInt = 22
    """Channels of the first stage; the second has twice, the third three times as many."""
    depth: PositiveInt = 2
    """3x3 convolutions per stage; the first of every stage after the first halves the resolution."""
    stem_stride: Literal[1, 2] = 1
    """2 halves the resolution at the very first convolution: a quarter of the work."""
    chain: tuple[PositiveInt, ...] = ()
    """Channels of 3x3 convolutions without padding, one after the other, in place of the three stages: each output is
    two pixels smaller, and the last is averaged to 2x2 (as An et al., arXiv 2008.10400). None by default."""

    def build(self, shape: tuple[int, int, int], num_classes: int) -> nn.ModuleDict:
        """The net as {"classifier": module}; images (n, *shape) -> log-probabilities (n, num_classes).

        Raises:
            RecipeError: The classes are not the sums 1..num_classes of one digit for each channel.
        """
        if num_classes > 9 * shape[0]:
            raise RecipeError(
                f"net 'digit-sum' adds one digit for each of {shape[0]} channels, so it knows the sums 1 to "
                f"{9 * shape[0]}, not {num_classes} classes; use it with data 'addnist'"
            )
        reader = self._chained(shape) if self.chain else self._staged()
        return nn.ModuleDict({"classifier": DigitAdder(reader, shape[0], num_classes)})

    def _chained(self, shape: tuple[int, int, int]) -> nn.Sequential:
        smallest = min(shape[1:]) - 2 * len(self.chain)
        if smallest < 2:
            raise RecipeError(
                f"net.chain has {len(self.chain)} convolutions, each of which takes two pixels: a "
                f"{shape[1]}x{shape[2]} image has enough for {min(shape[1:]) // 2 - 1}"
            )
        layers: list[nn.Module] = []
        for before, width in pairwise((1, *self.chain)):
            layers += [nn.Conv2d(before, width, 3, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True)]
        return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(4 * self.chain[-1], DIGITS))

    def _staged(self) -> nn.Sequential:
        widths = [self.width, 2 * self.width, 3 * self.width]
        layers: list[nn.Module] = []
        channels = 1
        for stage, width in enumerate(widths):
            for block in range(self.depth):
                stride = 1 if block > 0 else self.stem_stride if stage == 0 else 2
                layers.append(conv_norm(channels, width, 3, stride, activation=nn.ReLU(inplace=True)))
                channels = width
        return nn.Sequential(*layers, classifier_head(channels, DIGITS))

    def examples(self, shape: tuple[int, int, int]) -> dict[str, tuple[Tensor, ...]]:
        """One input image, by net name."""
        return {"classifier": (torch.zeros(1, *shape),)}


class DigitAdder(nn.Module):
    """Reads every channel with one net and gives the distribution of the sum of the digits."""

    def __init__(self, reader: nn.Module, channels: int, num_classes: int) -> None:
        """A classifier of sums.

        Args:
            reader: (n, 1, h, w) -> (n, 10) logits of the digits.
            channels: Channels of an image, each of which holds a digit.
            num_classes: Class k stands for the sum k + 1.
        """
        super().__init__()
        self.reader = reader
        self.channels = channels
        self.num_classes = num_classes

    def forward(self, x: Tensor) -> Tensor:
        """Images (n, channels, h, w) -> log-probabilities (n, num_classes) of the sums 1..num_classes, float32.

        No label lies outside these sums, so they are the condition: the distribution is renormalised to them.
        """
        total = log_sum_distribution(self.digits(x))
        return total[:, 1 : self.num_classes + 1].log_softmax(1)

    def digits(self, x: Tensor) -> Tensor:
        """Images (n, channels, h, w) -> log-probabilities (n, channels, 10) of the digit in each channel, float32."""
        n, channels, height, width = x.shape
        logits = self.reader(x.reshape(n * channels, 1, height, width))
        return logits.view(n, channels, DIGITS).float().log_softmax(2)


def log_sum_distribution(digits: Tensor) -> Tensor:
    """Log-probabilities of the sum of independent digits: the convolution of their distributions, in log space.

    Exact down to any probability, since nothing is exponentiated on its own.

    Args:
        digits: float32 (n, m, 10), log-probabilities of m digits.

    Returns:
        float32 (n, 9 m + 1): the sums 0..9 m.
    """
    total = digits[:, 0]
    for digit in digits.unbind(1)[1:]:
        padded = F.pad(total, (DIGITS - 1, DIGITS - 1), value=-math.inf)
        # Window s of the padded sums, read backwards, holds the sums s - 0, s - 1, … s - 9 so far.
        total = (padded.unfold(1, DIGITS, 1) + digit.flip(1).unsqueeze(1)).logsumexp(2)
    return total


@runtime_checkable
class DigitReader(Protocol):
    """A net that reads a digit in each channel of an image; any net with this method is one."""

    def digits(self, x: Tensor) -> Tensor:
        """Images (n, channels, h, w) -> log-probabilities (n, channels, 10) of the digit in each channel, float32."""
        ...
