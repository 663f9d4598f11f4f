"""Schedules: factors, of the learning rate or of another number, as functions of the step; no state to save."""

import math
from typing import Annotated, Literal

from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, field_validator

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
        try:
            return self.decay ** (step // self.every)
        except OverflowError:
            return math.inf


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


class Ramp(Spec):
    """From one factor to another along a line or half a cosine; before and after, the factor stays what it is there."""

    kind: Literal["ramp"] = "ramp"
    start: NonNegativeFloat = 1.0
    """First factor."""
    end: NonNegativeFloat = 1.0
    """Last factor."""
    shape: Literal["linear", "cosine"] = "linear"
    """How it goes from one to the other."""
    over: tuple[Fraction, Fraction] = (0.0, 1.0)
    """Where it begins to move and where it has arrived, as fractions of the steps."""

    @field_validator("over")
    @classmethod
    def _rises(cls, ends: tuple[float, float]) -> tuple[float, float]:
        if ends[0] >= ends[1]:
            raise ValueError(f"a ramp over {ends[0]:g} to {ends[1]:g} has no length; give the smaller fraction first")
        return ends

    def factor(self, step: int, steps: int) -> float:
        """The factor at a step of 0..steps-1; the last one after the last step of the ramp."""
        first, last = self.over[0] * steps, self.over[1] * steps
        progress = min(max((step + 1 - first) / (last - first), 0.0), 1.0)
        if self.shape == "cosine":
            return _cosine(self.start, self.end, progress)
        return self.start + (self.end - self.start) * progress


def _cosine(start: float, end: float, progress: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * progress)) / 2
