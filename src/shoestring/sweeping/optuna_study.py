"""Points proposed by Optuna: its samplers choose the next, its pruners stop those that are behind."""

import json
import statistics
import warnings
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from shoestring.core.errors import ShoestringError
from shoestring.core.rng import derive
from shoestring.optim.lr_schedule import Constant
from shoestring.sweeping.folder import State, SweepFolder, Training
from shoestring.sweeping.plan import LARGER_IS_BETTER, Search
from shoestring.sweeping.space import Axis, Point, Range
from shoestring.training.loop import Watch

NEEDED: Mapping[str, tuple[str, ...]] = {"tpe": ("optuna",), "gp": ("optuna", "scipy"), "cma-es": ("optuna", "cmaes")}
"""The packages that each sampler stands on."""

PRUNE_FROM, PRUNE_ANNEALED_FROM = 0.25, 0.75
"""Fraction of the steps before which nothing is stopped: where the learning rate falls, only when it has."""

ASKING = "asking"  # the claim that one process at a time has, to propose a point


def require_sampler(search: Search) -> None:
    """Does nothing where what a sampler needs is installed.

    Raises:
        ShoestringError: It is not; says how to install it.
    """
    missing = [name for name in NEEDED[search] if find_spec(name) is None]
    if missing:
        what = "'shoestring[sweep]'" if missing[0] == "optuna" else missing[0]
        raise ShoestringError(f"--search {search} needs {' and '.join(missing)}: pip install {what}")


def open_database(url: str) -> Any:
    """The database of a study, made ready where it is empty.

    Args:
        url: As SQLAlchemy takes it, such as sqlite:///study.db or postgresql://host/name.

    Raises:
        ShoestringError: It is no URL, its driver is not installed, or nothing answers there.
    """
    optuna: Any = import_module("optuna")  # an extra, which may not be there
    try:
        return optuna.storages.RDBStorage(url)
    except Exception as error:  # whatever SQLAlchemy and the many drivers raise; none of it shows a password
        said = str(error).strip().partition("\n")[0]
        raise ShoestringError(f"--storage: that database does not open ({type(error).__name__}: {said})") from error


class OptunaStudy:
    """An Optuna study in a sweep's folder, or in a database, that any number of processes share.

    What was trained is known from the runs alone. The study follows: what it has not heard yet, it is told again.
    """

    def __init__(self, folder: SweepFolder) -> None:
        """Opens the study; makes it where there is none.

        Raises:
            ShoestringError: Optuna or what else the sampler needs is not installed.
        """
        require_sampler(folder.plan.searched)
        self._optuna: Any = import_module("optuna")  # an extra, which may not be there
        self.folder = folder
        self._points: dict[int, Point] = {}
        self._heard: set[int] = set()
        self._optuna.logging.set_verbosity(self._optuna.logging.WARNING)
        self.study = self._optuna.create_study(
            storage=self._storage(),
            study_name=folder.study_name,
            direction="maximize" if LARGER_IS_BETTER[folder.measure] else "minimize",
            pruner=self._pruner(),
            load_if_exists=True,
        )

    def points(self) -> Mapping[int, Point]:
        """Those that were proposed so far; what is known is not read again."""
        self._points |= self.folder.proposed(self._points.keys())
        return self._points

    def exhausted(self) -> bool:
        """Whether as many points as planned are there."""
        return len(self.points()) >= (self.folder.plan.trials or 0)

    def ask(self) -> bool:
        """Adds a point, which other processes see at once; false where another one is at it."""
        claim = self.folder.claims.take(ASKING)
        if claim is None:
            return False
        with claim:
            known = self.points().keys()
            if self.exhausted():
                return False
            begun = [one.number for one in self.study.get_trials(deepcopy=False) if one.number not in known]
            number = min(begun, default=None)  # of one who was killed before the point was written
            self.study.sampler = self._sampler(len(known))
            trial = self.study.ask() if number is None else self._trial(number)
            point = {field: value for axis in self.folder.plan.axes for field, value in _suggest(trial, axis).items()}
            self.folder.write_point(trial.number, point)
        return True

    def tell(self, number: int, state: State, values: Sequence[float]) -> None:
        """Tells the study what came of a point, unless it knows."""
        if number in self._heard:
            return
        states = self._optuna.trial.TrialState
        known = {"finished": states.COMPLETE, "pruned": states.PRUNED}
        value = statistics.fmean(values) if state == "finished" else None
        self.study.tell(number, value, state=known.get(state, states.FAIL), skip_if_finished=True)
        self._heard.add(number)

    def watch(self, training: Training) -> Watch | None:
        """Stops the first training of a point when the pruner says that it is behind; the others are not compared."""
        if self.folder.plan.prune == "none" or training.confirms or training.seed != self.folder.recipe.seed:
            return None
        trial, steps = self._trial(training.number), self.folder.recipe.budget.steps
        annealed = not isinstance(self.folder.recipe.schedule, Constant)
        first = steps * (PRUNE_ANNEALED_FROM if annealed else PRUNE_FROM)

        def watch(step: int, measures: Mapping[str, float]) -> bool:
            if self.folder.measure not in measures:  # at a look that takes others; at the end, the outcome says so
                return False
            with warnings.catch_warnings(action="ignore"):  # of a step that was reported before the run was resumed
                trial.report(measures[self.folder.measure], step)
            return step >= first and trial.should_prune()

        return watch

    def _storage(self) -> Any:
        if self.folder.storage:
            return open_database(self.folder.storage)
        storages = self._optuna.storages
        return storages.JournalStorage(storages.journal.JournalFileBackend(str(self.folder.journal)))

    def _pruner(self) -> Any:
        pruners = self._optuna.pruners
        made = {"none": pruners.NopPruner, "median": pruners.MedianPruner, "halving": pruners.SuccessiveHalvingPruner}
        return made[self.folder.plan.prune]()

    def _sampler(self, number: int) -> Any:
        """A sampler whose draws are a function of the seed and of how many points there are, so none has a memory."""
        samplers, seed = self._optuna.samplers, derive(self.folder.recipe.seed, "sweep", number) % 2**32
        with warnings.catch_warnings(action="ignore"):  # that an option is experimental
            if self.folder.plan.searched == "tpe":
                return samplers.TPESampler(seed=seed, multivariate=True, constant_liar=True)
            return {"gp": samplers.GPSampler, "cma-es": samplers.CmaEsSampler}[self.folder.plan.searched](seed=seed)

    def _trial(self, number: int) -> Any:
        """A trial that another process may have begun, by number; Optuna knows it by another one."""
        found = next(one for one in self.study.get_trials(deepcopy=False) if one.number == number)
        return self._optuna.trial.Trial(self.study, getattr(found, "_trial_id"))  # noqa: B009 - there is no other way


def _suggest(trial: Any, axis: Axis) -> Point:
    """What the sampler gives the fields of an axis."""
    if isinstance(axis, Range):
        suggest = trial.suggest_int if axis.whole else trial.suggest_float
        low, high = (int(axis.low), int(axis.high)) if axis.whole else (axis.low, axis.high)
        return axis.point(suggest(axis.name, low, high, log=axis.log))
    words = [json.dumps(row[0] if len(row) == 1 else row) for row in axis.rows]
    return axis.points()[words.index(trial.suggest_categorical(axis.name, words))]
