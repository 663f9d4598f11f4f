"""A trained classifier in integers: what `integers` needs, taken from its run."""

from pathlib import Path

import torch

from shoestring.core.errors import ExportError
from shoestring.core.progress import Progress
from shoestring.core.rng import generator
from shoestring.core.run import Run
from shoestring.integers.integer_graph import IntegerNet
from shoestring.integers.quantization import quantize
from shoestring.model.classifier import Classifier
from shoestring.model.model import Model
from shoestring.model.run_splits import load_split

CALIBRATION_IMAGES = 512


def integer_net(model: Model, run: Run, data_folder: Path, progress: Progress) -> IntegerNet:
    """A classifier as an integer net, whose ranges are chosen by 512 training images, the same ones each time.

    Args:
        model: What is quantised.
        run: Its run.
        data_folder: Where its data lies.
        progress: Reports reading, and every operator.

    Raises:
        ExportError: The model makes images.
        ShoestringError: The net does what integers cannot hold here.
        DataError: As `Source.load`.
    """
    recipe = model.recipe
    if not isinstance(model, Classifier):
        raise ExportError(
            f"{recipe.name} makes images; int8, onnx-int8 and c are for classifiers. Generators leave with --to onnx, "
            "--to torch or --to web"
        )
    images = load_split(recipe, run, "train", data_folder, progress).images
    chosen = torch.randperm(len(images), generator=generator(0, "calibration images"))[:CALIBRATION_IMAGES]
    classes = len(recipe.data.classes)
    return quantize(model.nets["classifier"], recipe.normalisation, images[chosen], classes, recipe.name, progress)
