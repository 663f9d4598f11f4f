"""What is looked at during training: the tune split for classifiers, a grid of samples for generators."""

from typing import Any

from shoestring.data.feed import batches
from shoestring.data.images import Images
from shoestring.engine import Machine
from shoestring.measure.accuracy import answers, classification_measures
from shoestring.pictures import grid
from shoestring.progress import Progress
from shoestring.recipes.recipe import Recipe
from shoestring.run import Run
from shoestring.training.loop import Watch
from shoestring.training.model import Model
from shoestring.training.state import State

WATCHED = 64  # samples in a progress picture, always of the same latent vectors


def watcher(recipe: Recipe, run: Run, machine: Machine, tune: Images | None) -> Watch:
    """The function that the loop calls now and then; it leaves the state as it was."""

    def look(state: State) -> dict[str, Any] | None:
        nets = state.answering()
        training = nets.training
        try:
            return look_at(Model(recipe, nets.eval(), machine), state.step)
        finally:
            nets.train(training)

    def look_at(model: Model, step: int) -> dict[str, Any] | None:
        if model.generates:
            samples = model.sample(WATCHED, seed=0, progress=Progress())
            run.write_bytes(f"samples/step-{step:08d}.png", grid(samples, columns=8))
            return None
        if tune is None:
            return None
        given = answers(model.logits, batches(tune, recipe.data, 500, machine.device))
        measures = classification_measures(given, len(recipe.data.classes))
        mean = {name: measures[name].value for name in ("loss", "accuracy")}
        return {"kind": "tune", "n": len(tune), "mean": mean}

    return look
