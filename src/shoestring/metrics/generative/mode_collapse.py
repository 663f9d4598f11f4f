"""Whether a generator leaves classes out: the classes a classifier sees in samples, against those in real images."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from shoestring.metrics.statistics import Metric, computed_by, mean


@dataclass(frozen=True)
class Collapse:
    """How evenly samples spread over the classes.

    Attributes:
        metrics: By name, as `class_collapse` says.
        generated: int64, (num_classes,): samples seen as each class.
        real: int64, (num_classes,): real images seen as each class.
    """

    metrics: dict[str, Metric]
    generated: Tensor
    real: Tensor


def predicted_classes(logits_of: Callable[[Tensor], Tensor], images: Tensor, batch_size: int = 500) -> Tensor:
    """What a classifier takes each image for: int64, (n,), on the CPU.

    Args:
        logits_of: uint8 images (n, c, h, w) to logits (n, num_classes); normalises and moves them itself.
        images: uint8, (n, c, h, w).
        batch_size: Images to hand over at once.
    """
    with torch.no_grad():
        return torch.cat([logits_of(part).argmax(1).cpu() for part in torch.split(images, batch_size)])


def class_collapse(generated: Tensor, real: Tensor, num_classes: int) -> Collapse:
    """How evenly samples spread over the classes that one classifier sees, against real images.

    The classifier errs on both alike, so give it both rather than the true labels of the real images.

    Args:
        generated: The class seen in each sample, int64 (n,).
        real: The class seen in each real image, int64 (m,); best m = n, so that the bias of both entropies is the same.
        num_classes: How many classes there are.

    Returns:
        Metrics: "class_entropy" and "class_entropy_real" in nats, log(num_classes) at most; "effective_classes", exp
        of the samples' entropy: as many evenly used classes have it; "classes_missing", how many classes are seen in
        real images and in no sample; "class_histogram", a list of {"class", "generated", "real"} counts.

    Raises:
        ValueError: A class is not in 0..num_classes-1.
    """
    code = computed_by(__name__)
    fake = torch.bincount(generated, minlength=num_classes)
    seen = torch.bincount(real, minlength=num_classes)
    if len(fake) > num_classes or len(seen) > num_classes:
        raise ValueError(f"classes must be in 0..{num_classes - 1}")
    entropy = _entropy(generated, fake, code)
    missing = int(((fake == 0) & (seen > 0)).sum())
    rows = [{"class": i, "generated": int(fake[i]), "real": int(seen[i])} for i in range(num_classes)]
    metrics = {
        "class_entropy": entropy,
        "class_entropy_real": _entropy(real, seen, code),
        "effective_classes": Metric(
            math.exp(entropy.value),
            entropy.n,
            None if entropy.interval is None else (math.exp(entropy.interval[0]), math.exp(entropy.interval[1])),
            None,
            code,
            entropy.note,
        ),
        "classes_missing": Metric(missing, len(generated), None, None, code, "Fewer samples miss more classes."),
        "class_histogram": Metric(rows, len(generated), computed_by=code),
    }
    return Collapse(metrics, fake, seen)


def _entropy(classes: Tensor, counts: Tensor, code: str) -> Metric:
    # The entropy is the mean of -log p over the images themselves, which also gives its sampling error.
    surprise = -(counts.double() / len(classes)).log()[classes]
    bias = (int((counts > 0).sum()) - 1) / (2 * len(classes))
    note = (
        f"Too low by about {bias:.4f} nats, as every entropy of a finite sample is (Miller 1955): compare equal "
        "numbers of images. The interval leaves this bias out."
    )
    return mean(surprise, code, note, "log")
