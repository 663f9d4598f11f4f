"""What is measured and drawn of a trained model, and written into its run."""

import datetime
import json
from dataclasses import dataclass

import torch
from torch import Tensor

from shoestring.core.image_grid import grid
from shoestring.core.progress import Progress
from shoestring.core.run import Run
from shoestring.data.dataset import Images, Split
from shoestring.data.loader import batches
from shoestring.metrics.classification import Answers, answers, classification_measures, training_line
from shoestring.metrics.statistics import Measure
from shoestring.model.model import Model
from shoestring.tasks.flow.flow_matching import Flow
from shoestring.tasks.gan.task import Adversarial

SAMPLES, PAIRS, STEPS = 64, 8, 8  # an 8x8 grid and 8 paths of 8 images, as the papers show
ROWS, COLUMNS = 10, 8  # classes, and images of each
CANDIDATES, PICKED = 1024, 16
MISTAKES = 32


@dataclass(frozen=True)
class Assessment:
    """A classifier's answers to a split and what was measured of them."""

    split: Split
    images: Images
    answers: Answers
    measures: dict[str, Measure]


def assess_classifier(model: Model, images: Images, split: Split, progress: Progress) -> Assessment:
    """All classification measures of a split; batches are as large as in training."""
    with progress.task(f"evaluating on {split}", len(images), "images") as advance:

        def logits(batch: Tensor) -> Tensor:
            advance(len(batch))
            return model.logits_of_normalised(batch)

        given = answers(
            logits, batches(images, model.recipe.normalisation, model.recipe.batch_size, model.machine.device)
        )
    return Assessment(split, images, given, classification_measures(given, len(model.recipe.data.classes)))


def record_classifier(run: Run, found: Assessment, classes: tuple[str, ...]) -> None:
    """Writes an assessment into its run, with the measures of the training itself and a picture of the mistakes."""
    facts = {"source": found.images.source, "measured": datetime.date.today().isoformat()}
    run.write_measures(found.split, {name: measure.to_json() | facts for name, measure in found.measures.items()})
    run.write_measures("train", {name: m.to_json() for name, m in training_line(run.log("train")).items()})
    confidence, predicted = found.answers.logits.softmax(1).max(1)
    wrong = (predicted != found.answers.labels).nonzero().flatten()
    worst = wrong[confidence[wrong].argsort(descending=True, stable=True)][:MISTAKES]
    if not len(worst):
        return
    run.write_bytes("samples/mistakes.png", grid(found.images.images[worst], columns=8))
    named = [f"{classes[int(predicted[i])]} for {classes[int(found.answers.labels[i])]}" for i in worst[:8]]
    caption = f"The {len(worst)} most confident wrong answers on {found.split}. First row: {'; '.join(named)}."
    write_captions(run, [{"file": "mistakes.png", "title": "Most confident mistakes", "caption": caption}])


def draw_generator(model: Model, run: Run, progress: Progress) -> None:
    """Pictures of a generator: samples not picked by hand, interpolations, and the ones its discriminator picks."""
    samples = model.sample(SAMPLES, seed=0, progress=progress)
    run.write_bytes("samples/samples.png", grid(samples, columns=8))
    paths = model.interpolate(PAIRS, STEPS, seed=0, progress=progress).flatten(0, 1)
    run.write_bytes("samples/interpolations.png", grid(paths, columns=STEPS))
    task = model.recipe.task
    how = f": {task.sampling.words}" if isinstance(task, Adversarial | Flow) else ""
    captions = [
        {
            "file": "samples.png",
            "title": "Samples",
            "caption": f"The first {SAMPLES} samples of seed 0, not picked by hand{how}.",
        },
        {
            "file": "interpolations.png",
            "title": "Interpolations",
            "caption": f"{PAIRS} pairs of latent vectors of seed 0, {STEPS} steps each along a great circle.",
        },
    ]
    if task.conditional:
        classes = model.recipe.data.classes
        shown = torch.linspace(0, len(classes) - 1, min(ROWS, len(classes))).round().long()
        latents = model.latents(COLUMNS, seed=0).repeat(len(shown), *[1] * len(model.recipe.latent_shape))
        labels = shown.repeat_interleave(COLUMNS)
        images = model.decode(model.led(latents, 0, progress, labels), progress, labels)
        run.write_bytes("samples/classes.png", grid(images, columns=COLUMNS))
        names = ", ".join(classes[int(label)] for label in shown)
        caption = f"Not picked; a row for each of {names}. A column starts from one latent of seed 0."
        captions.append({"file": "classes.png", "title": "Classes", "caption": caption})
    if "discriminator" in model.nets:
        many = model.sample(CANDIDATES, seed=1, progress=progress)
        best = model.realism(many).argsort(descending=True, stable=True)[:PICKED]
        run.write_bytes("samples/picked.png", grid(many[best], columns=8))
        caption = f"Picked by discriminator score: the best {PICKED} of {CANDIDATES:,} samples of seed 1."
        captions.append({"file": "picked.png", "title": "Picked samples", "caption": caption})
    write_captions(run, captions)


def write_captions(run: Run, captions: list[dict[str, str]]) -> None:
    """Records what the pictures show, in the order to show them."""
    run.write_bytes("samples/pictures.json", json.dumps(captions, indent=1).encode())
