"""Trains and keeps the runs that docs/results.md compares: seeds, accuracy against parameters, ideas removed in turn.

    python scripts/experiments.py                       # what there is, what is missing
    python scripts/experiments.py addnist-best-curve-12k ablations/addnist-best/no-running-mean …

A training lies in runs/ until its end, so that the same command goes on after Ctrl-C; then what is worth keeping is
copied to results/, and `python scripts/results.py` puts it into the tables. Data is read from SHOESTRING_DATA.
Ablations are measured on the tune split, after fewer steps than the recipe takes; all else once on test.
"""

import argparse
import shutil
from pathlib import Path
from typing import Any

from pages.runs import ROOT

import shoestring
from shoestring.cli.display import Display
from shoestring.recipes.recipe import Recipe
from shoestring.run import Run

Fields = dict[str, Any]

SEEDS = ("addnist-best", "addnist-best-small", "cifar100-best", "cifar100-best-small")
CURVES: dict[str, dict[int, Fields]] = {
    "addnist-best": {12_000: {"width": 7}, 50_000: {"width": 15}, 200_000: {"width": 31}},
    "cifar100-best": {
        12_000: {"widths": [5, 10, 17]},
        50_000: {"widths": [11, 22, 37]},
        200_000: {"widths": [23, 46, 75]},
    },
}
"""Net fields by parameters, for each recipe whose family is drawn; 25,000 and 100,000 are recipes of their own."""
ADDNIST_PLAIN = {"rotation_degrees": 0, "translation": 0, "scale": [1, 1], "shear_degrees": 0}
ABLATIONS: dict[str, tuple[int, dict[str, Fields]]] = {
    "addnist-best": (
        2_000,
        {
            "whole": {},
            "no-running-mean": {"ema": []},
            "one-warp-for-all-channels": {"augment": {"per_channel": False}},
            "no-augmentation": {"augment": ADDNIST_PLAIN},
            "constant-learning-rate": {"schedule": {"kind": "constant"}},
            "no-sum-of-digits": {"net": {"kind": "basic", "widths": [16, 32, 54]}},
            "muon": {"optimiser": {"kind": "muon", "learning_rate": 0.02, "weight_decay": 0.05}},
        },
    ),
    "cifar100-best": (
        1_500,
        {
            "whole": {},
            "no-running-mean": {"ema": []},
            "adam": {"optimiser": {"kind": "adam", "learning_rate": 0.004, "weight_decay": 0.02, "decoupled": True}},
            "constant-learning-rate": {"schedule": {"kind": "constant"}},
            "no-flips-and-shifts": {"augment": {"horizontal_flip": False, "crop_padding": 0}},
            "bottlenecks": {"net": {"kind": "bottleneck"}},
            "a-quarter-of-the-batch": {"batch_size": 64},
        },
    ),
}
"""Steps, and what each variant changes beyond them, by recipe."""
LEFT_BEHIND = shutil.ignore_patterns("checkpoints", "averages", "step-*.png", "*.html", "*.tmp")


def experiments() -> dict[str, Recipe]:
    """Every experiment by its folder under results/."""
    found: dict[str, Recipe] = {}
    for name in SEEDS:
        for seed in (1, 2):
            found[f"{name}-seed{seed}"] = shoestring.recipe(name, data={"tune": 0}, seed=seed)
    for name, sizes in CURVES.items():
        for parameters, net in sizes.items():
            fields: Fields = {"data": {"tune": 0}, "budget": {"parameters": parameters}, "net": net}
            found[f"{name}-curve-{parameters // 1000}k"] = shoestring.recipe(name, **fields)
    for name, (steps, variants) in ABLATIONS.items():
        for variant, changes in variants.items():
            found[f"ablations/{name}/{variant}"] = shoestring.recipe(name, budget={"steps": steps}, **changes)
    return found


def main() -> None:
    """Trains the experiments that were named, or tells of all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME")
    given = parser.parse_args()
    known = experiments()
    if unknown := [name for name in given.names if name not in known]:
        parser.error(f"unknown: {', '.join(unknown)}; without a name all experiments are listed")
    for name in given.names:
        kept = ROOT / "results" / name
        if not Run(kept).finished():
            keep(shoestring.train(known[name], ROOT / "runs" / name, progress=Display(as_json=False)), kept)
    if not given.names:
        for name in known:
            print("kept   " if Run(ROOT / "results" / name).finished() else "missing", name)


def keep(run: Run, folder: Path) -> None:
    """Copies a finished run to a folder, without checkpoints, pictures of its course and reports."""
    shutil.copytree(run.folder, folder, ignore=LEFT_BEHIND)


if __name__ == "__main__":
    main()
