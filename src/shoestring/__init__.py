"""Image models under a hard budget of parameters and optimisation steps.

import shoestring

run = shoestring.train("addnist-quick")
shoestring.evaluate("cifar100-resnet", split="test")["accuracy"]
shoestring.sample("cifar100-dcgan-44", count=64, seed=0)
shoestring.compare_images("my-samples", "cifar100:test")["fid_2048_clean"]
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    __version__: str
    from shoestring.api.contest import check, grade, pack
    from shoestring.api.exports import demo, export, push
    from shoestring.api.folders import inspect
    from shoestring.api.models import layers, load, predict, promote, trust
    from shoestring.api.reports import write_report
    from shoestring.api.samples import interpolate, sample
    from shoestring.api.sweeps import join_sweep, sweep
    from shoestring.api.training import fit, train
    from shoestring.core.budget import Budget
    from shoestring.core.errors import ShoestringError
    from shoestring.core.progress import Progress
    from shoestring.core.run import Run
    from shoestring.data.inspection import FolderReport
    from shoestring.evaluation.compare import compare_images
    from shoestring.evaluation.evaluate import evaluate
    from shoestring.model.classifier import Classifier
    from shoestring.model.generator import Generator
    from shoestring.model.load import open_run
    from shoestring.recipes import RECIPES
    from shoestring.recipes.lookup import recipe
    from shoestring.recipes.recipe import Recipe
    from shoestring.training.loop import Interrupted, Stopped

_HOMES = {
    "RECIPES": "recipes",
    "Budget": "core.budget",
    "Classifier": "model.classifier",
    "FolderReport": "data.inspection",
    "Generator": "model.generator",
    "Interrupted": "training.loop",
    "Progress": "core.progress",
    "Recipe": "recipes.recipe",
    "Run": "core.run",
    "ShoestringError": "core.errors",
    "check": "api.contest",
    "grade": "api.contest",
    "Stopped": "training.loop",
    "promote": "api.models",
    "compare_images": "evaluation.compare",
    "demo": "api.exports",
    "evaluate": "evaluation.evaluate",
    "interpolate": "api.samples",
    "join_sweep": "api.sweeps",
    "sweep": "api.sweeps",
    "export": "api.exports",
    "fit": "api.training",
    "inspect": "api.folders",
    "layers": "api.models",
    "load": "api.models",
    "open_run": "model.load",
    "pack": "api.contest",
    "predict": "api.models",
    "push": "api.exports",
    "recipe": "recipes.lookup",
    "sample": "api.samples",
    "train": "api.training",
    "trust": "api.models",
    "write_report": "api.reports",
}

__all__ = [
    "RECIPES",
    "Budget",
    "Classifier",
    "FolderReport",
    "Generator",
    "Interrupted",
    "Progress",
    "Recipe",
    "Run",
    "ShoestringError",
    "Stopped",
    "check",
    "compare_images",
    "demo",
    "evaluate",
    "export",
    "fit",
    "grade",
    "inspect",
    "interpolate",
    "join_sweep",
    "layers",
    "load",
    "open_run",
    "pack",
    "predict",
    "promote",
    "push",
    "recipe",
    "sample",
    "sweep",
    "train",
    "trust",
    "write_report",
]


def __getattr__(name: str) -> Any:
    """Imports a public name when it is first used, so that importing the package does not import torch."""
    if name == "__version__":
        return import_module("importlib.metadata").version("shoestring")
    if name not in _HOMES:
        raise AttributeError(f"module 'shoestring' has no attribute {name!r}")
    return getattr(import_module(f"shoestring.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    """The public names, imported or not."""
    return __all__
