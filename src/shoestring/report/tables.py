"""The tables of what a run is made of: layers, recipe, environment, sessions."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from shoestring.report.format import ABSENT, duration, integer, large, plain
from shoestring.report.run_data import Json, RunData, as_object


@dataclass(frozen=True)
class LayerRow:
    """A row of the layer table; a sum when it has no type.

    Attributes:
        name: The layer, or the net whose sum it is.
        type: What it is.
        output: Shape of its output for one image.
        parameters: Its parameters.
        fraction: Its fraction of all parameters.
        multiply_adds: Multiply-accumulate operations for one image.
        arithmetic: Its fraction of all multiply-accumulate operations.
    """

    name: str
    type: str
    output: str
    parameters: int
    fraction: float
    multiply_adds: int
    arithmetic: float


@dataclass(frozen=True)
class Field:
    """A field of the recipe: its dotted name, its value, and the value it replaces, empty when unchanged."""

    name: str
    value: str
    before: str = ""


def layer_rows(run_data: RunData) -> list[LayerRow]:
    """The layer table with fractions of parameters and of arithmetic."""
    parameters = sum(layer.parameters for layer in run_data.layers) or 1
    work = sum(layer.multiply_adds for layer in run_data.layers) or 1
    return [
        LayerRow(
            name=layer.name,
            type=layer.type,
            output=" × ".join(f"{size:,}" for size in layer.output),
            parameters=layer.parameters,
            fraction=layer.parameters / parameters,
            multiply_adds=layer.multiply_adds,
            arithmetic=layer.multiply_adds / work,
        )
        for layer in run_data.layers
    ]


def layer_sums(run_data: RunData) -> list[LayerRow]:
    """The sum of each net where there are several, then the total."""
    rows = layer_rows(run_data)
    nets = list(dict.fromkeys(row.name.split(".")[0] for row in rows))
    groups = {net: [row for row in rows if row.name.split(".")[0] == net] for net in nets} if len(nets) > 1 else {}
    return [
        LayerRow(
            name=name,
            type="",
            output="",
            parameters=sum(row.parameters for row in group),
            fraction=sum(row.fraction for row in group),
            multiply_adds=sum(row.multiply_adds for row in group),
            arithmetic=sum(row.arithmetic for row in group),
        )
        for name, group in [*groups.items(), ("total", rows)]
        if group
    ]


def recipe_fields(run_data: RunData) -> dict[str, list[Field]]:
    """The recipe as dotted fields, by part; fields that differ from the named recipe's say what they were."""
    parts: dict[str, list[Field]] = {}
    for key, value in run_data.recipe.items():
        if key not in ("name", "base", "summary", "published"):
            group = key if isinstance(value, dict) else "training"
            parts.setdefault(group, []).extend(
                Field(name.removeprefix(f"{key}."), plain(item), _before(run_data, name))
                for name, item in flat(key, value)
            )
    return parts


def flat(name: str, value: Any) -> list[tuple[str, Any]]:
    """A JSON value as dotted names with values that are no objects."""
    if isinstance(value, dict) and value:
        return [pair for key, item in value.items() for pair in flat(f"{name}.{key}" if name else key, item)]  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    return [(name, None if value == {} else value)]


def _before(run_data: RunData, name: str) -> str:
    """The value a field had; a whole part may have been replaced, then the part's kind says enough."""
    if name in run_data.overrides:
        return plain(run_data.overrides[name][0])
    part = run_data.overrides.get(name.split(".")[0])
    return plain(part[0].get("kind")) if part and isinstance(part[0], dict) and name.endswith(".kind") else ""  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]


def environment(run_data: RunData) -> list[tuple[str, str]]:
    """Versions, commit, machine, wall time and speed; what differed from start to start, in that order."""
    known = run_data.environment
    starts = [one for one in run_data.sessions if "machine" in one] or [known]  # version 0.1: the last start's only
    rows = _over(starts, "versions")
    for name in ("system", "commit"):
        values = dict.fromkeys(str(one[name]) for one in starts if one.get(name))
        rows += [(name, ", ".join(values))] if values else []
    rows += _over(starts, "machine")
    if run_data.seconds is not None:
        rows.append(("wall time", duration(run_data.seconds)))
    if known.get("training_seconds") is not None:
        rows.append(("training time", duration(known["training_seconds"])))
    if speed := throughput(run_data):
        rows.append(("training speed", f"{integer(speed)} images/s (median)"))
    if run_data.multiply_adds:
        views = f", for {run_data.views} views" if run_data.views > 1 else ""
        rows.append(("multiply-adds per image", f"{large(run_data.multiply_adds)}{views}"))
    return rows


def _over(starts: Sequence[Json], part: str) -> list[tuple[str, str]]:
    """What was recorded of a part of each start of a training; those that differ one after the other."""
    found: dict[str, dict[str, None]] = {}
    for one in starts:
        for name, value in as_object(one.get(part)).items():
            if value is not None:
                found.setdefault(str(name), {})[plain(value)] = None
    return [(name, ", ".join(values)) for name, values in found.items()]


def throughput(run_data: RunData) -> float | None:
    """The median of the logged images per second."""
    speeds = sorted(record["images_per_second"] for record in run_data.log if record.get("images_per_second"))
    return speeds[len(speeds) // 2] if speeds else None


def sessions(run_data: RunData) -> list[tuple[str, str, str, str]]:
    """When each session started, its steps, its wall time, and its steps per second."""
    return [
        (
            str(one.get("started", ABSENT))[:16].replace("T", " "),
            f"{integer(one.get('from_step'))} to {integer(one.get('to_step'))}",
            duration(one.get("seconds")),
            _speed(one),
        )
        for one in run_data.sessions
    ]


def _speed(session: dict[str, Any]) -> str:
    seconds, steps = session.get("seconds"), session.get("to_step", 0) - session.get("from_step", 0)
    return f"{steps / seconds:,.1f}" if seconds else ABSENT
