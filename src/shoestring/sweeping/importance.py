"""How much of the difference between points each varied field explains by itself."""

import math
from collections.abc import Hashable, Sequence

MOST_GROUPS = 4  # into which the numbers of a range are divided, in order
LEAST_POINTS = 2  # in each of them


def main_effect(groups: Sequence[Hashable], values: Sequence[float]) -> float | None:
    """The fraction of the variance of values that groups explain: epsilon squared (Kelley 1935), 0 at least.

    That is the variance between groups over all variance, less what groups of pure chance would explain.

    Args:
        groups: (n,), which group each value is in.
        values: (n,).

    Returns:
        In 0..1; None where there are too few values, or one group, or all values are alike.
    """
    n, labels = len(values), list(dict.fromkeys(groups))
    if len(labels) < 2 or n <= len(labels):
        return None
    centre = math.fsum(values) / n
    total = math.fsum((value - centre) ** 2 for value in values)
    if total == 0:
        return None
    between = 0.0
    for label in labels:
        inside = [value for group, value in zip(groups, values, strict=True) if group == label]
        between += len(inside) * (math.fsum(inside) / len(inside) - centre) ** 2
    chance = (len(labels) - 1) * (total - between) / (n - len(labels))
    return min(max((between - chance) / total, 0.0), 1.0)


def quantile_groups(numbers: Sequence[float]) -> list[int]:
    """For numbers of a range, which of a few groups of equal size each falls in; equal numbers fall in the same."""
    count = max(min(MOST_GROUPS, len(numbers) // LEAST_POINTS), 1)
    order = sorted(numbers)
    edges = [order[len(order) * cut // count] for cut in range(1, count)]
    return [sum(number >= edge for edge in edges) for number in numbers]
