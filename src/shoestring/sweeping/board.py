"""Which trainings of a sweep are done, which are open, and what is to be done next."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from shoestring.metrics.statistics import Metric, Scale, computed_by, mean
from shoestring.sweeping.claims import Claim
from shoestring.sweeping.folder import NOT_ENDED, Outcome, State, SweepFolder, Training
from shoestring.sweeping.plan import LARGER_IS_BETTER, NEW_SEEDS
from shoestring.sweeping.search import Proposals
from shoestring.sweeping.space import Point

MOST_DEATHS = 3  # of processes that train the same, after which it is taken to kill them

ENDS_A_POINT: tuple[State, ...] = ("failed", "pruned", "open")
"""What keeps a point from being finished, once one of its trainings is so; the first that is found counts."""

SCALES: Mapping[str, Scale] = {"accuracy": "logit", "balanced_accuracy": "logit"}


@dataclass(frozen=True)
class Row:
    """What came of one point.

    Attributes:
        number: Of the point.
        point: The fields that it sets.
        trainings: Its trainings, by seed.
        outcomes: What came of each.
        state: "finished" when all are; "failed" or "pruned" when one is; else "open".
        metric: The mean of the measure over the seeds, with Student's interval; None before all are finished.
    """

    number: int
    point: Point
    trainings: Sequence[Training]
    outcomes: Sequence[Outcome]
    state: State
    metric: Metric | None

    @property
    def reason(self) -> str:
        """Why it failed or was stopped."""
        return next((outcome.reason for outcome in self.outcomes if outcome.state == self.state and outcome.reason), "")


class Board:
    """The trainings of a sweep, as its folder and its source of points have them."""

    def __init__(self, folder: SweepFolder, proposals: Proposals) -> None:
        """Reads nothing yet.

        Args:
            folder: The sweep's.
            proposals: Where its points come from.
        """
        self.folder = folder
        self.proposals = proposals
        self._ended: dict[str, Outcome] = {}
        self._rows: dict[Training, Row] = {}
        self._told: set[int] = set()
        self._tidied: set[str] = set()

    def next(self) -> tuple[Training, Claim] | None:
        """An open training that nobody else is at, with the claim on it; None where there is none now."""
        while True:
            living = self.folder.claims.living()
            for training in self._open():
                claim = None if training.name in living else self._claimed(training)
                if claim:
                    return training, claim
            if self.proposals.exhausted() or not self.proposals.ask():
                return None

    def complete(self) -> bool:
        """Whether nothing is left to train, and nothing will be."""
        return self.proposals.exhausted() and not self._open()

    def count(self) -> tuple[int, int]:
        """How many trainings have ended or are spared, and how many were planned, those that confirm included."""
        plan, rows = self.folder.plan, self.rows()
        planned = max(plan.trials or 0, len(rows)) * plan.seeds
        to_come = planned - len(rows) * plan.seeds
        left = to_come + sum(len(self._left(row)) for row in rows if row.state == "open")
        confirmation = self.confirmation() if not left else None
        if confirmation and confirmation.state == "open":
            left_after = len(self._left(confirmation))
        else:
            left_after = plan.confirm if left else 0
        return planned + plan.confirm - left - left_after, planned + plan.confirm

    def rows(self) -> list[Row]:
        """What came of every point so far, by number."""
        seeds = [self.folder.recipe.seed + index for index in range(self.folder.plan.seeds)]
        points, begun = self.proposals.points(), self._look()
        return [
            self._row(number, points[number], [Training(number, seed) for seed in seeds], begun)
            for number in sorted(points)
        ]

    def mean_seconds(self) -> float | None:
        """What a finished training took on average, in seconds; None before the first."""
        taken = [outcome.seconds for outcome in self._ended.values() if outcome.state == "finished"]
        return sum(taken) / len(taken) if taken else None

    def best(self) -> Row | None:
        """The point with the best mean of those that are finished; the first of equals."""
        finished = [row for row in self.rows() if row.metric is not None]
        sign = -1 if LARGER_IS_BETTER[self.folder.measure] else 1
        return min(finished, key=lambda row: sign * row.metric.value if row.metric else 0.0, default=None)

    def confirmation(self) -> Row | None:
        """What came of the best point with new seeds; None before the search is over, or where none are wanted."""
        confirm = self.folder.plan.confirm
        best = self.best() if confirm and not self._searching() else None
        if best is None:
            return None
        first = self.folder.recipe.seed + NEW_SEEDS
        trainings = [Training(best.number, first + index, confirms=True) for index in range(confirm)]
        return self._row(best.number, best.point, trainings, self._look())

    def _open(self) -> list[Training]:
        """The trainings that are left, of the search or, when that is over, of its best point."""
        rows = self.rows()
        self._settle(rows)
        by_point = [self._left(row) for row in rows if row.state == "open"]
        if by_point:
            # One seed after the other, so that all points are known a little before any is known well.
            return sorted((one for left in by_point for one in left), key=lambda one: (one.seed, one.number))
        confirmation = self.confirmation()
        return self._left(confirmation) if confirmation and confirmation.state == "open" else []

    def _searching(self) -> bool:
        return not self.proposals.exhausted() or any(row.state == "open" for row in self.rows())

    def _left(self, row: Row) -> list[Training]:
        pairs = zip(row.trainings, row.outcomes, strict=True)
        return [training for training, outcome in pairs if outcome.state == "open"]

    def _look(self) -> set[str]:
        """The names of trainings that were begun and are not known to have ended; tidies up after those that have."""
        if ended := self._ended.keys() - self._tidied:
            self.folder.claims.forget(ended)
            self._tidied |= ended
        return self.folder.begun() - self._ended.keys()

    def _row(self, number: int, point: Point, trainings: Sequence[Training], begun: set[str]) -> Row:
        if trainings[0] in self._rows:
            return self._rows[trainings[0]]
        outcomes = [self._outcome(training, begun) for training in trainings]
        states = {outcome.state for outcome in outcomes}
        values = [outcome.value for outcome in outcomes if outcome.value is not None]
        ends: list[State] = [one for one in ENDS_A_POINT if one in states]
        state: State = ends[0] if ends else "finished"
        metric = None
        if state == "finished":
            scale = SCALES.get(self.folder.measure, "log")
            metric = mean(torch.tensor(values, dtype=torch.float64), computed_by(__name__), scale=scale)
        row = Row(number, point, trainings, outcomes, state, metric)
        if "open" not in states:
            self._rows[trainings[0]] = row
        return row

    def _outcome(self, training: Training, begun: set[str]) -> Outcome:
        """What came of a training; what has ended is read once, what was not begun never."""
        name = training.name
        if name in begun:
            outcome = self.folder.outcome(training)
            if outcome.state == "open":
                return outcome
            self._ended[name] = outcome
        return self._ended.get(name, NOT_ENDED)

    def _claimed(self, training: Training) -> Claim | None:
        claims, folder = self.folder.claims, self.folder
        deaths = claims.deaths(training.name)
        if deaths >= MOST_DEATHS:
            folder.end(training, "failed", f"{deaths} processes that trained it died, for want of memory perhaps")
            return None
        claim = claims.take(training.name)
        if claim and folder.outcome(training).state != "open":  # it ended between our looking and our taking
            return None
        return claim

    def _settle(self, rows: Sequence[Row]) -> None:
        """Tells the source of points what came of those that have ended."""
        for row in rows:
            if row.state != "open" and row.number not in self._told:
                values = [outcome.value for outcome in row.outcomes if outcome.value is not None]
                self.proposals.tell(row.number, row.state, values)
                self._told.add(row.number)
