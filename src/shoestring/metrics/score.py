"""A metric of generated images beside what real images get, over several samplings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch

from shoestring.metrics.statistics import Metric


@dataclass(frozen=True)
class GenerativeMetric(Metric):
    """A metric of generated images with what is needed to read it.

    Attributes:
        real_baseline: The same metric of other real images in place of the generated ones, as many: what a perfect
            generator would get.
        gap_to_real: The value less the baseline.
        by_seed: The value for each sampling seed; `value` is their mean and `std` theirs, when there are
            several.
        standard_error: Of the value, for one sampling.
        n_real: How many real images it was compared with.
        features: Identity of the extractor, "NAME DIMENSIONS RESIZING HASH"; None when pixels were measured.
    """

    real_baseline: float | None = None
    gap_to_real: float | None = None
    by_seed: tuple[float, ...] | None = None
    standard_error: float | None = None
    n_real: int | None = None
    features: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The score as plain JSON values, under the names of its attributes."""
        return super().to_json() | {"by_seed": None if self.by_seed is None else list(self.by_seed)}

    @staticmethod
    def from_json(values: Mapping[str, Any]) -> "GenerativeMetric":
        """The score that `to_json` gave these values of."""
        interval, by_seed = values["interval"], values["by_seed"]
        lists: dict[str, Any] = {
            "interval": None if interval is None else (interval[0], interval[1]),
            "by_seed": None if by_seed is None else tuple(by_seed),
        }
        return GenerativeMetric(**{**values, **lists})


def as_generative_metrics(
    metrics: Mapping[str, Metric], suffix: str = "", features: str | None = None, n_real: int | None = None
) -> dict[str, GenerativeMetric]:
    """Metrics of generated images, their names ended by a suffix that says whose features they are of."""
    return {
        name + suffix: GenerativeMetric(
            one.value,
            one.n,
            one.interval,
            one.std,
            one.computed_by,
            one.note,
            one.caution,
            n_real=n_real,
            features=features,
        )
        for name, one in metrics.items()
    }


def with_real_baseline(
    found: Mapping[str, GenerativeMetric], real_baseline: Mapping[str, GenerativeMetric]
) -> dict[str, GenerativeMetric]:
    """The metrics, each beside that of real images; those without a number or a baseline stay as they are."""
    return {
        name: replace(
            score, real_baseline=real_baseline[name].value, gap_to_real=score.value - real_baseline[name].value
        )
        if name in real_baseline and _is_number(score) and _is_number(real_baseline[name])
        else score
        for name, score in found.items()
    }


def over_seeds(samplings: Sequence[Mapping[str, GenerativeMetric]]) -> dict[str, GenerativeMetric]:
    """One score for each name from those of several samplings.

    Numbers become means with their sample standard deviation. An interval becomes the mean of the intervals: more
    samplings do not make the real images more, so it must not shrink. All else is the first sampling's, and so is what
    was measured of some samplings only.
    """
    found: dict[str, GenerativeMetric] = {}
    for name, first in samplings[0].items():
        all_of = [one[name] for one in samplings if name in one]
        if len(all_of) < len(samplings) or not all(_is_number(one) for one in all_of):
            found[name] = first
            continue
        values = torch.tensor([one.value for one in all_of], dtype=torch.float64)
        several = len(values) > 1
        intervals = [one.interval for one in all_of if one.interval is not None]
        found[name] = replace(
            first,
            value=float(values.mean()) if several else first.value,
            std=float(values.std()) if several else first.std,
            interval=(_mean([low for low, _ in intervals]), _mean([high for _, high in intervals]))
            if len(intervals) == len(all_of)
            else None,
            by_seed=tuple(float(one.value) for one in all_of),
        )
    return found


def _is_number(score: GenerativeMetric) -> bool:
    return isinstance(score.value, int | float)


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
