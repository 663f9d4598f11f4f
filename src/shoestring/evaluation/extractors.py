"""The frozen nets that images are measured with: the FID Inception from its file, and the shipped classifier."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from shoestring import zoo
from shoestring.core.errors import DataError
from shoestring.core.progress import Progress
from shoestring.core.run import Run
from shoestring.data.dataset import normalise
from shoestring.data.download import fetch
from shoestring.data.paths import cache_folder
from shoestring.metrics.features.cache import extract_once
from shoestring.metrics.features.extractor import BATCH, Extractor, FeatureSet, FunctionExtractor, identity
from shoestring.metrics.features.inception import (
    OFFICIAL_FILE,
    OFFICIAL_SHA256,
    OFFICIAL_URL,
    InceptionExtractor,
    exact_float32,
)
from shoestring.metrics.features.inception_net import Dimensions
from shoestring.metrics.features.resize import Resizing
from shoestring.metrics.generative.mode_collapse import predicted_classes
from shoestring.metrics.generative.suite import ImageFeatures, Naming
from shoestring.metrics.statistics import source_hash
from shoestring.model.load import load_nets, recipe_of

CLASSIFIER = "cifar100-resnet"  # the shipped classifier whose features give the CIFAR-ResNet FD


def open_inception(
    file: Path | None,
    folder: Path,
    dimensions: Dimensions | None,
    resizing: Resizing,
    device: torch.device | str,
    progress: Progress,
) -> InceptionExtractor:
    """The FID Inception, from a file, from DATA_FOLDER/inception, or else from its official place.

    Args:
        file: The user's file; None looks for the official one, and downloads it when it is not there.
        folder: The data folder.
        dimensions: Features per image; None takes 2,048, or 768 when the file ends before those.
        resizing: How images are brought to 299x299.
        device: Where to compute.
        progress: Reports a download.

    Raises:
        DataError: The file is missing, damaged, of another checksum, or lacks the layers; or the download failed.
    """
    if file is None:
        remedy = (
            "Or name a file that you have with --inception FILE, .pth or .safetensors; --inception none does without."
        )
        official = folder / "inception" / OFFICIAL_FILE
        file = fetch([OFFICIAL_URL], official, f"sha256:{OFFICIAL_SHA256}", progress, remedy=remedy)
    return InceptionExtractor(file, dimensions, resizing, device=device)


@dataclass(frozen=True)
class ClassifierExtractor:
    """A classifier that looks at images: its features before the last layer, and the class that layer gives them.

    Attributes:
        extractor: The features.
        last: The last layer.
        num_classes: How many classes it knows.
    """

    extractor: FunctionExtractor
    last: nn.Linear
    num_classes: int

    def classes(self, features: Tensor) -> Tensor:
        """The class of each image, int64 (n,), from its features (n, d)."""
        weight = self.last.weight
        return predicted_classes(lambda part: self.last(part.to(weight)), features)


def open_classifier_extractor(
    shape: tuple[int, int, int], device: torch.device, run: Run | None = None
) -> ClassifierExtractor | None:
    """The shipped CIFAR-100 classifier as an extractor of features; None where it is absent or takes other shapes.

    Args:
        shape: Channels, height, width of the images.
        device: Where to compute.
        run: Another run of a classifier in its place.

    Raises:
        RunError: Its weights are damaged, or do not fit its recipe.
    """
    run = run or Run(zoo.FOLDER / CLASSIFIER)
    if not run.exists() or not run.has_weights():
        return None
    recipe = recipe_of(run)
    if recipe.data.shape != shape:
        return None
    net = load_nets(run, recipe).to(device).eval()
    last = [module for module in net.modules() if isinstance(module, nn.Linear)][-1]

    def features(images: Tensor) -> Tensor:
        """What the last layer is given."""
        given: list[Tensor] = []
        handle = last.register_forward_pre_hook(lambda _, inputs: given.append(inputs[0]))
        try:
            with exact_float32():
                net["classifier"](normalise(images.to(device), recipe.normalisation))
        finally:
            handle.remove()
        return given[0]

    digest = hashlib.sha256(run.weights_file.read_bytes()).hexdigest()[:12]
    code = source_hash(*sorted({type(module).__module__ for module in net.modules()}), "shoestring.data.dataset")
    name = f"shoestring-{recipe.name}"
    extractor = FunctionExtractor(name, last.in_features, digest, features, code=f"{code[:12]} {device.type}")
    return ClassifierExtractor(extractor, last, len(recipe.data.classes))


Weights = Path | Literal["none"] | None
"""A user's choice of Inception file: one of theirs, none at all, or the official one."""


@dataclass(frozen=True)
class FeatureExtractors:
    """The extractors that look at a set of images.

    Attributes:
        inception: The FID Inception, or None.
        classifier: The shipped classifier, or None.
        cache: Where features are kept.
        batch_size: Images to hand to an extractor at once.
    """

    inception: Extractor | None
    classifier: ClassifierExtractor | None
    cache: Path
    batch_size: int = BATCH

    @property
    def naming(self) -> Naming:
        """How their features are called."""
        inception, classifier = self.inception, self.classifier
        return Naming(
            inception=identity(inception) if inception else "",
            suffix=f"_{inception.dimensions}_{inception.resizing}" if inception else "",
            fast=identity(classifier.extractor) if classifier else "",
            num_classes=classifier.num_classes if classifier else 0,
        )

    def extract(self, images: Tensor, progress: Progress) -> ImageFeatures:
        """What the extractors make of images, uint8 (n, c, h, w)."""

        def features(extractor: Extractor) -> FeatureSet:
            found = extract_once(extractor, images, self.cache, progress, self.batch_size)
            return FeatureSet(found, identity(extractor))

        fast = features(self.classifier.extractor) if self.classifier else None
        classes = self.classifier.classes(fast.features) if self.classifier and fast is not None else None
        return ImageFeatures(images, features(self.inception) if self.inception else None, fast, classes)


def open_extractors(
    shape: tuple[int, int, int],
    inception: Weights,
    dimensions: Dimensions | None,
    resizing: Resizing,
    folder: Path,
    device: torch.device,
    progress: Progress,
) -> FeatureExtractors:
    """The extractors for images of a shape.

    Args:
        shape: Channels, height, width of the images.
        inception: As `Weights` says.
        dimensions: As of `open_inception`.
        resizing: As of `open_inception`.
        folder: The data folder.
        device: Where to compute.
        progress: Reports a download.

    Raises:
        DataError: As of `open_inception`; or the images do not have three channels, which Inception needs.
    """
    classifier, cache = open_classifier_extractor(shape, device), cache_folder(folder)
    if inception is not None and str(inception) == "none":
        return FeatureExtractors(None, classifier, cache)
    if shape[0] != 3:
        raise DataError(f"Inception sees images of 3 channels, not {shape[0]}; --inception none measures without it")
    file = None if inception is None else Path(inception)
    return FeatureExtractors(open_inception(file, folder, dimensions, resizing, device, progress), classifier, cache)
