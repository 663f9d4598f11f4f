"""What the JSON files of a run hold, as far as it is read and computed with; the rest is kept as it is."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, TypeAdapter

from shoestring.core.budget import Layer


class Record(BaseModel):
    """A part of a file, among other things; text is no number, be it one that could be read."""

    model_config = ConfigDict(strict=True)


class LogRecord(Record):
    """What every record of a log has; means and deviations where it is of several steps."""

    step: int
    kind: str
    count: int = 1
    n: int = 0
    mean: dict[str, float] = {}
    std: dict[str, float] = {}
    deviation: dict[str, float] = {}
    """What version 0.1 called `std`."""
    seconds: float = 0.0
    images_per_second: float = 0.0
    learning_rate: float = 0.0


class Link(Record):
    """A link of a chain of checkpoints."""

    step: int
    sha256: str
    log: str = ""


class Session(Record):
    """A stretch of time in which a run was trained."""

    started: str = ""
    from_step: int = 0
    to_step: int = 0
    seconds: float = 0.0


class Environment(Record):
    """What a run was trained with."""

    sessions: list[Session] = []
    training_seconds: float = 0.0
    nfe: NonNegativeInt | None = None
    evaluations: NonNegativeInt | None = None
    """What version 0.1 called `nfe`."""
    loss_unit: str = "nats"
    machine: dict[str, Any] = {}
    versions: dict[str, Any] = {}


class Measured(Record):
    """What was measured of a metric beside its value, which may be a table."""

    n: int | None = None
    n_real: int | None = None
    interval: Annotated[list[float], Field(min_length=2, max_length=2)] | None = None
    std: float | None = None
    standard_error: float | None = None
    real_baseline: float | None = None
    gap_to_real: float | None = None
    by_seed: list[float] | None = None
    note: str | None = None
    features: str | None = None


class Autotuned(Record):
    """The engine that was the fastest on a device."""

    chosen: dict[str, Any]


LAYERS = TypeAdapter(list[Layer])
METRICS = TypeAdapter(dict[str, dict[str, Measured]])
"""Split -> name -> metric."""
OVERRIDES = TypeAdapter(dict[str, list[Any]])
ENVIRONMENT, LOG, CHAIN = TypeAdapter(Environment), TypeAdapter(list[LogRecord]), TypeAdapter(list[Link])
AUTOTUNED = TypeAdapter(Autotuned)
EXPORT = "export.json"
"""The file that tells of an export, in its folder; those of a run lie in its folder exports/."""
