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
    from shoestring.api import (
        check,
        demo,
        export,
        fit,
        grade,
        inspect,
        interpolate,
        join_sweep,
        layers,
        load,
        pack,
        predict,
        promote,
        push,
        sample,
        sweep,
        train,
        trust,
        write_report,
    )
    from shoestring.core.budget import Budget
    from shoestring.core.errors import ShoestringError
    from shoestring.core.progress import Progress
    from shoestring.core.run import Run
    from shoestring.data.inspection import FolderReport
    from shoestring.evaluation.evaluate import compare_images, evaluate
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
    "check": "api",
    "grade": "api",
    "Stopped": "training.loop",
    "promote": "api",
    "compare_images": "evaluation.evaluate",
    "demo": "api",
    "evaluate": "evaluation.evaluate",
    "interpolate": "api",
    "join_sweep": "api",
    "sweep": "api",
    "export": "api",
    "fit": "api",
    "inspect": "api",
    "layers": "api",
    "load": "api",
    "open_run": "model.load",
    "pack": "api",
    "predict": "api",
    "push": "api",
    "recipe": "recipes.lookup",
    "sample": "api",
    "train": "api",
    "trust": "api",
    "write_report": "api",
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
