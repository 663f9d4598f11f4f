"""How well a classifier answers: accuracy, loss, calibration, and where it errs."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from shoestring.core.class_balance import is_uneven, majority
from shoestring.core.errors import DataError, DivergedError
from shoestring.metrics.statistics import Metric, computed_by, fraction, mean, pooled_interval

CALIBRATION_BINS = 15


@dataclass(frozen=True)
class Predictions:
    """What a classifier said about a split.

    Attributes:
        logits: float32, (n, num_classes), on the CPU.
        labels: int64, (n,), on the CPU: the truth.
        batch_sizes: Images of each mini-batch, in order; their sum is n.
    """

    logits: Tensor
    labels: Tensor
    batch_sizes: tuple[int, ...]

    def ranked(self) -> Tensor:
        """Classes from most to least likely, int64 (n, num_classes); of equal logits the lower class comes first."""
        return self.logits.argsort(dim=1, descending=True, stable=True)

    def batch_accuracies(self) -> Tensor:
        """Accuracy of each mini-batch: float64, (batches,)."""
        correct = (self.ranked()[:, 0] == self.labels).double()
        return torch.stack([part.mean() for part in torch.split(correct, list(self.batch_sizes))])


def predictions(logits_of: Callable[[Tensor], Tensor], batches: Iterable[dict[str, Tensor]]) -> Predictions:
    """A classifier's answers to all batches, without gradients.

    Args:
        logits_of: Images (n, c, h, w) to logits (n, num_classes); sets its own precision and mode.
        batches: Each with "images" (n, c, h, w) and "labels" int64 (n,), in any sizes.

    Raises:
        DataError: There are no images.
        DivergedError: A logit is NaN or infinite.
    """
    logits: list[Tensor] = []
    labels: list[Tensor] = []
    with torch.no_grad():
        for batch in batches:
            # A copy: the function may hand out one buffer every time. Moved at the end, so that a GPU never waits.
            logits.append(logits_of(batch["images"]).to(torch.float32, copy=True))
            labels.append(batch["labels"])
    if not sum(len(part) for part in labels):
        raise DataError("there are no images to evaluate on; raise `tune` in the recipe or choose another split")
    whole = torch.cat(logits).cpu()
    if not bool(whole.isfinite().all()):
        raise DivergedError("the net answers NaN or infinity; train it again with a lower learning rate")
    return Predictions(whole, torch.cat(labels).cpu(), tuple(len(part) for part in labels))


def classification_metrics(predictions: Predictions, num_classes: int) -> dict[str, Metric]:
    """All metrics of a classifier on one split.

    Args:
        predictions: What it said.
        num_classes: How many classes there are.

    Returns:
        "accuracy" and, beyond five classes, "top5_accuracy": fractions of images, with Wilson intervals. "loss":
        cross-entropy in nats, without label smoothing. "batch_accuracy": mean and standard deviation over mini-batches.
        "calibration_error" and "calibration" (a list of bins). "per_class_accuracy": a list of {"class", "value", "n",
        "interval"}. "confusion": counts, a row for each true and a column for each predicted class. Where classes are
        uneven also "balanced_accuracy" and "majority_baseline".

    Raises:
        ValueError: The logits do not have `num_classes` columns, or a label is not in 0..num_classes-1.
    """
    n, columns = predictions.logits.shape
    if columns != num_classes or not bool(((predictions.labels >= 0) & (predictions.labels < num_classes)).all()):
        raise ValueError(f"logits and labels must be of {num_classes} classes, got {columns} columns")
    code = computed_by(__name__)
    ranked = predictions.ranked()
    loss = F.cross_entropy(predictions.logits.double(), predictions.labels, reduction="none")
    bins = calibration(predictions)
    error = sum(row["n"] * abs(row["accuracy"] - row["confidence"]) for row in bins if row["n"]) / n
    confusion = torch.bincount(predictions.labels * num_classes + ranked[:, 0], minlength=num_classes**2)
    confusion = confusion.view(num_classes, num_classes)
    metrics = {
        "accuracy": fraction(int((ranked[:, 0] == predictions.labels).sum()), n, code),
        "loss": mean(loss, code, "Cross-entropy in nats, without label smoothing; the std is over images.", "log"),
        "batch_accuracy": batch_accuracy(predictions),
        "calibration_error": Metric(
            error,
            n,
            computed_by=code,
            note=f"Expected calibration error over {CALIBRATION_BINS} bins of equal width (arXiv 1706.04599); "
            "biased upward for few images.",
        ),
        "calibration": Metric(bins, n, computed_by=code),
        "per_class_accuracy": Metric(per_class_accuracy(confusion), n, computed_by=code),
        "confusion": Metric(confusion.tolist(), n, computed_by=code, note="Rows: true class; columns: predicted."),
    }
    counts = [int(count) for count in confusion.sum(1)]
    if is_uneven(counts):
        metrics["balanced_accuracy"] = balanced_accuracy(confusion)
        most, largest = majority(counts)
        metrics["majority_baseline"] = Metric(
            largest, n, computed_by=code, note=f"The accuracy of always answering class {most}, the most frequent one."
        )
    if num_classes > 5:
        hits = (ranked[:, :5] == predictions.labels[:, None]).any(1)
        metrics["top5_accuracy"] = fraction(int(hits.sum()), n, code)
    return metrics


def batch_accuracy(predictions: Predictions) -> Metric:
    """Mean and sample standard deviation of the accuracy over full mini-batches, as in "0.494 +- 0.066".

    The standard deviation is the sampling noise of one mini-batch and says nothing of how sure the mean is; the
    interval does. A last, shorter batch is left out, as its noise is another.
    """
    sizes = torch.tensor(predictions.batch_sizes)
    accuracies = predictions.batch_accuracies()[sizes == sizes[0]]
    note = f"Over {len(accuracies)} full mini-batches of {sizes[0]} images; the std is that of one mini-batch."
    return mean(accuracies, computed_by(__name__), note, "logit")


def calibration(predictions: Predictions, bins: int = CALIBRATION_BINS) -> list[dict[str, Any]]:
    """A reliability diagram: how often the classifier is right, by how sure it is (arXiv 1706.04599).

    Args:
        predictions: What it said; its confidence is the largest softmax probability.
        bins: Bins of equal width over 0..1, each without its lower and with its upper end.

    Returns:
        For each bin "low", "high", "n", and the mean "confidence" and "accuracy" of its images; both None where n is 0.
    """
    confidence = predictions.logits.double().softmax(1).amax(1)
    correct = (predictions.ranked()[:, 0] == predictions.labels).double()
    edges = torch.linspace(0, 1, bins + 1, dtype=torch.float64)
    chosen = torch.bucketize(confidence, edges).sub(1).clamp_(0, bins - 1)
    counts = torch.bincount(chosen, minlength=bins)
    confidences = torch.bincount(chosen, confidence, minlength=bins) / counts
    accuracies = torch.bincount(chosen, correct, minlength=bins) / counts
    return [
        {
            "low": float(edges[i]),
            "high": float(edges[i + 1]),
            "n": int(counts[i]),
            "confidence": float(confidences[i]) if counts[i] else None,
            "accuracy": float(accuracies[i]) if counts[i] else None,
        }
        for i in range(bins)
    ]


def per_class_accuracy(confusion: Tensor) -> list[dict[str, Any]]:
    """Accuracy within each true class, with Wilson intervals.

    Args:
        confusion: Counts, (num_classes, num_classes): true by predicted.

    Returns:
        {"class", "value", "n", "interval"} by class; value and interval are None for a class without images.
    """
    rows: list[dict[str, Any]] = []
    for label, counts in enumerate(confusion):
        correct, n = int(counts[label]), int(counts.sum())
        measured = fraction(correct, n, computed_by(__name__)).to_json() if n else {"value": None, "interval": None}
        rows.append({"class": label, "value": measured["value"], "n": n, "interval": measured["interval"]})
    return rows


def balanced_accuracy(confusion: Tensor) -> Metric:
    """The mean of the accuracies within the classes that have images: each class counts alike.

    Its interval is symmetric on a logistic scale about the mean of the Laplace estimates, (right + 1) / (n + 2), whose
    variances it takes: those of plain shares are 0 where all of three images are right.

    Args:
        confusion: Counts, (num_classes, num_classes): true by predicted.
    """
    counts, right = confusion.sum(1).double(), confusion.diagonal().double()
    there = counts > 0
    counts, right = counts[there], right[there]
    classes = len(counts)
    value = float((right / counts).mean())
    smooth = (right + 1) / (counts + 2)
    half = NormalDist().inv_cdf(0.975) * math.sqrt(float((smooth * (1 - smooth) / counts).sum())) / classes
    centre = float(smooth.mean())
    logit, half = math.log(centre / (1 - centre)), half / (centre * (1 - centre))
    low, high = ((1 + math.tanh((logit + side * half) / 2)) / 2 for side in (-1, 1))
    absent = len(confusion) - classes
    note = f"Mean over {classes} classes{f'; {absent} more have no image' if absent else ''}."
    return Metric(value, int(counts.sum()), (min(low, value), max(high, value)), None, computed_by(__name__), note)


LAST_STEPS = 1_000  # of the training; the papers average over these, a tenth of theirs


def train_metrics_summary(train_records: Sequence[Mapping[str, Any]]) -> dict[str, Metric]:
    """Mean and standard deviation over the mini-batches of the last 1,000 steps, for everything the log has.

    Of a training of fewer than 10,000 steps it is the last tenth. Records are pooled exactly: by their counts, and with
    the spread between them as well as within them.

    Args:
        train_records: In order of steps, as `training.metric_logger` writes them; each has "step" (of its last
            mini-batch), "count" (mini-batches it sums up), "mean" and "std" (population, divided by count), by name.
            Records are taken whole, newest first, until they cover as many steps; the metric's n says how many they
            were.

    Returns:
        By name the mean, with n mini-batches, their sample std, and Student's interval of the mean, of accuracies
        on a logistic scale and of losses on a logarithmic one. It takes mini-batches as independent and the net as one,
        though it learns meanwhile. Nothing for an empty log.
    """
    chosen: list[Mapping[str, Any]] = []
    for record in reversed(train_records):
        if sum(taken["count"] for taken in chosen) >= min(LAST_STEPS, train_records[-1]["step"] // 10) and chosen:
            break
        chosen.append(record)
    names = dict.fromkeys(name for record in reversed(chosen) for name in record["mean"])
    return {name: _pooled(name, [record for record in chosen if name in record["mean"]]) for name in names}


def _pooled(name: str, records: Sequence[Mapping[str, Any]]) -> Metric:
    n = sum(record["count"] for record in records)
    mean = math.fsum(record["count"] * record["mean"][name] for record in records) / n
    # Squares of differences from the pooled mean: no cancellation, unlike a difference of mean squares.
    squares = math.fsum(
        record["count"] * (record["std"][name] ** 2 + (record["mean"][name] - mean) ** 2) for record in records
    )
    std = math.sqrt(squares / (n - 1)) if n > 1 else None
    scale = "logit" if name.endswith("accuracy") else "log"
    first, last = records[-1]["step"] - records[-1]["count"] + 1, records[0]["step"]
    return Metric(
        mean,
        n,
        None if std is None else pooled_interval(mean, std, n, scale=scale),
        std,
        computed_by(__name__),
        f"Over the mini-batches of steps {first:,} to {last:,}, with augmentation and the net as it was at each step.",
    )
