"""Learning rate as a function of progress; no state, so a resumed run needs none."""

import math
from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt

from shoestring.core.config import Spec

Fraction = Annotated[float, Field(ge=0, le=1)]


class Constant(Spec):
    """The same learning rate at every step."""

    kind: Literal["constant"] = "constant"

    def factor(self, step: int, steps: int) -> float:
        """1 at every step."""
        return 1.0


class StepDecay(Spec):
    """The learning rate times a factor every so many steps."""

    kind: Literal["step-decay"] = "step-decay"
    decay: PositiveFloat = 0.95
    """Factor at each decay."""
    every: PositiveInt = 1000
    """Steps between decays."""

    def factor(self, step: int, steps: int) -> float:
        """The decay to the power of floor(step / every)."""
        return self.decay ** (step // self.every)


class OneCycle(Spec):
    """Rises from a fraction of the peak to the peak, then falls to nearly nothing, both along half a cosine.

    arXiv 1708.07120. The peak is the optimiser's learning rate.
    """

    kind: Literal["one-cycle"] = "one-cycle"
    start: NonNegativeFloat = 0.04
    """First learning rate over the peak."""
    end: NonNegativeFloat = 4e-6
    """Last learning rate over the peak."""
    warmup: Fraction = 0.3
    """Fraction of the steps until the peak."""

    def factor(self, step: int, steps: int) -> float:
        """Learning rate over the peak, at a step of 0..steps-1."""
        last = max(steps - 1, 1)
        peak = self.warmup * last
        if step < peak:
            return _cosine(self.start, 1.0, step / peak)
        return _cosine(1.0, self.end, (step - peak) / (last - peak) if last > peak else 1.0)


class WarmupStableDecay(Spec):
    """Linear rise, a plateau, and a linear fall to zero (arXiv 2106.04560; arXiv 2405.18392)."""

    kind: Literal["wsd"] = "wsd"
    warmup: Fraction = 0.05
    """Fraction of the steps that rise."""
    cooldown: Fraction = 0.3
    """Fraction of the steps that fall."""

    def factor(self, step: int, steps: int) -> float:
        """Learning rate over the plateau, at a step of 0..steps-1."""
        rising = (step + 1) / max(self.warmup * steps, 1)
        falling = (steps - step) / max(self.cooldown * steps, 1)
        return min(1.0, rising, falling)


def _cosine(start: float, end: float, progress: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * progress)) / 2
