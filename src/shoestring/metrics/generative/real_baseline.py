"""The real-vs-real baseline: what other real images get in place of generated ones; cached, for data alone decides."""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from shoestring.core.atomic_files import write_atomic
from shoestring.core.progress import Progress
from shoestring.metrics.generative.suite import ImageFeatures, Naming, scores
from shoestring.metrics.score import GenerativeMetric
from shoestring.metrics.statistics import computed_by


def real_baseline_metrics(
    real: ImageFeatures, further: ImageFeatures, naming: Naming, folder: Path, progress: Progress
) -> dict[str, GenerativeMetric]:
    """The scores of further real images, read from a cache when the same were compared before in the same way.

    The file's name is a hash of both sets' shapes, pixels and order, of the extractors' identities (dimensions,
    resizing and weights are part of these), and of the code that computes. The scores carry a checksum, and a damaged
    file is computed anew.

    Args:
        real: The real images that generated ones are compared with.
        further: Other real images, as many as generated ones.
        naming: How the features are called.
        folder: The cache; made when missing, and free to be deleted at any time.
        progress: Reports each kind of score, a damaged file, and one that cannot be written.

    Raises:
        DataError: As of `suite.scores`.
    """
    shapes = [list(one.images.shape) for one in (real, further)]
    classified = [one.classes is not None for one in (real, further)]
    seen = hashlib.sha256(json.dumps([computed_by(__name__), asdict(naming), shapes, classified]).encode())
    for one in (real, further):
        seen.update(one.images.cpu().numpy().tobytes())
    path = folder / f"real-baseline-{seen.hexdigest()[:24]}.json"
    try:
        return _read(path)
    except FileNotFoundError:
        pass
    except (OSError, ValueError, KeyError, TypeError) as error:
        progress.say(f"{path} is damaged ({error}); computing the baseline again")
    found = scores(real, further, naming, progress)
    values = {name: score.to_json() for name, score in found.items()}
    try:
        write_atomic(path, json.dumps({"sha256": _checksum(values), "scores": values}).encode())
    except OSError as error:
        progress.say(f"the real-vs-real baseline is not cached: {error}")
    return found


def not_among(images: Tensor, others: Tensor) -> Tensor:
    """Those of images (n, c, h, w) whose pixels are not those of any other image (m, c, h, w), in their order.

    A baseline is of images that are not the real ones themselves, which would get a distance of 0.
    """
    known = {_pixels(image) for image in others}
    return images[torch.tensor([_pixels(image) not in known for image in images], dtype=torch.bool)]


def _pixels(image: Tensor) -> bytes:
    return hashlib.sha256(image.numpy().tobytes()).digest()


def _read(path: Path) -> dict[str, GenerativeMetric]:
    content = json.loads(path.read_bytes())
    values: dict[str, dict[str, Any]] = content["scores"]
    if _checksum(values) != content["sha256"]:
        raise ValueError("its content does not match its checksum")
    return {name: GenerativeMetric.from_json(value) for name, value in values.items()}


def _checksum(values: dict[str, dict[str, Any]]) -> str:
    return hashlib.sha256(json.dumps(values).encode()).hexdigest()
