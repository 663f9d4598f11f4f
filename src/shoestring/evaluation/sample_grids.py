"""Pictures of a generator: sample grids, interpolations, classes side by side, the best by discriminator score."""

import torch

from shoestring.core.image_grid import grid
from shoestring.core.progress import Progress
from shoestring.core.run import Run
from shoestring.model.generator import Generator

SAMPLES, PAIRS, STEPS = 64, 8, 8  # an 8x8 grid and 8 paths of 8 images, as the papers show
ROWS, COLUMNS = 10, 8  # classes, and images of each
SCORED, PICKED = 1024, 16


def draw_samples(model: Generator, run: Run, progress: Progress) -> None:
    """Draws all pictures of a generator into its run, samples not picked by hand first."""
    samples = model.sample(SAMPLES, seed=0, progress=progress)
    run.write_bytes("samples/samples.png", grid(samples, columns=8))
    paths = model.interpolate(PAIRS, STEPS, seed=0, progress=progress).flatten(0, 1)
    run.write_bytes("samples/interpolations.png", grid(paths, columns=STEPS))
    captions = [
        {
            "file": "samples.png",
            "title": "Samples",
            "caption": f"The first {SAMPLES} samples of seed 0, not picked by hand: {model.sampling.words}.",
        },
        {
            "file": "interpolations.png",
            "title": "Interpolations",
            "caption": f"{PAIRS} pairs of latent vectors of seed 0, {STEPS} steps each along a great circle.",
        },
    ]
    if model.recipe.task.conditional:
        classes = model.recipe.data.classes
        shown = torch.linspace(0, len(classes) - 1, min(ROWS, len(classes))).round().long()
        latents = model.latents(COLUMNS, seed=0).repeat(len(shown), *[1] * len(model.recipe.latent_shape))
        labels = shown.repeat_interleave(COLUMNS)
        images = model.decode(latents, progress, labels)
        run.write_bytes("samples/classes.png", grid(images, columns=COLUMNS))
        names = ", ".join(classes[int(label)] for label in shown)
        caption = f"Not picked; a row for each of {names}. A column starts from one latent of seed 0."
        captions.append({"file": "classes.png", "title": "Classes", "caption": caption})
    if "discriminator" in model.nets:
        many = model.sample(SCORED, seed=1, progress=progress)
        best = model.score(many).argsort(descending=True, stable=True)[:PICKED]
        run.write_bytes("samples/picked.png", grid(many[best], columns=8))
        caption = f"Picked by discriminator score: the best {PICKED} of {SCORED:,} samples of seed 1."
        captions.append({"file": "picked.png", "title": "Picked samples", "caption": caption})
    run.write_captions(captions)
