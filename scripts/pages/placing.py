"""Labels that overlap nothing: each is tried around its point, nearer places first, and the first free one is taken."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Box:
    """A rectangle in pixels, from its lower left corner to its upper right one."""

    left: float
    bottom: float
    right: float
    top: float

    def overlaps(self, other: "Box") -> bool:
        """Whether the two share any area."""
        across = min(self.right, other.right) - max(self.left, other.left)
        return across > 0 and min(self.top, other.top) - max(self.bottom, other.bottom) > 0

    def nearest(self, x: float, y: float) -> tuple[float, float]:
        """The point of the rectangle that is nearest to another point."""
        return min(max(x, self.left), self.right), min(max(y, self.bottom), self.top)

    def within(self, other: "Box") -> bool:
        """Whether it lies inside another one."""
        sides = (self.left >= other.left, self.bottom >= other.bottom, self.right <= other.right, self.top <= other.top)
        return all(sides)


def place(x: float, y: float, width: float, height: float, frame: Box, taken: Sequence[Box]) -> Box:
    """The nearest free place of a label beside a point; where there is none, the nearest one within the frame.

    Args:
        x: Of the point, in pixels, to the right.
        y: Of the point, in pixels, upwards.
        width: Of the label.
        height: Of the label.
        frame: Where labels may lie.
        taken: Where they may not: marks, lines, labels placed before.
    """
    places = [box for box in _around(x, y, width, height) if box.within(frame)]
    free = (box for box in places if not any(box.overlaps(other) for other in taken))
    return next(free, places[0] if places else Box(x, y, x + width, y + height))


def _around(x: float, y: float, width: float, height: float) -> Iterator[Box]:
    """Places left and right, above and below, and between, with growing distance."""
    for distance in (1.0, 1.6, 2.4, 3.4, 4.6, 6.0, 8.0):
        reach = 0.75 * height * distance
        for across, up in ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, 1), (1, -1), (-1, -1)):
            left = x + across * reach - (1 - across) / 2 * width
            bottom = y + up * reach - (1 - up) / 2 * height
            yield Box(left, bottom, left + width, bottom + height)
