"""Mean and deviation over the last mini-batches of a training, as the published papers give them, from a run's log."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from shoestring.measure.measure import Measure, computed_by, pooled_interval

LAST_STEPS = 1_000  # of the training; the papers average over these, a tenth of theirs


def training_line(train_records: Sequence[Mapping[str, Any]]) -> dict[str, Measure]:
    """Mean and deviation over the mini-batches of the last 1,000 steps, for everything the log has.

    Of a training of fewer than 10,000 steps it is the last tenth. Records are pooled exactly: by their counts, and with
    the spread between them as well as within them.

    Args:
        train_records: In order of steps, as `training.journal` writes them; each has "step" (of its last mini-batch),
            "count" (mini-batches it sums up), "mean" and "deviation" (population, divided by count), by name. Records
            are taken whole, newest first, until they cover as many steps; the measure's n says how many they were.

    Returns:
        By name the mean, with n mini-batches, their sample deviation, and Student's interval of the mean, of accuracies
        on a logistic scale and of losses on a logarithmic one. It takes mini-batches as independent and the net as one,
        though it learns meanwhile. Nothing for an empty log.
    """
    chosen: list[Mapping[str, Any]] = []
    for record in reversed(train_records):
        if sum(taken["count"] for taken in chosen) >= min(LAST_STEPS, train_records[-1]["step"] // 10) and chosen:
            break
        chosen.append(record)
    names = dict.fromkeys(name for record in reversed(chosen) for name in record["mean"])
    return {name: _pooled(name, [record for record in chosen if name in record["mean"]]) for name in names}


def _pooled(name: str, records: Sequence[Mapping[str, Any]]) -> Measure:
    n = sum(record["count"] for record in records)
    mean = math.fsum(record["count"] * record["mean"][name] for record in records) / n
    # Squares of differences from the pooled mean: no cancellation, unlike a difference of mean squares.
    squares = math.fsum(
        record["count"] * (record["deviation"][name] ** 2 + (record["mean"][name] - mean) ** 2) for record in records
    )
    deviation = math.sqrt(squares / (n - 1)) if n > 1 else None
    scale = "logit" if name.endswith("accuracy") else "log"
    first, last = records[-1]["step"] - records[-1]["count"] + 1, records[0]["step"]
    return Measure(
        mean,
        n,
        None if deviation is None else pooled_interval(mean, deviation, n, scale=scale),
        deviation,
        computed_by(__name__),
        f"Over the mini-batches of steps {first:,} to {last:,}, with augmentation and the net as it was at each step.",
    )
