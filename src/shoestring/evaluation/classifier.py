"""A classifier evaluated on a split: its metrics, and its most confident mistakes as a picture."""

import datetime
from dataclasses import dataclass

from torch import Tensor

from shoestring.core.image_grid import grid
from shoestring.core.measured_here import remember_measured
from shoestring.core.progress import Progress
from shoestring.core.run import Run
from shoestring.data.dataset import Images, Split
from shoestring.data.loader import batches
from shoestring.metrics.classification import Predictions, classification_metrics, predictions, train_metrics_summary
from shoestring.metrics.statistics import Metric
from shoestring.model.classifier import Classifier

MISTAKES = 32


@dataclass(frozen=True)
class ClassifierEvaluation:
    """A classifier's answers to a split and what was measured of them."""

    split: Split
    images: Images
    predictions: Predictions
    metrics: dict[str, Metric]


def evaluate_classifier(model: Classifier, images: Images, split: Split, progress: Progress) -> ClassifierEvaluation:
    """All classification metrics of a split; batches are as large as in training."""
    with progress.task(f"evaluating on {split}", len(images), "images") as advance:

        def logits(batch: Tensor) -> Tensor:
            advance(len(batch))
            return model.logits_of_normalised(batch)

        given = predictions(
            logits, batches(images, model.recipe.normalisation, model.recipe.batch_size, model.machine.device)
        )
    return ClassifierEvaluation(split, images, given, classification_metrics(given, len(model.recipe.data.classes)))


def record_classifier(
    run: Run, found: ClassifierEvaluation, classes: tuple[str, ...], *, one_call: bool = False
) -> None:
    """Writes an evaluation into its run, with the metrics of the training itself and a picture of the mistakes.

    The split's metrics come last: where they are, all is.

    Args:
        run: Where to.
        found: The evaluation.
        classes: Their names.
        one_call: Whether it is by one view of an image, where the run answers by several: then the metrics stand beside
            the run's own, and nothing else is written.
    """
    provenance = {"source": found.images.source, "measured": datetime.date.today().isoformat()}
    metrics = {name: metric.to_json() | provenance for name, metric in found.metrics.items()}
    if one_call:
        run.write_one_call_metrics(found.split, metrics)
        return
    _draw_mistakes(run, found, classes)
    run.write_metrics("train", {name: m.to_json() for name, m in train_metrics_summary(run.log("train")).items()})
    run.write_metrics(found.split, metrics)
    remember_measured(run, found.split, "train")


def _draw_mistakes(run: Run, found: ClassifierEvaluation, classes: tuple[str, ...]) -> None:
    confidence, predicted = found.predictions.logits.softmax(1).max(1)
    wrong = (predicted != found.predictions.labels).nonzero().flatten()
    worst = wrong[confidence[wrong].argsort(descending=True, stable=True)][:MISTAKES]
    if not len(worst):
        return
    run.write_bytes("samples/mistakes.png", grid(found.images.images[worst], columns=8))
    named = [f"{classes[int(predicted[i])]} for {classes[int(found.predictions.labels[i])]}" for i in worst[:8]]
    caption = f"The {len(worst)} most confident wrong answers on {found.split}. First row: {'; '.join(named)}."
    run.write_captions([{"file": "mistakes.png", "title": "Most confident mistakes", "caption": caption}])
