"""Where pixels are read from: affine maps and smooth random displacements, for whole batches."""

import torch
import torch.nn.functional as F
from torch import Tensor


def affine(
    images: Tensor,
    degrees: Tensor,
    shift: Tensor,
    scale: Tensor,
    shear_degrees: Tensor,
    displacement: Tensor | None = None,
) -> Tensor:
    """The images sheared, scaled and rotated about their centre, then translated; bilinear, 0 outside.

    With x to the right and y down, in pixels from the centre, a pixel goes from p to scale R S p + shift with
    R = [[cos, -sin], [sin, cos]] (clockwise to the eye) and S = [[1, -tan(shear)], [0, 1]]; each output pixel is
    read at the inverse of that map. The convention is that of torchvision's RandomAffine with one number for shear.

    Args:
        images: float, (n, c, h, w).
        degrees: (n,), rotation.
        shift: (n, 2), right and down, as fractions of width and height.
        scale: (n,), enlargement.
        shear_degrees: (n,), shear along x.
        displacement: (n, 2, h, w), how much further right and down in the images each output pixel is read, as
            fractions of width and height.
    """
    _, _, height, width = images.shape
    angle, slope = torch.deg2rad(degrees), torch.deg2rad(shear_degrees).tan()
    cos, sin = angle.cos() / scale, angle.sin() / scale
    # affine_grid measures both sides as -1..1, so terms that mix x and y carry the ratio of the sides.
    xx, xy = cos - slope * sin, (sin + slope * cos) * (height / width)
    yx, yy = -sin * (width / height), cos
    right, down = (2 * shift).unbind(1)
    inverse = torch.stack((xx, xy, -xx * right - xy * down, yx, yy, -yx * right - yy * down), 1).view(-1, 2, 3)
    grid = F.affine_grid(inverse, list(images.shape), align_corners=False)
    if displacement is not None:
        grid = grid + 2 * displacement.permute(0, 2, 3, 1)
    return F.grid_sample(images, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def smooth_displacement(
    shape: tuple[int, int, int], std: float, smoothness: float, generator: torch.Generator
) -> Tensor:
    """Random fields that displace neighbouring pixels alike: normal noise, smoothed by a Gaussian (Simard et al. 2003).

    Args:
        shape: n, h, w.
        std: Of every displacement along each axis, the same at the edges as in the middle.
        smoothness: Standard deviation of the Gaussian, as a fraction of each side.
        generator: Source of the noise.

    Returns:
        float32 (n, 2, h, w), on the generator's device.
    """
    n, height, width = shape
    noise = torch.randn(n, 2, height, width, generator=generator, device=generator.device)
    down, right = (_smoothing(side, smoothness * side, noise) for side in (height, width))
    return down @ noise @ right.T * std


def _smoothing(side: int, std: float, like: Tensor) -> Tensor:
    """(side, side): rows are Gaussians around each place, of length 1, so that smoothed noise keeps its std."""
    places = torch.arange(side, device=like.device, dtype=like.dtype)
    return F.normalize(torch.exp(-0.5 * ((places[:, None] - places) / std).square()), dim=1)
