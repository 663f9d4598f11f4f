"""The table of all single-number metrics."""

import re
from dataclasses import dataclass
from typing import Any

from shoestring.report.format import ABSENT, integer, interval, is_number, number, percent, plain
from shoestring.report.run_data import RecordedMetric, RunData

_NAMES = {
    "accuracy": "accuracy",
    "top5_accuracy": "top-5 accuracy",
    "majority_baseline": "always the most frequent class",
    "batch_accuracy": "accuracy of a mini-batch",
    "calibration_error": "expected calibration error",
    "loss": "loss",
    "fid": "FID",
    "kid": "KID",
    "cifar_resnet_fd": "CIFAR-ResNet FD",
    "frac_constant_paths": "fraction of constant paths",
    "max_over_mean_step": "largest over mean step",
}
_OF_FEATURES = re.compile(r"(?P<name>\w+?)_(?P<dimensions>\d+)_(?P<resizing>clean|legacy)(?P<infinite>_infinite)?")
_PROVENANCE = ("source", "measured", "computed_by")
_COLUMNS = ("interval", "std", "n", "real_baseline", "gap_to_real")


@dataclass(frozen=True)
class MetricRow:
    """A row of the table, worded.

    Attributes:
        split: The split it was measured on.
        name: Its name in words.
        value: The value, with its unit.
        cells: Its uncertainty and context, in the order of the table's columns.
        notes: All else that was recorded.
    """

    split: str
    name: str
    value: str
    cells: list[str]
    notes: str


@dataclass(frozen=True)
class MetricTable:
    """The rows, those columns that at least one row fills, and what computed them from what, split by split."""

    columns: list[str]
    rows: list[MetricRow]
    provenance: list[str]


def in_percent(name: str) -> bool:
    """Whether a metric of this name is a fraction that is shown in percent."""
    return name.endswith("accuracy") or name in ("calibration_error", "majority_baseline")


def title(name: str) -> str:
    """A metric's name in words: "top5_accuracy" is "top-5 accuracy", "fid_768_clean" is "FID (768, clean)"."""
    parts = _OF_FEATURES.fullmatch(name.lower())
    if parts is not None:
        which = f"{parts['dimensions']}, {parts['resizing']}"
        return f"{title(parts['name'])} ({which}{', for endless samples' if parts['infinite'] else ''})"
    return _NAMES.get(name.lower(), name.replace("_", " ").replace("/", " ").replace("cifar resnet", "CIFAR-ResNet"))


def shown(name: str, value: Any) -> str:
    """A metric's value in its unit."""
    return percent(value, 2) if in_percent(name) else number(value)


def metric_table(run_data: RunData) -> MetricTable:
    """Every metric that is a number, not defined, or an object of numbers; split by split."""
    metrics = [single for metric in run_data.metrics for single in _singles(metric)]
    columns = [column for column in _COLUMNS if any(one.rest.get(column) is not None for one in metrics)]
    rows = [
        MetricRow(
            split=one.split,
            name=title(one.name),
            value=shown(one.name, one.value),
            cells=[_cell(one, column) for column in columns],
            notes="; ".join(
                plain(value).rstrip(".") if key in ("note", "caution") else f"{key.replace('_', ' ')} {_short(value)}"
                for key, value in one.rest.items()
                if key not in (*_COLUMNS, *_PROVENANCE, "features")
                and not (value is None or isinstance(value, dict | list) or (key == "n_real" and value == one.n))
            ),
        )
        for one in metrics
    ]
    return MetricTable(columns, rows, _provenance(metrics, run_data.origins))


def _provenance(metrics: list[RecordedMetric], origins: dict[str, str]) -> list[str]:
    said = [f"{split}: {origin}" for split, origin in origins.items()]
    for one in metrics:
        known = [f"{key.replace('_', ' ')} {plain(one.rest[key])}" for key in _PROVENANCE if one.rest.get(key)]
        if known:
            said.append(f"{one.split}: {', '.join(known)}")
    extractors = dict.fromkeys(str(one.rest["features"]) for one in metrics if one.rest.get("features"))
    said += [f"features of {plain(name)}" for name in extractors]
    return list(dict.fromkeys(said))


def _singles(metric: RecordedMetric) -> list[RecordedMetric]:
    if metric.value is None or is_number(metric.value):
        return [metric]
    if not isinstance(metric.value, dict):
        return []
    inner: list[RecordedMetric] = []
    for name, value in metric.value.items():  # pyright: ignore[reportUnknownVariableType]
        found: dict[str, Any] = value if isinstance(value, dict) else {"value": value}  # pyright: ignore[reportUnknownVariableType]
        if is_number(found.get("value")):
            rest = metric.rest | {key: item for key, item in found.items() if key != "value"}
            inner.append(RecordedMetric(metric.split, f"{metric.name}: {name}", found["value"], rest))
    return inner


def _cell(one: RecordedMetric, column: str) -> str:
    value = one.rest.get(column)
    if value is None:
        return ABSENT
    if column == "n":
        return integer(value)
    return interval(value, in_percent=in_percent(one.name)) if column == "interval" else shown(one.name, value)


def _short(value: Any) -> str:
    """Long hashes by their first ten digits."""
    text = plain(value)
    return text[:10] + "…" if len(text) >= 32 and all(letter in "0123456789abcdef" for letter in text) else text
