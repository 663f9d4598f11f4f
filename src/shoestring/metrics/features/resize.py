"""Images as the FID Inception sees them: 299x299 floats around 0, in one of two ways that must never be mixed."""

from functools import cache
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

Resizing = Literal["clean", "legacy"]

SIDE = 299


def resize(images: Tensor, resizing: Resizing) -> Tensor:
    """Images of 299x299 on the scale that the Inception weights expect.

    "clean" is what clean-fid calls so (arXiv 2104.11222): PIL's bicubic in float, per channel, antialiased where it
    shrinks, clipped to 0..255, then (x - 128) / 128. "legacy" is what the pytorch-fid port does: bilinear with
    half-pixel centres and no antialiasing (TensorFlow 1 puts its samples elsewhere), then x / 127.5 - 1.

    Args:
        images: uint8 or float 0..255, (n, 3, height, width).
        resizing: Which of the two.

    Returns:
        float32, (n, 3, 299, 299), in about -1..1.
    """
    pixels = images.float()
    if resizing == "legacy":
        return F.interpolate(pixels, (SIDE, SIDE), mode="bilinear").div_(127.5).sub_(1)
    height, width = pixels.shape[-2:]
    # A matrix per axis, the horizontal one first as in PIL; torch's own antialiased bicubic is 0.004 off on 0..255.
    wide = pixels @ bicubic_matrix(width, SIDE).to(pixels).T
    return (bicubic_matrix(height, SIDE).to(pixels) @ wide).clamp_(0, 255).sub_(128).div_(128)


@cache
@torch.inference_mode(False)  # a plain tensor, whoever asks first
def bicubic_matrix(before: int, after: int) -> Tensor:
    """The matrix that PIL's bicubic resizing multiplies one axis by.

    Cubic convolution with a = -0.5 (Keys 1981, "Cubic convolution interpolation") about half-pixel centres; where it
    shrinks, the kernel is widened by the ratio; at the border the weights inside the image are scaled to sum to 1.

    Args:
        before: Pixels along the axis.
        after: Pixels wanted.

    Returns:
        float64, (after, before).
    """
    ratio = before / after
    width = max(ratio, 1.0)
    centres = (torch.arange(after, dtype=torch.float64) + 0.5) * ratio
    distances = ((torch.arange(before, dtype=torch.float64) + 0.5 - centres[:, None]) / width).abs()
    near = 1 - 2.5 * distances**2 + 1.5 * distances**3
    far = 2 - 4 * distances + 2.5 * distances**2 - 0.5 * distances**3
    weights = torch.where(distances < 1, near, torch.where(distances < 2, far, 0.0))
    return weights / weights.sum(dim=1, keepdim=True)
