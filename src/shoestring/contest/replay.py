"""Level 4: windows between kept checkpoints are trained again and compared, tensor by tensor."""

import random
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor

from shoestring.contest.finding import Finding
from shoestring.contest.submission import Submission
from shoestring.core.device import Engine, Machine
from shoestring.core.errors import ShoestringError
from shoestring.core.progress import Progress
from shoestring.core.run import Run
from shoestring.core.tensor_files import load_checkpoint
from shoestring.data.download import checksum_of
from shoestring.data.manifest import manifest
from shoestring.model.bn_recalibration import ema_or_raw_model
from shoestring.model.build import initialise
from shoestring.model.pretrained import start_from
from shoestring.model.train_state import State
from shoestring.model.weights import inference_state_dict
from shoestring.recipes.recipe import Recipe
from shoestring.recipes.rules import Rules
from shoestring.training.step import TrainStep

SAME = ("device", "processor", "threads", "precision", "channels_last", "graphs", "compile", "processes")
"""What of a machine must be equal for the same bits to be expected."""


def replay_findings(
    submission: Submission,
    rules: Rules,
    windows: int,
    seed: int | None,
    data_folder: Path,
    device: str | None,
    progress: Progress,
) -> list[Finding]:
    """Some windows between kept checkpoints trained again, and the weights from the last checkpoint.

    Args:
        submission: A run's folder with its checkpoints.
        rules: They may say which images were to be trained on; else the recipe does.
        windows: How many.
        seed: Decides which; by default nobody can know beforehand.
        data_folder: Where the images lie.
        device: As `train` takes it.
        progress: Reports every step.
    """
    run = submission.run
    if run is None or not run.checkpoints.by_step():
        return [_undecided("only a run's folder with its checkpoints can be replayed")]
    recipe = submission.recipe()
    if recipe is None:
        return [_undecided(f"{', '.join(submission.own_parts)} is not of this package and is not run")]
    try:
        return list(_replayed(run, recipe, rules, windows, seed, data_folder, device, progress))
    except ShoestringError as error:
        return [_undecided(str(error))]


def _undecided(reason: str) -> Finding:
    return Finding(4, "replay", "not decided", reason)


def _replayed(
    run: Run,
    recipe: Recipe,
    rules: Rules,
    windows: int,
    seed: int | None,
    data_folder: Path,
    device: str | None,
    progress: Progress,
) -> Iterator[Finding]:
    there = run.checkpoints.by_step()
    links = {link["step"]: link["sha256"] for link in run.checkpoints.chain()}
    strange = [step for step, path in there.items() if links.get(step) != checksum_of(path, "sha256")]
    if strange:
        yield Finding(4, "checkpoints", "failed", f"the checkpoint of step {strange[0]:,} is not the one in the chain")
        return
    source = rules.data or recipe.data
    held_out: dict[str, Any] = {"tune": recipe.data.tune} if "tune" in type(source).model_fields else {}
    data = source.replace(**held_out)
    images = data.load("train", data_folder, progress)
    recorded: dict[str, Any] = (
        run.read_json("splits.json").get("train", {}) if (run.folder / "splits.json").is_file() else {}
    )
    if recorded and recorded["digest"] != manifest(images, listed=False).digest:
        yield Finding(
            4, "images", "failed", "it says itself that it was trained on other images than those of the rules"
        )
        return
    engine = Engine.model_validate(run.autotuned().get("chosen") or recipe.engine.model_dump())
    machine = Machine.choose(engine, device)
    other = _differences(run.environment(), machine)
    steps = [0, *(step for step in there if step > 0)]
    pairs = [pair for pair in pairwise(steps) if pair[1] in there]
    chosen = sorted(random.Random(seed).sample(pairs, min(windows, len(pairs))))
    with machine.running():
        for start, end in chosen:
            state = _state(recipe, machine, there.get(start))
            take_step = TrainStep(recipe, state, machine, images)
            with progress.task(f"replaying {start:,} to {end:,}", end - start, "steps") as advance:
                for _ in range(end - start):
                    take_step()
                    advance()
            saved = load_checkpoint(there[end], there[end].read_bytes(), machine.device)
            yield _compared(f"steps {start:,} to {end:,}", _flat(state.state_dict()), _flat(saved), other)
        last = max(there)
        if last == recipe.budget.steps:
            state = _state(recipe, machine, there[last])
            made = inference_state_dict(ema_or_raw_model(recipe, state, machine).nets)
            yield _compared("weights of the last checkpoint", made, run.read_weights(), other)
        else:
            yield _undecided(f"no checkpoint of the last step {recipe.budget.steps:,} is kept")


def _state(recipe: Recipe, machine: Machine, checkpoint: Path | None) -> State:
    nets = initialise(recipe)
    if checkpoint is None:
        start_from(recipe, nets)
    state = State.start(recipe, nets, machine)
    if checkpoint is not None:
        state.load_state_dict(load_checkpoint(checkpoint, checkpoint.read_bytes(), machine.device))
    return state


def _compared(what: str, made: Mapping[str, Any], there: Mapping[str, Any], other: str) -> Finding:
    """Equal is passed wherever it was computed; different counts only where the same bits were to be expected."""
    if made.keys() != there.keys():
        return Finding(4, "replay", "failed", f"{what}: the checkpoint holds other things than such a training")
    differ = [name for name, value in made.items() if not _equal(value, there[name])]
    if not differ:
        return Finding(4, "replay", "passed", f"{what}: all {len(made):,} tensors and numbers are equal")
    said = f"{what}: {len(differ):,} of {len(made):,} tensors and numbers differ, such as {differ[0]}"
    if other:
        return Finding(4, "replay", "not decided", f"{said}; but bits are only promised on the same {other}")
    return Finding(4, "replay", "failed", said)


def _equal(one: Any, another: Any) -> bool:
    if isinstance(one, Tensor) and isinstance(another, Tensor):
        return one.shape == another.shape and torch.equal(one.cpu(), another.cpu())
    return bool(one == another)


def _flat(values: Mapping[Any, Any], path: str = "") -> dict[str, Any]:
    """Everything in nested dicts and lists by its path, but the time that it took."""
    found: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{path}/{key}" if path else str(key)
        if isinstance(value, Mapping):
            found |= _flat(cast("Mapping[Any, Any]", value), name)
        elif name != "seconds":
            found[name] = value
    return found


def _differences(environment: Mapping[str, Any], machine: Machine) -> str:
    """In what this machine is another than that of the training, in a few words; empty where it is the same kind."""
    there, here = environment.get("machine", {}), machine.describe()
    differ = [name for name in SAME if there.get(name) != here.get(name)]
    torch_there = environment.get("versions", {}).get("torch")
    differ += ["version of torch"] if torch_there != str(torch.__version__) else []
    return " and ".join(differ)
