"""From noise to images: solvers of dx/dt = velocity(x, t) from t = 1 (noise) to t = 0 (images), and their time grids.

Karras et al. 2022 is arXiv 2206.00364.

Pure functions: the same noise gives the same images. Times are plain numbers, so no solver ever waits for a GPU.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Annotated, Literal

import torch
from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt, field_validator
from torch import Tensor

from shoestring.tasks.contract import Sampling

Velocity = Callable[[Tensor, float], Tensor]
"""dx/dt at (x, t); on straight paths x = (1 - t) image + t noise, so the velocity estimates noise - image."""

Solver = Callable[[Velocity, Tensor, Sequence[float]], Tensor]
"""Carries x from the first time to the last."""


class ODESampling(Sampling):
    """How a trained flow makes images: the solver of its ODE, the time grid, and guidance."""

    solver: Literal["euler", "heun", "multistep"] = "heun"
    """Euler (first order) and multistep (second) call the net once a step; Heun (second) twice, but at last once."""
    steps: PositiveInt = 18
    """Steps from noise to image."""
    grid: Literal["uniform", "karras"] = "karras"
    """Times that are evenly spaced, or those of Karras et al. 2022, which grow denser towards the image."""
    guidance: NonNegativeFloat = 1.0
    """Weight w in guide + w (net - guide), where the guide is the net without the class (arXiv 2207.12598); 1 uses the
    net alone."""
    interval: tuple[NonNegativeFloat, PositiveFloat] = (0.0, 80.0)
    """Noise over signal, from and up to which to guide (arXiv 2404.07724)."""
    span: tuple[PositiveFloat, PositiveFloat] = (0.002, 80.0)
    """Last (before 0) and first noise over signal of the Karras grid."""
    density: Annotated[float, Field(ge=1)] = 7.0
    """Exponent rho of the Karras grid."""

    @field_validator("interval", "span")
    @classmethod
    def _rises(cls, ends: tuple[float, float]) -> tuple[float, float]:
        if ends[0] >= ends[1]:
            raise ValueError(f"{ends[0]:g} is not below {ends[1]:g}; give the smaller noise over signal first")
        return ends

    def times(self) -> list[float]:
        """The grid: `steps` + 1 falling times, the last 0."""
        if self.grid == "uniform":
            return uniform_times(self.steps)
        return karras_times(self.steps, *self.span, self.density)

    def guides(self, time: float) -> bool:
        """Whether guidance is on at a time."""
        ratio = time / (1 - time) if time < 1 else math.inf
        return self.guidance != 1 and self.interval[0] < ratio and min(ratio, self.span[1]) <= self.interval[1]

    @property
    def nfe(self) -> int:
        """Net calls per image, counted by running the solver on an empty tensor."""
        calls = 0

        def count(x: Tensor, time: float) -> Tensor:
            nonlocal calls
            calls += 2 if self.guides(time) else 1
            return x

        SOLVERS[self.solver](count, torch.zeros(0), self.times())
        return calls

    @property
    def words(self) -> str:
        """How images are made, in short: solver, steps, grid and guidance."""
        said = f"{self.solver}, {self.steps} steps"
        if self.grid == "karras":
            said += f" from {self.span[1]:g} to {self.span[0]:g}"
        if self.guidance == 1:
            return said
        where = f" between {self.interval[0]:g} and {self.interval[1]:g}" if self.interval != (0.0, 80.0) else ""
        return f"{said}, guidance {self.guidance:g}{where}"

    def solve(self, velocity: Velocity, guide: Velocity, noise: Tensor) -> Tensor:
        """Images from noise.

        Args:
            velocity: That of the net as it is.
            guide: That of the net without the class.
            noise: Standard normal, (n, c, h, w).
        """
        times = self.times()

        def steered(x: Tensor, time: float) -> Tensor:
            return guided(velocity(x, time), guide(x, time), self.guidance) if self.guides(time) else velocity(x, time)

        return SOLVERS[self.solver](steered, noise * times[0], times)


def uniform_times(steps: int) -> list[float]:
    """1, …, 0 in equal steps."""
    return [1 - step / steps for step in range(steps + 1)]


def karras_times(steps: int, smallest: float, largest: float, density: float) -> list[float]:
    """Times t = s / (1 + s) at which noise over signal s falls from `largest` to `smallest`, and then 0.

    s is evenly spaced after taking the root of order `density` (Karras et al. 2022, eq. 5).
    """
    high, low = largest ** (1 / density), smallest ** (1 / density)
    ratios = [(high + step / max(steps - 1, 1) * (low - high)) ** density for step in range(steps)]
    return [ratio / (1 + ratio) for ratio in ratios] + [0.0]


def guided(velocity: Tensor, guide: Tensor, weight: float) -> Tensor:
    """The sum guide + weight (velocity - guide), arXiv 2207.12598, eq. 6 with weight = 1 + their w."""
    return torch.lerp(guide, velocity, weight)


def euler(velocity: Velocity, x: Tensor, times: Sequence[float]) -> Tensor:
    """Error of first order in the step; one call a step."""
    for now, then in itertools.pairwise(times):
        x = x + (then - now) * velocity(x, now)
    return x


def heun(velocity: Velocity, x: Tensor, times: Sequence[float]) -> Tensor:
    """Error of second order; two calls a step, one where the step ends at 0 (Karras et al. 2022, algorithm 1)."""
    for now, then in itertools.pairwise(times):
        slope = velocity(x, now)
        ahead = x + (then - now) * slope
        x = x + (then - now) * (slope + velocity(ahead, then)) / 2 if then > 0 else ahead
    return x


def multistep(velocity: Velocity, x: Tensor, times: Sequence[float]) -> Tensor:
    """Error of second order with one call a step: DPM-Solver++(2M), arXiv 2211.01095, algorithm 2.

    Extrapolates the estimated image x - t v along the logarithm of signal over noise from this and the last step; the
    first step and one that ends at 0 are of first order.
    """
    before: tuple[Tensor, float] | None = None
    for now, then in itertools.pairwise(times):
        image = x - now * velocity(x, now)
        aimed = image
        if before is not None and then > 0:
            last_image, last = before
            ratio = (_log_signal(now) - _log_signal(last)) / (_log_signal(then) - _log_signal(now))
            aimed = image + (image - last_image) / (2 * ratio)
        # Of x = (1 - t) image + t noise, the noise shrinks with t and the image fills up what the weights leave.
        x = (then / now) * x + ((1 - then) - (1 - now) * then / now) * aimed
        before = (image, now) if now < 1 else None
    return x


SOLVERS: dict[str, Solver] = {"euler": euler, "heun": heun, "multistep": multistep}


def _log_signal(time: float) -> float:
    return math.log((1 - time) / time)
