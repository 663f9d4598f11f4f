"""What a classifier may tell besides its answer: the digits that it read on the way there."""

from typing import Protocol, runtime_checkable

from torch import Tensor


@runtime_checkable
class DigitReader(Protocol):
    """A net that reads a digit in each channel of an image; any net with this method is one."""

    def digits(self, x: Tensor) -> Tensor:
        """Images (n, channels, h, w) -> log-probabilities (n, channels, 10) of the digit in each channel, float32."""
        ...
