"""Whether what left answers as the model does: image by image, and over a whole split."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from shoestring.core.errors import ExportError
from shoestring.metrics.statistics import Metric, computed_by, fraction, paired_difference

By = Literal["number", "image"]


@dataclass(frozen=True)
class Parity:
    """How far the answers of an export are from the model's.

    Attributes:
        n: Inputs compared.
        inputs: Which, in words.
        tolerance: How far one may be off; None where integers stand for numbers, and accuracy decides.
        largest: How far the one that is off most is; infinite where one is NaN.
        worst: Which input that is, from 0.
        differing: Of classifiers, how many answers name another class; None of others.
        by: What is measured: the largest difference of any "number"; or of an "image" the root mean square, over the
            standard deviation of all numbers.
    """

    n: int
    inputs: str
    tolerance: float | None
    largest: float
    worst: int
    differing: int | None
    by: By = "number"

    def require(self, what: str, name: str) -> None:
        """Does nothing where all answers are within the tolerance and no class is another.

        Args:
            what: What was made, such as "the ONNX file".
            name: The model's name.

        Raises:
            ExportError: They are not; names the worst input.
        """
        if self.tolerance is None or (self.largest <= self.tolerance and not self.differing):
            return
        classes = f", and {self.differing:,} of {self.n:,} answers name another class" if self.differing else ""
        raise ExportError(
            f"{what} does not answer as {name} does: it is off by {self.largest:.3g} on image {self.worst} of "
            f"{self.inputs}, where {self.tolerance:g} is allowed{classes}. Nothing was written; another release of "
            "torch or of the runtime may do better"
        )

    def to_json(self) -> dict[str, Any]:
        """Its attributes as plain JSON values."""
        return asdict(self)


def compare(
    answers: Tensor,
    reference: Tensor,
    tolerance: float | None,
    inputs: str,
    *,
    classify: bool,
    by: By = "number",
) -> Parity:
    """The differences of answers from a reference, both (n, ...).

    Args:
        answers: What the export answers.
        reference: What the model answers.
        tolerance: As in `Parity`.
        inputs: As in `Parity`.
        classify: Whether they are logits (n, num_classes).
        by: As in `Parity`.
    """
    differences = (answers.double() - reference.double()).flatten(1)
    if by == "number":
        off = differences.abs().amax(1)
    else:
        off = differences.square().mean(1).sqrt() / reference.double().std().clamp_min(1e-12)
    off = off.nan_to_num(torch.inf, torch.inf)
    differing = int((answers.argmax(1) != reference.argmax(1)).sum()) if classify else None
    return Parity(len(off), inputs, tolerance, float(off.max()), int(off.argmax()), differing, by)


def accuracies(before: Tensor, after: Tensor, labels: Tensor) -> dict[str, Metric]:
    """Accuracy "before" and "after" leaving, and their "difference", after less before, with its paired interval.

    Args:
        before: The model's logits, (n, num_classes).
        after: Those of the export.
        labels: The truth, int64 (n,).
    """
    code = computed_by(__name__)
    was, now = before.argmax(1) == labels, after.argmax(1) == labels
    return {
        "before": fraction(int(was.sum()), len(labels), code),
        "after": fraction(int(now.sum()), len(labels), code),
        "difference": paired_difference(was, now, code),
    }
