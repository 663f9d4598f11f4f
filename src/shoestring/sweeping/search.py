"""Where the points of a sweep come from: all known beforehand, or proposed one after the other."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from shoestring.sweeping.folder import State, SweepFolder, Training
from shoestring.sweeping.optuna_study import OptunaStudy
from shoestring.sweeping.plan import known_points
from shoestring.sweeping.space import Point
from shoestring.training.loop import Watch


class Proposals(Protocol):
    """A source of points."""

    def points(self) -> Mapping[int, Point]:
        """Those there are so far, by number."""
        ...

    def exhausted(self) -> bool:
        """Whether there are as many as are to be tried."""
        ...

    def ask(self) -> bool:
        """Adds a point, unless there are enough; false where it does not, as when another process is at it."""
        ...

    def tell(self, number: int, state: State, values: Sequence[float]) -> None:
        """What came of a point whose trainings have ended; heard once, however often it is said."""
        ...

    def watch(self, training: Training) -> Watch | None:
        """What may stop a training; None where nothing does."""
        ...


class KnownPoints:
    """Every point of a grid, or random ones: functions of the plan."""

    def __init__(self, folder: SweepFolder) -> None:
        self._points = dict(enumerate(known_points(folder.plan, folder.recipe.seed)))

    def points(self) -> Mapping[int, Point]:
        """All."""
        return self._points

    def exhausted(self) -> bool:
        """They are all there from the start."""
        return True

    def ask(self) -> bool:
        """There are no others."""
        return False

    def tell(self, number: int, state: State, values: Sequence[float]) -> None:
        """Nothing depends on it."""

    def watch(self, training: Training) -> Watch | None:
        """Nothing is stopped."""
        return None


def open_proposals(folder: SweepFolder) -> Proposals:
    """The source of points that a sweep's plan asks for.

    Raises:
        ShoestringError: It asks for Optuna, which is not installed.
    """
    if folder.plan.searched in ("grid", "random"):
        return KnownPoints(folder)
    return OptunaStudy(folder)
