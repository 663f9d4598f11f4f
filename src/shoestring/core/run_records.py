"""What the JSON files of a run hold, as far as a run itself reads them; the rest of them is kept as it is."""

from typing import Any

from pydantic import BaseModel, TypeAdapter

from shoestring.core.budget import Layer


class LogRecord(BaseModel):
    """What every record of a log has, among other things; means and deviations where it is of several steps."""

    step: int
    kind: str
    mean: dict[str, Any] = {}
    std: dict[str, Any] = {}
    deviation: dict[str, Any] = {}
    """What version 0.1 called `std`."""


class Link(BaseModel):
    """What every link of a chain of checkpoints has, among other things."""

    step: int
    sha256: str
    log: str = ""


class Session(BaseModel):
    """What is read of a stretch of time in which a run was trained."""

    from_step: int = 0
    to_step: int = 0
    seconds: float = 0.0


class Environment(BaseModel):
    """What a run was trained with."""

    sessions: list[Session] = []


class Autotuned(BaseModel):
    """The engine that was the fastest on a device, among other things."""

    chosen: dict[str, Any]


LAYERS = TypeAdapter(list[Layer])
METRICS = TypeAdapter(dict[str, dict[str, dict[str, Any]]])
"""Split -> name -> metric."""
OVERRIDES = TypeAdapter(dict[str, list[Any]])
ENVIRONMENT, LOG, CHAIN = TypeAdapter(Environment), TypeAdapter(list[LogRecord]), TypeAdapter(list[Link])
AUTOTUNED = TypeAdapter(Autotuned)
