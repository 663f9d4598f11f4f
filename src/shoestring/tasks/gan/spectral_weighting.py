"""Images with their frequencies in other proportions, so that what is small in them can weigh as much."""

import math
from functools import lru_cache

import torch
from torch import Tensor


def whitened(images: Tensor, order: float) -> Tensor:
    """Images whose spectrum is multiplied by (1 + f)^order, f being the frequency in half-waves per side.

    Amplitudes of natural images fall like 1/f, so order 1 makes all frequencies equal, and scales such images as a
    whole so that their pixels keep their mean square. A gradient penalty at whitened images is one in the Sobolev norm
    of order -`order` at the images (Adler and Lunz 2018, "Banach Wasserstein GAN"): a critic may then rise as steeply
    along fine detail, however little of it there is, as along light and dark.

    By matrix products with a cosine transform, float32 even inside autocast.

    Args:
        images: (n, c, side, side).
        order: 0 gives the images themselves.

    Returns:
        float32, of the same shape, in channels_last order.
    """
    with torch.autocast(images.device.type, enabled=False):
        cosines, weights = _transform(images.shape[-1], order, images.device)
        spectrum = (cosines @ images.float() @ cosines.T) * weights
        return (cosines.T @ spectrum @ cosines).contiguous(memory_format=torch.channels_last)


@lru_cache(maxsize=8)
@torch.inference_mode(False)  # plain tensors, whoever asks first
def _transform(side: int, order: float, device: torch.device) -> tuple[Tensor, Tensor]:
    """The orthogonal cosine transform, rows by frequency, and the weight of each pair of frequencies."""
    number = torch.arange(side, dtype=torch.float64)
    cosines = torch.cos(math.pi / side * (number + 0.5) * number[:, None]) * math.sqrt(2 / side)
    cosines[0] /= math.sqrt(2)
    frequency = 1 + torch.hypot(number, number[:, None])
    usual = frequency**-2  # the power of natural images
    weights = frequency**order
    weights *= (usual.sum() / (weights.square() * usual).sum()).sqrt()
    return cosines.float().to(device), weights.float().to(device)
