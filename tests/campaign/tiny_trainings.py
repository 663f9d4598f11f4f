"""Trainings of a second, one of each kind of task, and what must be the same at their end however they came there."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import own_parts
import tiny
import torch

from shoestring.core.budget import Budget
from shoestring.core.run import Run
from shoestring.data.image_folder import ImageFolder
from shoestring.nets.unet import ThriftyUNet
from shoestring.recipes.recipe import Cadence, Recipe
from shoestring.tasks.flow.flow_matching import Flow
from shoestring.tasks.flow.samplers import ODESampling

STEPS = 6


def classifier(pictures: Path) -> Recipe:
    """A classifier with EMA weights and a tune split."""
    cadence = {"cadence__log": 2, "cadence__evaluate": 3, "cadence__checkpoint": 2}
    return tiny.classifier(pictures, budget__steps=STEPS, ema=[0.9, 0.5], **cadence)


def gan(pictures: Path) -> Recipe:
    """A GAN of the user's own nets, with gradient penalties."""
    net = own_parts.write(pictures.parent, own_parts.GAN, "my_gan.py")
    values = tiny.gan(pictures).to_json()
    values |= {"net": {"kind": f"{net}:gan"}, "ema": [0.9], "data": values["data"] | {"size": 8}}
    values |= {"budget": values["budget"] | {"steps": STEPS}, "cadence": {"log": 2, "evaluate": 3, "checkpoint": 2}}
    values["task"] |= {"r1": 0.1, "r2": 0.1, "instance_noise": 0.1}
    return Recipe.from_json(values)


def flow(pictures: Path) -> Recipe:
    """A flow-matching generator."""
    recipe = Recipe(
        name="tiny-flow",
        budget=Budget(parameters=40_000, steps=STEPS, nfe=3),
        data=ImageFolder(path=pictures, size=8, tune=0),
        net=ThriftyUNet(width=16, depths=(1, 1, 1), embedding=8, attention=32),
        task=Flow(sampling=ODESampling(solver="euler", steps=3)),
        batch_size=4,
        ema=(0.9,),
        cadence=Cadence(log=2, evaluate=3, checkpoint=2),
    )
    return recipe


KINDS: dict[str, Callable[[Path], Recipe]] = {"classifier": classifier, "gan": gan, "flow": flow}


def end_of(run: Run) -> dict[str, Any]:
    """What a finished run holds, without clocks: two runs of one recipe have the same."""
    last = run.checkpoints.last()
    state: Any = torch.load(last, weights_only=True) if last else {}
    files = (file for file in run.folder.rglob("*") if file.is_file() and file.suffix not in (".pt", ".html"))
    plain = {str(file.relative_to(run.folder)): file.read_bytes() for file in files}
    for name in ("environment.json", "chain.json", "log.jsonl"):  # they hold times, or hashes of times
        plain.pop(name, None)
    names = (str(file.relative_to(run.folder)) for file in run.folder.rglob("*") if file.is_file())
    return {
        # Checkpoints have a hash of clocks in their names, and a report can be made anew at any time.
        "files": sorted(name[:26] if name.endswith(".pt") else name for name in names if name != "report.html"),
        "contents": plain,
        "state": _plain({key: value for key, value in state.items() if key != "seconds"}),
        "log": [{key: value for key, value in record.items() if key not in CLOCKS} for record in run.log()],
        "chain": [link["step"] for link in run.checkpoints.chain()],
        "metrics": json.dumps(run.metrics(), sort_keys=True),
    }


CLOCKS = ("seconds", "images_per_second")


def difference(found: dict[str, Any], expected: dict[str, Any]) -> str:
    """In what two ends differ; empty where they do not."""
    for part, value in expected.items():
        if found[part] != value:
            if part == "contents":
                other = [name for name in value.keys() | found[part].keys() if value.get(name) != found[part].get(name)]
                return f"other contents: {', '.join(sorted(other))}"
            return f"{part} differ: {str(_only(found[part], value))[:300]}"
    return ""


def _only(found: Any, expected: Any) -> Any:
    if isinstance(found, list) and isinstance(expected, list):
        return (
            [one for one in found if one not in expected],
            "instead of",
            [one for one in expected if one not in found],
        )
    return "state"


def _plain(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return value.numpy().tobytes()
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list | tuple) else value
