"""What users give to a trained net, checked, batched, and what it answers, checked."""

from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from shoestring.core.device import Machine
from shoestring.core.errors import DataError, DivergedError
from shoestring.data.dataset import Normalisation, normalise
from shoestring.recipes.recipe import Recipe

BATCH = 500  # images per forward pass: large enough to be fast, small enough for any memory
SMALL_BATCH = 50  # on a CPU, which gains nothing from more and shall report now and then


class Trained(Protocol):
    """A model, as far as its pixels are concerned."""

    @property
    def recipe(self) -> Recipe:
        """What it was trained as."""
        ...

    @property
    def machine(self) -> Machine:
        """How the arithmetic is done."""
        ...


def batch_size(machine: Machine) -> int:
    """Images to take at once."""
    return SMALL_BATCH if machine.device.type == "cpu" else BATCH


def over_batches(model: Trained, work: Callable[..., Tensor], images: Tensor, *beside: Tensor, doing: str) -> Tensor:
    """What a model makes of images and of what is beside each, batch by batch.

    Args:
        model: The model.
        work: Normalised images (n, c, h, w), and tensors (n, ...) -> (n, ...).
        images: As `check_pixels` takes them.
        beside: Further tensors, (n, ...) each.
        doing: What the model does, such as "answers with", for an error.

    Raises:
        DataError: The images are of another shape, type or range.
        DivergedError: A result is NaN or infinite.
    """
    recipe, size = model.recipe, batch_size(model.machine)
    check_pixels(images, recipe.data.shape)
    parts = zip(*(torch.split(each, size) for each in (images, *beside)), strict=True)
    found = [work(as_seen(some, recipe.normalisation, model.machine.device), *rest) for some, *rest in parts]
    return finite(torch.cat(found), f"{recipe.name} {doing}")


def check_pixels(images: Tensor, shape: tuple[int, int, int]) -> None:
    """Refuses what is not a set of images of a shape.

    Args:
        images: Should be (n, *shape): uint8 in 0..255, or floats in 0..1.
        shape: Channels, height, width.

    Raises:
        DataError: They are of another shape, type or range, or hold NaN.
    """
    if images.ndim != 4 or tuple(images.shape[1:]) != shape:
        one = "; of a single image give image[None]" if tuple(images.shape) == shape else ""
        raise DataError(
            f"the images have the shape {tuple(images.shape)}, but this net takes (n, {', '.join(map(str, shape))}): "
            f"images, channels, height, width{one}"
        )
    if images.dtype == torch.uint8:
        return
    kind = str(images.dtype).removeprefix("torch.")
    remedy = "give uint8 in 0..255, or floats in 0..1"
    if not images.is_floating_point():
        raise DataError(f"the images are {kind}; {remedy}: images.to(torch.uint8), if their values are in 0..255")
    if images.numel():
        low, high = (float(end) for end in images.aminmax())
        if not (low >= 0 and high <= 1):  # NaN compares false
            raise DataError(
                f"the images are {kind} from {low:g} to {high:g}; {remedy}. For normalised ones there is "
                "logits_of_normalised"
            )


def as_seen(images: Tensor, normalisation: Normalisation, device: torch.device) -> Tensor:
    """Images that `check_pixels` accepts as nets see them: float32, normalised, on a device."""
    images = images.to(device)
    return normalise(images if images.dtype == torch.uint8 else images.float(), normalisation)


def finite(values: Tensor, said: str) -> Tensor:
    """The values, which a net made.

    Args:
        values: Any floats.
        said: Which net they are of and what they are, such as "NAME answers with".

    Raises:
        DivergedError: One of them is NaN or infinite.
    """
    if not bool(values.isfinite().all()):
        raise DivergedError(
            f"{said} NaN or infinity: its weights are damaged, or its training diverged; train it again, with a lower "
            "learning rate"
        )
    return values
