"""What users give to a trained net, checked, and what it answers, checked."""

import torch
from torch import Tensor

from shoestring.core.errors import DataError, DivergedError
from shoestring.data.dataset import Normalisation, normalise


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
