"""Names that version 0.1 had in recipes and in files of runs, and their names of today; read until version 0.3."""

from collections.abc import Mapping
from typing import Any, cast

RECIPE_KEYS: Mapping[str, str] = {
    "budget.evaluations": "budget.nfe",
    "engine.trial": "engine.autotune",
    "published.measure": "published.metric",
    "task.penalised": "task.penalty_fraction",
    "task.time_deviation": "task.time_std",
    "task.data_deviation": "task.data_std",
    "task.sampling.refinements": "task.sampling.pixel_ascent_steps",
    "task.sampling.step_size": "task.sampling.pixel_ascent_step_size",
}
RECIPE_VALUES: Mapping[tuple[str, str], str] = {
    ("schedule.kind", "trapezoid"): "wsd",
}
REMOVED: Mapping[str, tuple[Any, ...]] = {
    "task.whitening": (0,),
    "task.sampling.candidates": (1,),
    "task.sampling.guide": ("unconditional", "classless"),
}
"""Fields that are gone, with the values that need no field now."""
FORGOTTEN: Mapping[str, str] = {
    **dict.fromkeys(("task.weak_share", "task.weak_fraction"), "a training from here on goes without it"),
    **dict.fromkeys(
        ("task.sampling.smoothing", "task.sampling.pixel_ascent_smoothing"),
        "pixel ascent follows the gradient as it is, so images differ a little from those of before",
    ),
    **dict.fromkeys(
        ("task.sampling.langevin_steps", "task.sampling.latent_steps"),
        "latent vectors take no Langevin steps, so images differ from those of before",
    ),
    **dict.fromkeys(
        ("task.sampling.langevin_step_size", "task.sampling.latent_step_size", "task.sampling.temperature"),
        "",
    ),
}
"""Fields that are gone whatever their value was, with what follows, if anything; models that have them do without."""

METRICS: Mapping[str, str] = {
    "fast_distance": "cifar_resnet_fd",
    "still_paths": "frac_constant_paths",
    "longest_step": "max_over_mean_step",
    "real_slope": "real_squared_gradient",
    "fake_slope": "fake_squared_gradient",
    **{
        f"{name}_fast": f"{name}_cifar_resnet"
        for name in (
            "memorised",
            "nearer_than_held_out",
            "diversity",
            "pairwise_distance",
            "pairwise_distance_real",
        )
    },
}
"""Names of metrics, in logs and evaluations."""

FIELDS: Mapping[str, str] = {
    "deviation": "std",
    "floor": "real_baseline",
    "excess": "gap_to_real",
    "evaluations": "nfe",
    "averages": "ema",
}
"""Fields of a metric, of a log's record and of other files."""


def upgraded_recipe(values: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """A recipe's values under today's names, and a sentence for each name that was another.

    Args:
        values: Nested, as in a recipe file; fields may be left out.
    """
    said: list[str] = []
    return _with_anneal(_upgraded_part(values, "", said), said), said


def _with_anneal(values: dict[str, Any], said: list[str]) -> dict[str, Any]:
    """Numbers that changed over the steps by fields of their own, as schedules of these numbers."""
    parts = {name: cast(dict[str, Any], part) for name, part in values.items() if isinstance(part, dict)}
    task, augment, anneal = (parts.get(name, {}) for name in ("task", "augment", "anneal"))
    new: dict[str, Any] = {}
    if task.get("noise_decay", 1) != 1:
        new["task.instance_noise"] = {"kind": "step-decay", "decay": task["noise_decay"], "every": 1}
    if fade := augment.get("fade", 0):
        new["augment.strength"] = {"kind": "ramp", "end": augment.get("faded", 0.5), "over": [1 - fade, 1.0]}
    said += [f"{field} has a schedule in anneal now, which its own field was before" for field in new]
    found = dict(values)
    for name, fields in (("task", ("noise_decay",)), ("augment", ("fade", "faded"))):
        if name in parts:
            found[name] = {key: value for key, value in parts[name].items() if key not in fields}
    return found | {"anneal": anneal | new} if new else found


def upgraded_overrides(values: Mapping[str, Any]) -> dict[str, Any]:
    """Overrides, {dotted field: [before, after]}, under today's names."""
    kept = {key: pair for key, pair in values.items() if key not in {*REMOVED, *FORGOTTEN}}
    names = {**RECIPE_KEYS, "task.noise_decay": "anneal.task.instance_noise.decay"}
    return {names.get(key, key): [_upgraded_value(value, key, []) for value in pair] for key, pair in kept.items()}


def _upgraded_part(part: Mapping[str, Any], path: str, said: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in part.items():
        old = f"{path}{key}"
        if old in REMOVED and value in REMOVED[old]:
            continue
        if old in FORGOTTEN:
            said += [f"{old} is gone: {FORGOTTEN[old]}"] if value and FORGOTTEN[old] else []
            continue
        new = RECIPE_KEYS.get(old)
        if new is not None:
            said.append(f"{old} is called {new} now")
        found[key if new is None else new.rpartition(".")[2]] = _upgraded_value(value, old, said)
    return found


def _upgraded_value(value: Any, path: str, said: list[str]) -> Any:
    if isinstance(value, Mapping):
        return _upgraded_part(cast(Mapping[str, Any], value), f"{path}.", said)
    if isinstance(value, str) and (path, value) in RECIPE_VALUES:
        said.append(f"{path} {value!r} is called {RECIPE_VALUES[path, value]!r} now")
        return RECIPE_VALUES[path, value]
    return value


def upgraded_engine(values: Mapping[str, Any]) -> dict[str, Any]:
    """What autotuning recorded, under today's names."""
    chosen = {("autotune" if key == "trial" else key): value for key, value in values["chosen"].items()}
    return {**values, "chosen": chosen}


def upgraded_record(record: Mapping[str, Any]) -> dict[str, Any]:
    """A record of a log under today's names."""
    found = renamed(record, FIELDS)
    for part in ("mean", "std"):
        if part in found:
            found[part] = renamed(found[part], METRICS)
    return found


def upgraded_metrics(values: Mapping[str, Any]) -> dict[str, Any]:
    """Metrics, {split: {name: {field: value}}}, under today's names."""
    return {
        split: {METRICS.get(name, name): renamed(one, FIELDS) for name, one in section.items()}
        for split, section in values.items()
    }


def renamed(values: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """A dict with its keys renamed; keys without another name stay."""
    return {names.get(key, key): value for key, value in values.items()}
