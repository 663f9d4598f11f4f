"""Draws docs/figures/generators.png: real images, and what each shipped CIFAR-100 generator makes, row under row.

    python scripts/side_by_side.py [--columns 16] [--seed 0]

Nothing is picked: a row shows the first images of a seed, one of each of the first classes for generators that know
classes; the real ones are train images of the same classes. CIFAR-100 is read from the data folder (SHOESTRING_DATA).
"""

import argparse

import torch
from pages.runs import ROOT
from torch import Tensor

import shoestring
from shoestring import zoo
from shoestring.core.image_grid import sheet
from shoestring.core.progress import Progress
from shoestring.data.cifar100 import CIFAR100
from shoestring.data.paths import data_folder
from shoestring.report.plotting import Figure, styled

FILE = ROOT / "docs" / "figures" / "generators.png"
ROWS = (
    "cifar100-dcgan-64",
    "cifar100-dcgan-44",
    "cifar100-gan-quick",
    "cifar100-gan",
    "cifar100-gan-best",
    "cifar100-flow-quick",
    "cifar100-flow",
)


def main() -> None:
    """Makes the images and draws them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--columns", type=int, default=16)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    rows = {"real": real(given.columns)}
    for name in ROWS:
        if (zoo.FOLDER / name).is_dir():
            rows[name.removeprefix("cifar100-")] = shoestring.sample(name, given.columns, given.seed)
    FILE.parent.mkdir(parents=True, exist_ok=True)
    with styled({}):
        draw(rows).savefig(FILE, metadata={"Software": None})
    print(FILE)


def real(count: int) -> Tensor:
    """The first train image of each of the first classes, uint8 (count, 3, 32, 32)."""
    split = CIFAR100(tune=0).load("train", data_folder(None), Progress())
    first = [int(torch.nonzero(split.labels == label)[0]) for label in range(count)]
    return split.images[first]


def draw(rows: dict[str, Tensor]) -> Figure:
    """The rows of images with their names in front."""
    figure = Figure(figsize=(12, 0.7 * len(rows)), dpi=120, facecolor="white")
    axes = figure.subplots(len(rows), 1, squeeze=False)[:, 0]
    figure.subplots_adjust(left=0.08, right=0.995, bottom=0.02, top=0.98, hspace=0.08)
    for axis, (name, images) in zip(axes, rows.items(), strict=True):
        axis.imshow(sheet(images, len(images)).permute(1, 2, 0), interpolation="nearest")
        axis.set_ylabel(name, rotation=0, ha="right", va="center", fontsize=12)
        axis.set_xticks([])
        axis.set_yticks([])
        axis.spines[:].set_visible(False)
    return figure


if __name__ == "__main__":
    main()
