"""A metric: a value with its n, its uncertainty and the hash of the code that computed it."""

import functools
import hashlib
import importlib.util
import math
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import NormalDist
from typing import Any, Literal

from torch import Tensor

Scale = Literal["plain", "log", "logit"]
"""Where an interval is symmetric, and what it stays within: any numbers, those above 0, or fractions in 0..1."""

EXACT_DEGREES = 200  # of freedom up to which Student's quantile is found from its finite sum


@dataclass(frozen=True)
class Metric:
    """One measured value.

    Attributes:
        value: A number, or plain JSON values (a list of bins, a matrix); None where it is not defined.
        n: How many independent things it was measured on: images, mini-batches, paths.
        interval: 95% confidence interval of the value, from low to high, when one is known.
        std: Sample standard deviation (divided by n - 1) of the single things, when the value is their
        mean.
        computed_by: Package version and hash of the code behind it, as `computed_by` gives it.
        note: What a reader must know to read the value rightly, in a sentence.
        caution: Why the value misleads, to be said wherever it stands; None where it does not.
    """

    value: Any
    n: int
    interval: tuple[float, float] | None = None
    std: float | None = None
    computed_by: str | None = None
    note: str | None = None
    caution: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The metric as plain JSON values, under the names of its attributes."""
        return asdict(self) | {"interval": None if self.interval is None else list(self.interval)}


@functools.cache
def computed_by(module: str) -> str:
    """Who computed a metric: "shoestring VERSION metrics.classification sha256:0123456789abcdef".

    The hash covers all code that computes metrics, so it changes whenever the number might.

    Args:
        module: The `__name__` of the module that computes.
    """
    folder = Path(__file__).parent
    files = (file.relative_to(folder).with_suffix("") for file in sorted(folder.rglob("[a-z]*.py")))
    whole = source_hash(*(".".join((str(__package__), *file.parts)) for file in files))
    return f"shoestring {version('shoestring')} {module.removeprefix('shoestring.')} sha256:{whole[:16]}"


@functools.cache
def source_hash(*modules: str) -> str:
    """The sha256 of the source of modules, named as in an import.

    Raises:
        ModuleNotFoundError: There is no such module, so that none is left out in silence.
    """
    return hashlib.sha256(b"".join(_source(name) for name in modules)).hexdigest()


def _source(module: str) -> bytes:
    found = importlib.util.find_spec(module)
    if found is None:
        raise ModuleNotFoundError(f"there is no module {module}")
    return Path(found.origin).read_bytes() if found.origin else b""


def fraction(successes: float, n: int, computed_by: str, note: str | None = None) -> Metric:
    """The metric of a fraction of successes, with its Wilson interval."""
    return Metric(successes / n, n, wilson_interval(successes, n), None, computed_by, note)


def mean(values: Tensor, computed_by: str, note: str | None = None, scale: Scale = "plain") -> Metric:
    """The metric of a mean of independent values (n,), with Student's interval and the sample standard deviation."""
    doubles = values.double()
    std = float(doubles.std()) if len(doubles) > 1 else None
    interval = mean_interval(doubles, scale=scale)
    return Metric(float(doubles.mean()), len(doubles), interval, std, computed_by, note)


def ratio(numerators: Tensor, denominators: Tensor, computed_by: str, note: str | None = None) -> Metric:
    """The metric of a ratio of two means of independent samples, 1 where they are alike.

    The interval is symmetric on a logarithmic scale (delta method). n counts the numerators. Where the denominators'
    mean is not above 0 the value is None.

    Args:
        numerators: (n,), such as a quantity of each generated image.
        denominators: (m,), the same quantity of each real image.
        computed_by: As `computed_by` gives it.
        note: As in `Metric`.
    """
    top, bottom = numerators.double(), denominators.double()
    above, below, n = float(top.mean()), float(bottom.mean()), len(top)
    if not (below > 0 and math.isfinite(above)):
        return Metric(None, n, None, None, computed_by, note)
    value = above / below
    if min(n, len(bottom)) < 2 or not value > 0:
        return Metric(value, n, None, None, computed_by, note)
    variance = float((top / above).var()) / n + float((bottom / below).var()) / len(bottom)
    factor = math.exp(NormalDist().inv_cdf(0.975) * math.sqrt(variance))
    return Metric(value, n, (value / factor, value * factor), None, computed_by, note)


def paired_difference(before: Tensor, after: Tensor, computed_by: str, note: str | None = None) -> Metric:
    """The metric of a difference of two fractions of successes on the same things, after less before.

    Its interval counts half a thing more in each of the four cases (Agresti and Min, "Simple improved confidence
    intervals for comparing matched proportions", 2005), so that it has a width also where nothing differs.

    Args:
        before: bool (n,).
        after: bool (n,), of the same things in the same order.
        computed_by: As `computed_by` gives it.
        note: As in `Metric`.
    """
    n = len(before)
    gained, lost = int((after & ~before).sum()), int((before & ~after).sum())
    total = n + 2
    centre = (gained - lost) / total
    half = NormalDist().inv_cdf(0.975) * math.sqrt(max((gained + lost + 1) / total - centre**2, 0) / total)
    return Metric((gained - lost) / n, n, (centre - half, centre + half), None, computed_by, note)


def wilson_interval(successes: float, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """The score interval of a probability, within 0..1 and sound also near both ends (Wilson 1927).

    Args:
        successes: How many of the n trials succeeded, in 0..n.
        n: Independent trials, at least 1.
        confidence: Probability with which the interval holds the true value.

    Raises:
        ValueError: There are no trials, or more successes than trials.
    """
    if n < 1 or not 0 <= successes <= n:
        raise ValueError(f"successes must be in 0..n with n at least 1, got {successes} of {n}")
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    p = successes / n
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    # At p = 0 and p = 1 one end is exactly 0 or 1; rounding must not step over it.
    return (max(0.0, centre - half) if successes else 0.0, min(1.0, centre + half) if successes < n else 1.0)


def mean_interval(values: Tensor, confidence: float = 0.95, scale: Scale = "plain") -> tuple[float, float] | None:
    """Student's interval of the mean of independent, roughly normal values; None for fewer than two.

    Args:
        values: (n,), any numeric type; computed in float64.
        confidence: Probability with which the interval holds the true mean.
        scale: As in `pooled_interval`.
    """
    doubles = values.double()
    if len(doubles) < 2:
        return None
    return pooled_interval(float(doubles.mean()), float(doubles.std()), len(doubles), confidence, scale)


def pooled_interval(
    mean: float, std: float, n: int, confidence: float = 0.95, scale: Scale = "plain"
) -> tuple[float, float] | None:
    """Student's interval of a mean that is known by its moments; None for fewer than two values.

    On a logarithmic or logistic scale its half width is that of the mean over the mean's slope there (delta method), so
    that it is much the same where the mean is sure, and never leaves the range of the values.

    Args:
        mean: Mean of the n values.
        std: Their sample standard deviation (divided by n - 1).
        n: How many values.
        confidence: Probability with which the interval holds the true mean.
        scale: Where it is symmetric: "log" for values of at least 0, "logit" for fractions in 0..1.
    """
    if n < 2:
        return None
    half = student_quantile((1 + confidence) / 2, n - 1) * std / math.sqrt(n)
    if scale == "log" and mean > 0:
        factor = math.exp(min(half / mean, 700.0))  # e to the 710 is beyond a float
        return (mean / factor, mean * factor)
    if scale == "logit" and 0 < mean < 1:
        centre, half = math.log(mean / (1 - mean)), half / (mean * (1 - mean))
        return ((1 + math.tanh((centre - half) / 2)) / 2, (1 + math.tanh((centre + half) / 2)) / 2)
    return (mean - half, mean + half)


def student_quantile(probability: float, degrees: int) -> float:
    """The quantile of Student's t distribution, to about 1e-9.

    Bisection of the finite sums of Abramowitz and Stegun 1964, 26.7.3 and 26.7.4; beyond 200 degrees the expansion
    26.7.5 about the normal quantile, which is as exact there.

    Args:
        probability: In 0.5..1, both excluded: the upper half, the lower is its mirror image.
        degrees: Degrees of freedom, at least 1.
    """
    z = NormalDist().inv_cdf(probability)
    if degrees > EXACT_DEGREES:
        terms = (
            (z**3 + z) / 4,
            (5 * z**5 + 16 * z**3 + 3 * z) / 96,
            (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        )
        return z + sum(term / degrees**power for power, term in enumerate(terms, start=1))
    low, high = 0.0, math.pi / 2  # of the angle whose tangent is t / sqrt(degrees)
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if _student_inside(middle, degrees) < 2 * probability - 1 else (low, middle)
    return math.tan((low + high) / 2) * math.sqrt(degrees)


def _student_inside(angle: float, degrees: int) -> float:
    """The probability that |t| is at most sqrt(degrees) tan(angle)."""
    sine, cosine = math.sin(angle), math.cos(angle)
    first = degrees % 2  # odd degrees sum odd powers of the cosine, even degrees even ones
    term, total = (cosine, 0.0) if first else (1.0, 0.0)
    for power in range(first, degrees - 1, 2):
        total += term
        term *= (power + 1) / (power + 2) * cosine * cosine
    return 2 / math.pi * (angle + sine * total) if first else sine * total
