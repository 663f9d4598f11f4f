"""A sweep's folder: what was planned, a run for each training, and what came of it. Alone knows its file names."""

import uuid
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from pydantic import TypeAdapter

from shoestring.core.checked import checked
from shoestring.core.errors import RunError
from shoestring.core.record_folder import RecordFolder
from shoestring.core.run import Run
from shoestring.core.run_records import Record
from shoestring.model.code import keep_code
from shoestring.model.load import recipe_of
from shoestring.recipes.recipe import Recipe
from shoestring.sweeping.claims import Claims
from shoestring.sweeping.plan import Measure, Plan
from shoestring.sweeping.space import Point

GROWING = ("trials", "seeds", "confirm", "prune")
"""What may change when a sweep goes on: points and seeds that were trained stay what they are."""

State = Literal["open", "finished", "failed", "pruned"]


@dataclass(frozen=True)
class Training:
    """One training of a sweep.

    Attributes:
        number: Of the point, from 0.
        seed: Its seed.
        confirms: Whether it is of the chosen point, with a seed that the choice did not see.
    """

    number: int
    seed: int
    confirms: bool = False

    @property
    def name(self) -> str:
        """Names its run, its claims and its outcome."""
        return f"{'best' if self.confirms else 'point'}-{self.number:04d}-seed-{self.seed}"


@dataclass(frozen=True)
class Outcome:
    """What came of a training.

    Attributes:
        state: Whether it is finished, or why it never will be.
        value: The measure after the last step; None of one that is not finished.
        step: Steps taken.
        seconds: Spent training.
        reason: Why it failed or was stopped.
    """

    state: State
    value: float | None
    step: int
    seconds: float
    reason: str = ""


class Planned(Record):
    """What sweep.json holds."""

    plan: dict[str, Any]
    fingerprint: str
    storage: str | None
    study: str


POINT = TypeAdapter(Point)
OUTCOME = TypeAdapter(Outcome)
PLANNED = TypeAdapter(Planned)
PLAN = TypeAdapter(Plan)
NOT_ENDED = Outcome("open", None, 0, 0.0)


@dataclass(frozen=True)
class SweepFolder(RecordFolder):
    """The folder; every write is atomic, so a process that ends anywhere leaves nothing that others trip over."""

    # What was planned

    def exists(self) -> bool:
        """Whether a sweep is planned here."""
        return (self.folder / "sweep.json").is_file()

    def begin(self, plan: Plan, recipe: Recipe, storage: str | None) -> None:
        """Records a plan, or goes on with the same one.

        Args:
            plan: What is varied.
            recipe: What of.
            storage: URL of the database that Optuna keeps its study in; None for a file in this folder.

        Raises:
            RunError: Another sweep was begun here.
        """
        values: dict[str, Any] = {
            "plan": plan.model_dump(mode="json"),
            "fingerprint": recipe.fingerprint(),
            "storage": storage,
            "study": f"shoestring-{recipe.name}-{uuid.uuid4().hex[:12]}",  # others may use the same database
        }
        if not self.exists():
            keep_code(self.base, recipe)
            self.base.write_recipe(recipe.to_json(), [], {})
            self._create("sweep.json", values)
        there = self._planned()
        if there["study"] != values["study"]:  # it was begun before, or by another machine a moment ago
            old, new = (_lasting(one) for one in (there, values))
            if old != new:
                differing = [_differing(key, old.get(key), new[key]) for key in new if old.get(key) != new[key]]
                raise RunError(
                    f"{self.folder} holds another sweep ({'; '.join(differing)}). Name another folder with --out, or "
                    f"go on with that one: shoestring sweep --join {self.folder}"
                )
            # Points are numbered in the order in which the fields were first given.
            grown = {key: values["plan"][key] for key in GROWING}
            self.write_json("sweep.json", there | {"plan": there["plan"] | grown})

    @property
    def base(self) -> Run:
        """The recipe that is varied with its code, in the form of a run without a step."""
        return Run(self.folder / "base")

    @cached_property
    def recipe(self) -> Recipe:
        """The recipe that is varied.

        Raises:
            RunError: It has code that this user has not allowed to run.
        """
        return recipe_of(self.base)

    @cached_property
    def plan(self) -> Plan:
        """The plan.

        Raises:
            RunError: No sweep was begun here.
        """
        return checked(PLAN, self._planned()["plan"], self.folder / "sweep.json")

    @property
    def storage(self) -> str | None:
        """URL of the database of Optuna's study; None where it is a file of this folder."""
        return self._planned()["storage"]

    @property
    def study_name(self) -> str:
        """What Optuna's study is called there."""
        return self._planned()["study"]

    @property
    def journal(self) -> Path:
        """Optuna's study, where no database was named."""
        return self.folder / "study.log"

    @property
    def measure(self) -> Measure:
        """What points are compared by."""
        return self.plan.measured(self.recipe)

    @property
    def claims(self) -> Claims:
        """Who trains what."""
        return Claims(self.folder / "claims")

    # Points that a sampler proposed

    def proposed(self, known: Collection[int] = ()) -> dict[int, Point]:
        """The points that were proposed so far, by number, without those that are known."""
        files = {int(file.stem): file for file in (self.folder / "points").glob("[0-9]*.json")}
        return {
            number: self.read_as(f"points/{file.name}", POINT, {})
            for number, file in sorted(files.items())
            if number not in known
        }

    def write_point(self, number: int, point: Point) -> None:
        """Records a proposed point."""
        self.write_json(f"points/{number:04d}.json", point)

    # Trainings

    def run(self, training: Training) -> Run:
        """Where it is trained."""
        return Run(self.folder / "runs" / training.name)

    def begun(self) -> set[str]:
        """The names of trainings of which there is anything, by one look at the folder, however many there are."""
        return {path.stem for part in ("runs", "ended") for path in (self.folder / part).glob("*-seed-*")}

    def outcome(self, training: Training) -> Outcome:
        """What came of a training so far."""
        ended = self.read_as(f"ended/{training.name}.json", OUTCOME, NOT_ENDED)
        run = self.run(training)
        if ended is not NOT_ENDED:
            return ended
        if not run.has_weights():
            return NOT_ENDED
        step, value = final_measure(run, self.measure)
        seconds = run.environment().get("training_seconds", 0.0)
        return (
            Outcome("finished", value, step, seconds)
            if value is not None
            else Outcome("failed", None, step, seconds, f"its log has no {self.measure} of step {step:,}")
        )

    def tune_digest(self, training: Training) -> str | None:
        """A hash of the tune images that a training was measured on; None where it is not known."""
        run = self.run(training)
        known: dict[str, Any] = run.read_json("splits.json") if (run.folder / "splits.json").is_file() else {}
        return known["tune"]["digest"] if "tune" in known else None

    def end(self, training: Training, state: State, reason: str) -> None:
        """Records that a training will never be finished, and why."""
        run = self.run(training)
        log = run.log("train")
        seconds = sum(record["seconds"] for record in log)
        step = log[-1]["step"] if log else 0
        self.write_json(f"ended/{training.name}.json", vars(Outcome(state, None, step, seconds, reason)))

    def reopen(self) -> None:
        """Forgets which trainings failed, so that they are tried again from their last checkpoint."""
        for file in (self.folder / "ended").glob("*.json"):
            if self.read_as(f"ended/{file.name}", OUTCOME, NOT_ENDED).state == "failed":
                file.unlink()

    # Results

    @property
    def best_file(self) -> Path:
        """The recipe of the best point, ready to train."""
        return self.folder / "best.toml"

    def write_results(self, results: Mapping[str, Any]) -> None:
        """Records the table."""
        self.write_json("results.json", results)

    def worker_log(self, number: int) -> Path:
        """What a worker process of this machine says."""
        folder = self.folder / "workers"
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"worker-{number}.log"

    def _planned(self) -> dict[str, Any]:
        found = self.read_held("sweep.json", PLANNED, None)
        if found is None:
            raise RunError(f"{self.folder} holds no sweep; give the folder that `shoestring sweep --out` wrote")
        return found

    def _create(self, name: str, values: Mapping[str, Any]) -> None:
        """Writes a file unless it is there: of several machines that do so at once, one does."""
        whole = self.folder / f".{name}.{uuid.uuid4().hex}"
        self.write_json(whole.name, values)
        try:
            (self.folder / name).hardlink_to(whole)
        except FileExistsError:
            pass
        except OSError:  # a file system without links
            whole.replace(self.folder / name)
        finally:
            whole.unlink(missing_ok=True)


def final_measure(run: Run, measure: Measure) -> tuple[int, float | None]:
    """The step of the last record of a log and the measure then; None if it was not taken then."""
    log = run.log()
    step = log[-1]["step"] if log else 0
    found = [record["mean"].get(measure) for record in log if record["step"] == step and record["kind"] != "train"]
    return step, next((value for value in found if value is not None), None)


def _differing(key: str, there: Any, now: Any) -> str:
    """What is another in a plan; of a database no address, which may hold a password."""
    return "storage: another database" if key == "storage" else f"{key} {there} there, {now} now"


def _lasting(values: Mapping[str, Any]) -> dict[str, Any]:
    """What a sweep cannot change when it goes on."""
    plan = {key: value for key, value in values["plan"].items() if key not in GROWING}
    return plan | {"recipe": values["fingerprint"], "storage": values["storage"]}
