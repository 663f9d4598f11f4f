"""When classes are uneven, said once for all: data, measures and reports."""

from collections.abc import Sequence

UNEVEN = 1.5  # the largest class over the smallest, from beyond which on accuracy alone misleads


def is_uneven(counts: Sequence[int]) -> bool:
    """Whether the largest class has more than one and a half times as many images as the smallest; one may have none.

    So are two classes of 70 and 30, where one answer for all is right for 70 %; those of CIFAR-100 and MNIST are not.
    """
    return bool(counts) and max(counts) > UNEVEN * min(counts)


def majority(counts: Sequence[int]) -> tuple[int, float]:
    """The class with most images, the lower one of equals, and its share: the accuracy of always answering it."""
    most = max(range(len(counts)), key=lambda label: counts[label])
    return most, counts[most] / sum(counts)
