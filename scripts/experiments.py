"""Trains and keeps the runs that docs/results.md compares: seeds, accuracy against parameters, ideas removed in turn.

    python scripts/experiments.py                       # what there is, what is missing
    python scripts/experiments.py addnist-best-curve-12k 'ablations/addnist-best/*' --threads 1 --precision bfloat16

A training lies in runs/ until its end, so that the same command goes on after Ctrl-C; then all of it but its weights
and checkpoints is copied to results/, and `python scripts/results.py` puts it into the tables. Data is read from
SHOESTRING_DATA. Ablations are measured on the tune split, after fewer steps than the recipe takes (generators by the
CIFAR-ResNet FD of their log); all else once on test, and by one view where it answers by several.
"""

import argparse
import fnmatch
import shutil
import sys
from pathlib import Path
from typing import Any

from pages.runs import ROOT

import shoestring
from shoestring.cli.display import Display
from shoestring.core.allocator import keep_freed_memory
from shoestring.core.errors import ShoestringError
from shoestring.core.run import Run
from shoestring.model.load import recipe_of
from shoestring.recipes.recipe import Recipe
from shoestring.tasks.classification import ClassifierTask
from shoestring.tasks.gan.discriminator_guidance import DiscriminatorGuidance
from shoestring.training.loop import Interrupted

Fields = dict[str, Any]

SEEDS = ("addnist-best", "addnist-best-small", "cifar100-best", "cifar100-best-small", "cifar100-plain")
CURVES: dict[str, dict[int, Fields]] = {
    "addnist-best": {12_000: {"width": 7}, 50_000: {"width": 15}, 200_000: {"width": 31}},
    "cifar100-best": {
        12_000: {"widths": [3, 7, 12], "features": 19},
        50_000: {"widths": [7, 15, 26], "features": 40},
        200_000: {"widths": [16, 32, 51], "features": 96},
    },
    "cifar100-plain": {
        12_000: {"widths": [5, 10, 17]},
        50_000: {"widths": [11, 22, 37]},
        200_000: {"widths": [23, 46, 75]},
    },
}
"""Net fields by parameters, for each recipe whose family is drawn; 25,000 and 100,000 are recipes of their own."""
CURVES_ALIKE: dict[str, Fields] = {"addnist-best": {"anneal": {"augment.strength": None}}}
"""What else the recipes of a curve have: that of AddNIST was trained before its warps grew weaker towards the end."""
ADDNIST_PLAIN = {"rotation_degrees": 0, "translation": 0, "scale": [1, 1], "shear_degrees": 0}
ONE_CALL = DiscriminatorGuidance().model_dump()
"""Images as a generator makes them: what its discriminator adds would be measured as well."""
ABLATIONS: dict[str, tuple[Fields, dict[str, Fields]]] = {
    "addnist-best": (
        {"budget": {"steps": 2_000}, "task": {"views": 1}, "anneal": {"augment.strength": None}},
        {
            "whole": {},
            "no-ema": {"ema": []},
            "one-warp-for-all-channels": {"augment": {"per_channel": False}},
            "no-augmentation": {"augment": ADDNIST_PLAIN},
            "constant-learning-rate": {"schedule": {"kind": "constant"}},
            "no-sum-of-digits": {"net": {"kind": "basic", "widths": [16, 32, 54]}},
            "muon": {"optimiser": {"kind": "muon", "learning_rate": 0.02, "weight_decay": 0.05}},
        },
    ),
    "cifar100-best": (
        {"budget": {"steps": 1_500}, "task": {"views": 1}},
        {
            "whole": {},
            "plain-kernels": {"net": {"mirrored": False, "widths": [16, 32, 52], "features": None}},
            "relu": {"net": {"activation": "relu"}},
            "a-fifth-of-the-weight-decay": {"optimiser": {"weight_decay": 0.02}},
            "no-ema": {"ema": []},
            "adam": {"optimiser": {"kind": "adam", "learning_rate": 0.004, "weight_decay": 0.05, "decoupled": True}},
            "no-flips-and-shifts": {"augment": {"horizontal_flip": False, "crop_padding": 0}},
        },
    ),
    "cifar100-plain": (
        {"budget": {"steps": 1_500}, "task": {"views": 1}},
        {
            "whole": {},
            "no-ema": {"ema": []},
            "adam": {"optimiser": {"kind": "adam", "learning_rate": 0.004, "weight_decay": 0.02, "decoupled": True}},
            "constant-learning-rate": {"schedule": {"kind": "constant"}},
            "no-flips-and-shifts": {"augment": {"horizontal_flip": False, "crop_padding": 0}},
            "bottlenecks": {"net": {"kind": "bottleneck"}},
            "a-quarter-of-the-batch": {"batch_size": 64},
        },
    ),
    "cifar100-gan": (
        {"budget": {"steps": 2_000}, "task": {"sampling": ONE_CALL}},
        {
            "whole": {},
            "every-image-judged-alone": {"task": {"rule": "bce"}},
            "no-gradient-penalties": {"task": {"r1": 0, "r2": 0}},
            "no-penalty-at-fakes": {"task": {"r2": 0}},
            "no-augmentation": {"task": {"augment": {"translation": 0}}},
            "no-class": {"task": {"conditional": False}},
            "adam": {"optimiser": {"kind": "adam", "learning_rate": 0.001, "betas": [0, 0.99]}},
        },
    ),
}
"""What all variants change, and what each changes beyond that, by recipe."""
LEFT_BEHIND = shutil.ignore_patterns(
    "checkpoints", "chain.json", "ema", "former", "step-*.png", "*.html", "*.safetensors", ".*"
)


def experiments() -> dict[str, Recipe]:
    """Every experiment by its folder under results/."""
    found: dict[str, Recipe] = {}
    for name in SEEDS:
        for seed in (1, 2):
            found[f"{name}-seed{seed}"] = shoestring.recipe(name, data={"tune": 0}, seed=seed)
    for name, sizes in CURVES.items():
        for parameters, net in sizes.items():
            fields: Fields = {"data": {"tune": 0}, "budget": {"parameters": parameters}, "net": net}
            fields |= CURVES_ALIKE.get(name, {})
            found[f"{name}-curve-{parameters // 1000}k"] = shoestring.recipe(name, **fields)
    for name, (shared, variants) in ABLATIONS.items():
        for variant, changes in variants.items():
            found[f"ablations/{name}/{variant}"] = shoestring.recipe(name, **shared).replace(**changes)
    return found


def main() -> int:
    """Trains the experiments whose names match, or tells of all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("patterns", nargs="*", metavar="NAME", help="may have * and ?, such as 'ablations/*'")
    parser.add_argument("--threads", type=int, help="CPU threads of each training; by default what torch finds")
    parser.add_argument("--precision", choices=("float32", "bfloat16"), help="of activations; bfloat16 on a GPU")
    keep_freed_memory()
    known = experiments()
    asked = parser.parse_args()
    patterns = asked.patterns
    engine: Fields = {key: value for key in ("threads", "precision") if (value := getattr(asked, key))}
    for pattern in patterns:
        if not fnmatch.filter(known, pattern):
            parser.error(f"no experiment is called {pattern}; without a name all are listed")
    try:
        for name in known:
            if not patterns:
                print(f"{state(ROOT / 'results' / name, known[name]):8}{name}")
            elif any(fnmatch.fnmatch(name, pattern) for pattern in patterns):
                recipe = known[name]
                train(name, recipe.replace(engine=engine))
    except ShoestringError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except Interrupted as stop:
        print(f"{stop}. The same command again goes on from there.", file=sys.stderr)
        return 128 + stop.signal_number
    return 0


def state(folder: Path, recipe: Recipe) -> str:
    """Whether a run is "kept" in a folder, "missing", or "stale": trained by a recipe that has changed since."""
    if not Run(folder).finished():
        return "missing"
    return "kept" if recipe_of(Run(folder)).fingerprint() == recipe.fingerprint() else "stale"


def train(name: str, recipe: Recipe) -> None:
    """Trains an experiment and keeps it, unless it is kept already."""
    kept = ROOT / "results" / name
    if (found := state(kept, recipe)) == "stale":
        raise ShoestringError(f"{kept} was trained by another recipe than today's; move it away to train that one anew")
    trained = state(ROOT / "runs" / name, recipe) == "kept"
    doing = "kept already" if found == "kept" else "trained already, being kept" if trained else "training"
    print(f"{name}: {doing}", file=sys.stderr)
    if found == "missing":
        progress = Display(as_json=False)
        run = shoestring.train(recipe, ROOT / "runs" / name, progress=progress)
        if isinstance(recipe.task, ClassifierTask) and recipe.task.views > 1:
            shoestring.evaluate(run.folder, "tune" if recipe.data.tune else "test", progress=progress, views=1)
        keep(run, kept)


def keep(run: Run, folder: Path) -> None:
    """Copies what tells of a finished run to a folder, all or nothing: no weights, checkpoints, samples on the way."""
    half = folder.parent / f".{folder.name}.part"
    shutil.rmtree(half, ignore_errors=True)
    shutil.copytree(run.folder, half, ignore=LEFT_BEHIND)
    half.replace(folder)


if __name__ == "__main__":
    sys.exit(main())
