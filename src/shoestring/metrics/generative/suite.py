"""All scores of a set of generated images against a set of real ones."""

from dataclasses import dataclass, replace
from statistics import NormalDist

import torch
from torch import Tensor

from shoestring.core.errors import DataError
from shoestring.core.progress import Progress
from shoestring.metrics.features.extractor import FeatureSet
from shoestring.metrics.features.inception import check_features
from shoestring.metrics.generative import fid as distance
from shoestring.metrics.generative import kid as kernel
from shoestring.metrics.generative import power_spectrum as spectrum
from shoestring.metrics.generative.diversity import diversity
from shoestring.metrics.generative.fid import extrapolated_frechet_distance, frechet_distance
from shoestring.metrics.generative.kid import kernel_distance
from shoestring.metrics.generative.mode_collapse import class_collapse
from shoestring.metrics.generative.power_spectrum import SMALLEST, checkerboard
from shoestring.metrics.generative.prdc import prdc
from shoestring.metrics.score import GenerativeMetric, as_generative_metrics
from shoestring.metrics.statistics import Metric, computed_by

FEWEST = 50  # images; with fewer no distance means anything
TOO_FEW = f"a distance needs at least {FEWEST} of each kind, and 10,000 to be cited"
DIVERSITY_IMAGES = 2000  # images whose pairwise distances are averaged; a mean over pairs has no bias
SUBSETS = 50  # of 1,000 images each, for the standard error of the kernel distance
FID_DIMENSIONS = 2048  # dimensions of the FID of papers


@dataclass(frozen=True)
class ImageFeatures:
    """Images and what extractors make of them.

    Attributes:
        images: uint8, (n, c, h, w).
        inception: Features of the FID Inception, None when there is none.
        fast: Features of the shipped classifier, None where it does not fit the images.
        classes: What that classifier takes each image for, int64 (n,), None likewise.
    """

    images: Tensor
    inception: FeatureSet | None = None
    fast: FeatureSet | None = None
    classes: Tensor | None = None

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True)
class Naming:
    """How the features of `ImageFeatures` are called in names and records.

    Attributes:
        inception: Identity of the Inception extractor, "NAME DIMENSIONS RESIZING HASH".
        suffix: Its dimensions and resizing, as the names of scores end: "_768_clean".
        fast: Identity of the shipped classifier's features.
        num_classes: How many classes that classifier knows.
    """

    inception: str = ""
    suffix: str = ""
    fast: str = ""
    num_classes: int = 0


def check_asked(count: int | None, dimensions: int | None, resizing: str) -> None:
    """Refuses what cannot be measured of any images, before one is read.

    Raises:
        DataError: The images asked for are too few, or Inception has no such features.
    """
    if count is not None and count < FEWEST:
        raise DataError(f"--count {count:,}: {TOO_FEW}")
    check_features(dimensions, resizing)


def check_size(shape: tuple[int, ...]) -> None:
    """Refuses images too small for what is measured of them.

    Raises:
        DataError: Height or width, the last two numbers of the shape, is too small.
    """
    height, width = shape[-2:]
    if min(height, width) < SMALLEST:
        raise DataError(f"the images are {height} x {width} pixels; at least {SMALLEST} x {SMALLEST} can be measured")


def check_sets(real: Tensor, generated: Tensor, count: int | None = None) -> None:
    """Refuses sets that cannot be compared.

    Args:
        real: Real images, (n, c, h, w).
        generated: What is evaluated.
        count: Images of each to take; by default all.

    Raises:
        DataError: Channels, height or width differ or are too small, or a set has too few images.
    """
    if real.shape[1:] != generated.shape[1:]:
        fake, seen = ("x".join(map(str, part.shape[1:])) for part in (generated, real))
        raise DataError(
            f"generated images are {fake}, real ones {seen} (channels x height x width); resizing would decide the "
            "score: make both of one size, and say how"
        )
    check_size(real.shape)
    fewest = min(len(real), len(generated))
    if fewest < FEWEST:
        raise DataError(f"{fewest} images are too few: {TOO_FEW}")
    if count is not None and count > fewest:
        raise DataError(f"--count {count:,}: the smaller of the two sets has {fewest:,} images")


def scores(
    real: ImageFeatures, generated: ImageFeatures, naming: Naming, progress: Progress
) -> dict[str, GenerativeMetric]:
    """Everything that two sets of images tell.

    Args:
        real: Real images.
        generated: What is evaluated; or other real images, for the baseline.
        naming: How the features are called.
        progress: Reports each kind of score.

    Returns:
        Where there are Inception features, with names that end in dimensions and resizing ("fid_768_clean"): the
        distances of `inception_distances`, "precision", "recall", "density" and "coverage". Where there are features of
        the shipped classifier: "cifar_resnet_fd", the metrics of `class_collapse`, and "diversity_cifar_resnet" and its
        parts.
        Always: the metrics of `checkerboard`, "spectrum" (a list of {"frequency", "generated", "real"}), and
        "diversity_pixels" and its parts.

    Raises:
        DataError: The images differ in size or are too few.
    """
    check_sets(real.images, generated.images)
    found = distances(real, generated, naming, progress)
    n_real = len(real)
    if real.inception is not None and generated.inception is not None:
        with progress.task("precision and recall", 1) as advance:
            faithful = prdc(real.inception, generated.inception)
            advance()
        found |= as_generative_metrics(faithful, naming.suffix, naming.inception, n_real)
    if real.classes is not None and generated.classes is not None:
        collapsed = class_collapse(generated.classes, real.classes, naming.num_classes).metrics
        found |= as_generative_metrics(collapsed, features=naming.fast, n_real=n_real)
    board = checkerboard(generated.images, real.images)
    found |= as_generative_metrics(board.metrics, n_real=n_real)
    curves = torch.stack([board.real.frequencies, board.generated.radial, board.real.radial], dim=1)
    rows = [dict(zip(("frequency", "generated", "real"), map(float, point), strict=True)) for point in curves]
    note = "Variance of luma on the 0..1 scale, by cycles per pixel: the mean over each ring of frequencies."
    code = computed_by(spectrum.__name__)
    found["spectrum"] = GenerativeMetric(rows, len(generated), computed_by=code, note=note, n_real=n_real)
    spread = diversity(generated.images[:DIVERSITY_IMAGES], real.images[:DIVERSITY_IMAGES]).metrics
    found |= as_generative_metrics(spread, "_pixels", n_real=min(n_real, DIVERSITY_IMAGES))
    if real.fast is not None and generated.fast is not None:
        spread = diversity(generated.fast.features[:DIVERSITY_IMAGES], real.fast.features[:DIVERSITY_IMAGES]).metrics
        found |= as_generative_metrics(spread, "_cifar_resnet", naming.fast, min(n_real, DIVERSITY_IMAGES))
    return found


def distances(
    real: ImageFeatures, generated: ImageFeatures, naming: Naming, progress: Progress
) -> dict[str, GenerativeMetric]:
    """The distances alone: those of `inception_distances` and "cifar_resnet_fd", as far as there are features."""
    found: dict[str, GenerativeMetric] = {}
    if real.inception is not None and generated.inception is not None:
        with progress.task("distances", 1) as advance:
            found |= inception_distances(real.inception, generated.inception, naming)
            advance()
    if real.fast is not None and generated.fast is not None:
        found["cifar_resnet_fd"] = cifar_resnet_fd(real.fast, generated.fast)
    return found


def inception_distances(real: FeatureSet, generated: FeatureSet, naming: Naming) -> dict[str, GenerativeMetric]:
    """FID and KID, and FID for infinitely many generated images ("fid_..._infinite").

    The last only from twice as many images as dimensions on.
    """
    code = computed_by(distance.__name__)
    reference, fake = real.moments, generated.moments
    dimensions = len(reference.mean)
    other_scale = dimensions != FID_DIMENSIONS
    scale = (
        f"{dimensions}-dimensional features: another scale than the FID of 2,048 dimensions. " if other_scale else ""
    )
    fid = Metric(
        frechet_distance(reference, fake),
        fake.count,
        computed_by=code,
        note=scale.strip() or None,
        caution=reference.caution or fake.caution,
    )
    pairs = kernel_distance(real, generated, subsets=SUBSETS)
    half = NormalDist().inv_cdf(0.975) * pairs.standard_error
    kid = Metric(
        pairs.value,
        fake.count,
        (pairs.value - half, pairs.value + half),
        computed_by=computed_by(kernel.__name__),
        note=f"Unbiased. Error from {pairs.subsets} subsets of {pairs.subset_size:,}.",
    )
    found = as_generative_metrics({"fid": fid, "kid": kid}, naming.suffix, naming.inception, len(real))
    found[f"kid{naming.suffix}"] = replace(found[f"kid{naming.suffix}"], standard_error=pairs.standard_error)
    if fake.count // 2 >= dimensions:  # with fewer images the bias is not linear in 1/n
        line = extrapolated_frechet_distance(reference, generated)
        found[f"fid{naming.suffix}_infinite"] = GenerativeMetric(
            line.value,
            fake.count,
            computed_by=code,
            note=f"{scale}Read off a line at infinitely many generated images, from {line.counts[0]:,} on.",
            n_real=len(real),
            features=naming.inception,
        )
    return found


def cifar_resnet_fd(real: FeatureSet, generated: FeatureSet) -> GenerativeMetric:
    """The Fréchet distance of a small classifier's features: for watching a training, never to be called FID."""
    reference, fake = real.moments, generated.moments
    note = "Fréchet distance of the shipped CIFAR-100 classifier's features: no FID, comparable with itself alone."
    code = computed_by(distance.__name__)
    return GenerativeMetric(
        frechet_distance(reference, fake),
        fake.count,
        computed_by=code,
        note=note,
        caution=reference.caution or fake.caution,
        n_real=len(real),
        features=real.extractor,
    )
