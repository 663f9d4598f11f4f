"""Level 3: whether the record of a training is whole and agrees with itself. A careful forger passes; see replay."""

import math
from itertools import pairwise
from typing import Any, cast

from shoestring.contest.finding import Finding, tell
from shoestring.contest.submission import Submission
from shoestring.core.checkpoint_chain import broken_links
from shoestring.metrics.classification import train_metrics_summary
from shoestring.recipes.recipe import Recipe

EXACT = 1e-6
"""Relative difference of numbers that were computed from one another and written to eight digits."""


def provenance_findings(submission: Submission) -> list[Finding]:
    """Log, time and checkpoints of a training, as its record tells of them."""
    record = submission.record
    if record is None:
        return [Finding(3, "log", "not decided", "it has no record of its training")]
    recipe = submission.recipe()
    train = [one for one in record.log if one.get("kind") == "train"]
    steps = int(submission.recipe_values["budget"]["steps"])
    return [
        tell(3, "log", _gaps(train, steps), f"{len(train):,} records of {steps:,} steps without a gap"),
        tell(3, "numbers", _numbers(submission, train, recipe), "learning rates, speeds and summary follow from it"),
        _time(submission, train, steps),
        _chain(submission, steps),
    ]


def _gaps(train: list[dict[str, Any]], steps: int) -> list[str]:
    """Records must follow one another from the first step to the last."""
    if not train:
        return ["nothing was logged"]
    said: list[str] = []
    reached = 0
    for record in train:
        begun = record["step"] - record["count"]
        if begun > reached:
            said.append(f"steps {reached + 1:,} to {begun:,} are missing")
        elif begun < reached:
            said.append(f"steps {begun + 1:,} to {reached:,} are there twice")
        reached = record["step"]
    return said[:3] + ([f"it ends at step {reached:,} of {steps:,}"] if reached != steps else [])


def _numbers(submission: Submission, train: list[dict[str, Any]], recipe: Recipe | None) -> list[str]:
    """Numbers that follow from others: rates from the schedule, speeds from times, the summary from the records."""
    said: list[str] = []
    for one in train:
        if not all(math.isfinite(value) for part in ("mean", "std") for value in one[part].values()):
            said.append(f"step {one['step']:,}: a number is not finite")
        if recipe is None:
            continue
        rate = recipe.optimiser.learning_rate * recipe.schedule.factor(one["step"] - 1, recipe.budget.steps)
        if not math.isclose(one["learning_rate"], rate, rel_tol=EXACT, abs_tol=1e-12):
            said.append(f"step {one['step']:,}: learning rate {one['learning_rate']:.6g}, its schedule has {rate:.6g}")
        images = one["images_per_second"] * one["seconds"]
        due, error = one["count"] * recipe.batch_size, 0.0006 * one["images_per_second"] + 0.06 * one["seconds"]
        if abs(images - due) > error + 1e-3 * due:
            said.append(f"step {one['step']:,}: {images:,.0f} images by speed and time, {due:,} by steps and batch")
    claimed = submission.file("metrics.json").get("train", {})
    for name, metric in train_metrics_summary(train).items() if train else ():
        there = claimed.get(name)
        if there is not None and not math.isclose(there["value"], metric.value, rel_tol=EXACT, abs_tol=1e-9):
            said.append(f"train {name} {there['value']:.6g} is claimed, its log gives {metric.value:.6g}")
    return said[:3] + ([f"and {len(said) - 3} more"] if len(said) > 3 else [])


def _time(submission: Submission, train: list[dict[str, Any]], steps: int) -> Finding:
    """Sessions that follow one another, and are as long as what was logged in them."""
    environment = submission.file("environment.json")
    sessions = cast("list[dict[str, Any]]", environment.get("sessions", []))
    if not sessions:
        return Finding(3, "sessions", "not decided", "it does not tell when and with what it was trained")
    said: list[str] = []
    if sessions[0]["from_step"] != 0 or sessions[-1]["to_step"] != steps:
        said.append(
            f"sessions reach from step {sessions[0]['from_step']:,} to {sessions[-1]['to_step']:,} of {steps:,}"
        )
    for before, after in pairwise(sessions):
        if after["from_step"] > before["to_step"]:
            said.append(f"no session has steps {before['to_step']:,} to {after['from_step']:,}")
        if after["started"] < before["started"]:
            said.append(f"a session of {after['started']} follows one of {before['started']}")
    logged, lasted = sum(one["seconds"] for one in train), sum(one["seconds"] for one in sessions)
    if logged > 1.01 * lasted + 1:
        said.append(f"its log has {logged:,.0f} s of steps, all sessions together {lasted:,.0f} s")
    machine = environment.get("machine", {})
    where = (
        f"torch {environment.get('versions', {}).get('torch')} on {machine.get('processor') or machine.get('device')}"
    )
    return tell(3, "sessions", said, f"{len(sessions)} of {lasted:,.0f} s together, {where}")


def _chain(submission: Submission, steps: int) -> Finding:
    links = submission.file("chain.json")
    if not links:
        return Finding(3, "chain", "not decided", "no chain of checkpoints was recorded; this version of `train` does")
    assert submission.record is not None
    failures = broken_links(links, submission.record.log)
    if links[-1]["step"] != steps:
        failures.append(f"it ends at step {links[-1]['step']:,} of {steps:,}")
    return tell(3, "chain", failures, f"{len(links)} checkpoints, each bound to the log and to the one before")
