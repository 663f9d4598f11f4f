"""The augmentation of ADA (arXiv 2006.06676, appendix B), as far as it suits small images.

It is applied to all images that a discriminator sees, each change of each image with a probability of its own. Below a
probability of about 0.8 a generator does not learn to imitate the changes.
"""

import math
from functools import cache
from typing import Annotated

import torch
import torch.nn.functional as F
from pydantic import Field, NonNegativeFloat
from torch import Generator, Tensor

from shoestring.core.config import Spec
from shoestring.core.errors import RecipeError
from shoestring.tasks.contract import Batch
from shoestring.tasks.gan.diffaugment import hole, hole_start, moved, whole_steps

Fraction = Annotated[float, Field(ge=0, le=1)]


class ADAugment(Spec):
    """How often and how much is changed; with the strengths of the publication, and a probability of 0.

    In this order: shift, flip, quarter turns, scale, rotation, stretch (between two rotations), fractional shift,
    brightness, contrast, luma flip, hue, saturation, cutout. Gradients flow through all of them.
    """

    probability: Fraction = 0.0
    """Probability of each change, drawn anew for each change and each image."""
    flip: bool = True
    """Mirror left to right, or not, by chance."""
    quarter_turns: bool = True
    """Turn by 0, 1, 2 or 3 right angles; images must be square."""
    shift: Fraction = 0.125
    """Move along each axis by whole pixels, at most this fraction of the side; the image is mirrored at its edges."""
    scale: NonNegativeFloat = 0.2
    """Enlarge by 2 to a normal number of this standard deviation."""
    rotation_degrees: Annotated[float, Field(ge=0, le=180)] = 180.0
    """Rotate by an angle uniform in plus or minus this."""
    stretch: NonNegativeFloat = 0.2
    """Enlarge one axis and shrink the other by 2 to a normal number of this standard deviation."""
    fractional_shift: NonNegativeFloat = 0.125
    """Move along each axis by a normal number of this standard deviation, as a fraction of the side."""
    brightness: NonNegativeFloat = 0.2
    """Add a normal number of this standard deviation, of pixels in -1..1."""
    contrast: NonNegativeFloat = 0.5
    """Multiply pixels in -1..1 by 2 to a normal number of this standard deviation."""
    luma_flip: bool = True
    """Mirror the mean of the three colours about 0, hue and saturation kept, or not, by chance."""
    hue: Annotated[float, Field(ge=0, le=0.5)] = 0.5
    """Turn colours about the grey axis by a fraction of a full turn uniform in plus or minus this."""
    saturation: NonNegativeFloat = 1.0
    """Scale distances from grey by 2 to a normal number of this standard deviation."""
    cutout: Fraction = 0.5
    """Sides of a rectangle set to 0 over those of the image; its centre is anywhere in the image."""

    def draw(self, shape: torch.Size, generator: Generator) -> Batch:
        """What `apply` needs for images (n, c, h, w), on the generator's device.

        Returns:
            "shifts" (n, 2): pixels to the right and down, int64; "places" (n, 2, 3): where in an image each pixel is
            read, both in -1..1; "colours" (n, 3, 4): red, green and blue as weighted sums of these and 1; "holes" (n,
            2): first row and column of the cutout, int64. Where shift or cutout is off, without these.
        """
        count, _, height, width = shape
        device = generator.device

        def uniform() -> Tensor:
            return torch.rand(count, generator=generator, device=device)

        def power(std: float) -> Tensor:
            return torch.exp2(std * torch.randn(count, generator=generator, device=device))

        def some(values: Tensor, otherwise: float, probability: float = self.probability) -> Tensor:
            """Values (n,) or (n, k) for images chosen by chance; another value for the rest."""
            chosen = uniform() < probability
            return torch.where(chosen if values.ndim == 1 else chosen[:, None], values, otherwise)

        zero, one = torch.zeros(count, device=device), torch.ones(count, device=device)

        def square(*rows: tuple[Tensor, ...]) -> Tensor:
            return torch.stack([torch.stack(row, 1) for row in rows], 1)

        def resized(x: Tensor, y: Tensor) -> Tensor:
            return square((1 / x, zero, zero), (zero, 1 / y, zero), (zero, zero, one))

        def turned(angle: Tensor) -> Tensor:
            cos, sin = angle.cos(), angle.sin()
            return square((cos, sin, zero), (-sin, cos, zero), (zero, zero, one))

        def carried(right_down: Tensor) -> Tensor:
            right, down = right_down.unbind(1)
            return square((one, zero, -right), (zero, one, -down), (zero, zero, one))

        def rotation() -> Tensor:
            # Before and after the stretch, so that both together come as often as any other change.
            angle = (2 * uniform() - 1) * math.radians(self.rotation_degrees)
            return turned(some(angle, 0, 1 - math.sqrt(1 - self.probability)))

        # Inverse maps, in pixels from the centre: what happens to an image first comes first in the product.
        place = torch.eye(3, device=device).expand(count, 3, 3)
        if self.flip:
            place = place @ resized(some(1 - 2 * (2 * uniform()).floor(), 1), one)
        if self.quarter_turns:
            if height != width:
                raise RecipeError(
                    f"images of {height}x{width} cannot take quarter turns; set ada.quarter_turns to false"
                )
            place = place @ turned(some((4 * uniform()).floor(), 0) * (math.pi / 2)).round()
        if self.scale:
            size = some(power(self.scale), 1)
            place = place @ resized(size, size)
        if self.rotation_degrees:
            place = place @ rotation()
        if self.stretch:
            ratio = some(power(self.stretch), 1)
            place = place @ resized(ratio, 1 / ratio)
        if self.rotation_degrees:
            place = place @ rotation()
        if self.fractional_shift:
            right, down = self.fractional_shift * torch.randn(2, count, generator=generator, device=device)
            place = place @ carried(some(torch.stack((width * right, height * down), 1), 0))
        # Pixels from the centre into -1..1, and back.
        place = resized(width / 2 * one, height / 2 * one) @ place @ resized(2 / width * one, 2 / height * one)

        colour = torch.eye(4, device=device).expand(count, 4, 4)
        grey = torch.full((3, 3), 1 / 3, device=device)  # projects on the grey axis
        rest = torch.eye(3, device=device) - grey
        across = (torch.eye(3, device=device).roll(1, 0) - torch.eye(3, device=device).roll(-1, 0)) / math.sqrt(3)

        def mixed(matrix: Tensor, added: Tensor | None = None) -> Tensor:
            """Matrices (n, 4, 4) of colours mixed by (n, 3, 3), then with a number (n,) added to all three."""
            column = (zero if added is None else added)[:, None, None].expand(count, 3, 1)
            return torch.cat((torch.cat((matrix, column), 2), torch.eye(4, device=device)[3:].expand(count, 1, 4)), 1)

        def each(values: Tensor) -> Tensor:
            return values[:, None, None]

        everything = (grey + rest).expand(count, 3, 3)
        if self.brightness:
            normal = self.brightness * torch.randn(count, generator=generator, device=device)
            colour = mixed(everything, some(normal, 0)) @ colour
        if self.contrast:
            colour = mixed(each(some(power(self.contrast), 1)) * everything) @ colour
        if self.luma_flip:
            colour = mixed(each(some(1 - 2 * (2 * uniform()).floor(), 1)) * grey + rest) @ colour
        if self.hue:
            angle = some((2 * uniform() - 1) * (2 * math.pi * self.hue), 0)
            colour = mixed(grey + each(angle.cos()) * rest + each(angle.sin()) * across) @ colour
        if self.saturation:
            colour = mixed(grey + each(some(power(self.saturation), 1)) * rest) @ colour

        drawn = {"places": place[:, :2], "colours": colour[:, :3]}
        if self.shift:
            steps = [whole_steps(uniform(), round(self.shift * side)) for side in (width, height)]
            drawn["shifts"] = some(torch.stack(steps, 1), 0)
        if self.cutout:
            starts = [hole_start(uniform(), side, round(self.cutout * side)) for side in (height, width)]
            drawn["holes"] = some(torch.stack(starts, 1), max(height, width))  # past the edge: none
        return drawn

    def apply(self, images: Tensor, drawn: Batch) -> Tensor:
        """The images, each changed as was drawn for it; those that are to be left alone keep their bits.

        Args:
            images: float, (n, c, h, w); what is taken away becomes 0, so 0 should be grey.
            drawn: From `draw`.

        Raises:
            RecipeError: They have neither 1 nor 3 channels.
        """
        _, _, height, width = images.shape
        with torch.autocast(images.device.type, enabled=False):
            if self.shift:
                images = moved(images, *drawn["shifts"].unbind(1), mirrored=True)
            images = recoloured(resampled(images.float(), drawn["places"]), drawn["colours"])
        if self.cutout:
            rows, columns = (
                hole(start, side, round(self.cutout * side))
                for start, side in zip(drawn["holes"].unbind(1), (height, width), strict=True)
            )
            images = images * ~(rows[:, None, :, None] & columns[:, None, None, :])
        return images


def resampled(images: Tensor, places: Tensor) -> Tensor:
    """The images with each pixel read from another place, between pixels too; mirrored at their edges.

    Read by linear interpolation from images of twice the resolution, whose cosine transform has zeros for what is
    finer, and averaged to theirs by the same transform: read at their own places, images keep all their detail.

    Args:
        images: float32 or float64, (n, c, h, w).
        places: (n, 2, 3), affine maps from a place in the result to one in an image, both in -1..1.
    """
    count, channels, height, width = images.shape
    down, right = (_finer(side, images.device).to(images.dtype) for side in (height, width))
    fine = down @ images @ right.mT
    grid = F.affine_grid(places, [count, channels, 2 * height, 2 * width], align_corners=False)
    read = F.grid_sample(fine, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
    found = down.mT @ read @ right / 4
    still = (places == torch.eye(3, device=places.device)[:2]).all((1, 2))
    return torch.where(still[:, None, None, None], images, found)


@cache
def _finer(side: int, device: torch.device) -> Tensor:
    """Matrix (2 side, side) that doubles the resolution of a row, mirrored at its ends, without finer waves.

    Its columns are orthogonal, of squared length 2.
    """
    waves = torch.arange(side, dtype=torch.float64)

    def cosines(count: int) -> Tensor:
        return torch.cos(math.pi / count * (torch.arange(count) + 0.5)[:, None] * waves)

    norms = torch.where(waves == 0, 1.0, 2.0) / side
    return (cosines(2 * side) * norms @ cosines(side).mT).float().to(device)


def recoloured(images: Tensor, colours: Tensor) -> Tensor:
    """The images with each pixel's colours as weighted sums of them.

    Args:
        images: float32, (n, 1 or 3, h, w).
        colours: (n, 3, 4), each of red, green and blue as a sum of these and 1; one channel stands for all three.

    Raises:
        RecipeError: They have neither 1 nor 3 channels.
    """
    if images.shape[1] not in (1, 3):
        raise RecipeError(
            f"task.ada changes colours of images of 1 or 3 channels, these have {images.shape[1]}; set "
            "task.ada.probability to 0"
        )
    if images.shape[1] == 1:
        weights, added = colours[:, :, :3].sum(2).mean(1)[:, None, None, None], colours[:, :, 3].mean(1)
        changed = images * weights + added[:, None, None, None]
    else:
        changed = (colours[:, :, :3] @ images.flatten(2) + colours[:, :, 3:]).view(images.shape)
    still = (colours == torch.eye(4, device=colours.device)[:3]).all((1, 2))
    return torch.where(still[:, None, None, None], images, changed)
