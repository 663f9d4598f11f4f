"""Images that a generator makes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from shoestring.api.models import load
from shoestring.core.errors import require_at_least
from shoestring.core.image_batch import ImageBatch, image_batch
from shoestring.core.progress import Progress
from shoestring.live.usual import usual_progress
from shoestring.model.model import require_generator


def sample(
    what: Path | str,
    count: int = 64,
    seed: int = 0,
    device: str | None = None,
    progress: Progress | None = None,
    class_name: str | None = None,
    ema_decay: float | None = None,
    trust_code: bool = False,
    sampling: Mapping[str, Any] | None = None,
) -> ImageBatch:
    """Images made by a generator: uint8 (count, c, h, w), which a notebook shows as a picture.

    Args:
        what: A run's folder, or the name of a recipe whose weights are shipped.
        count: How many.
        seed: Decides which.
        device: "cpu", "cuda", …; by default a GPU when there is one.
        progress: Reports every batch, and when the run is not finished.
        class_name: The class of all images; "", or "none" if no class is called so, for no class in particular; by
            default every class in turn.
        ema_decay: Of EMA weights that the run kept; by default the final weights.
        trust_code: As of `load`.
        sampling: Options of the recipe's `task.sampling` to change, such as {"steps": 18, "guidance": 1.5}.

    Raises:
        ShoestringError: `count` is below 1.
        RecipeError: There is no such class or option, or the model is a classifier.
        OverBudgetError: An image would take more net calls than the budget allows.
    """
    require_at_least(1, count=count)
    progress = progress or usual_progress()
    model = require_generator(load(what, device, ema_decay, progress, trust_code=trust_code)).with_sampling(sampling)
    with model.machine.running():
        return image_batch(model.sample(count, seed, progress, model.labels(count, class_name)))


def interpolate(
    what: Path | str,
    pairs: int = 8,
    steps: int = 8,
    seed: int = 0,
    device: str | None = None,
    progress: Progress | None = None,
    class_name: str | None = None,
    to_class: str | None = None,
    trust_code: bool = False,
    sampling: Mapping[str, Any] | None = None,
) -> ImageBatch:
    """Images of a generator on the way between pairs of latent vectors: uint8 (pairs, steps, c, h, w).

    Args:
        what: A run's folder, or the name of a recipe whose weights are shipped.
        pairs: How many paths.
        steps: Images on each, both ends included.
        seed: Decides the pairs.
        device: "cpu", "cuda", …; by default a GPU when there is one.
        progress: Reports every batch, and when the run is not finished.
        class_name: The class to start from; by default path i shows class i.
        to_class: The class to end at; by default the one started from.
        trust_code: As of `load`.
        sampling: As of `sample`.

    Raises:
        ShoestringError: `pairs` is below 1 or `steps` below 2.
        RecipeError: There is no such class or option, or the model is a classifier.
        OverBudgetError: An image would take more net calls than the budget allows.
    """
    require_at_least(1, pairs=pairs)
    require_at_least(2, steps=steps)
    progress = progress or usual_progress()
    model = require_generator(load(what, device, progress=progress, trust_code=trust_code)).with_sampling(sampling)
    labels = model.labels(pairs, class_name), model.labels(pairs, class_name if to_class is None else to_class)
    with model.machine.running():
        return image_batch(model.interpolate(pairs, steps, seed, progress, labels))
