"""Random changes to all images that a discriminator sees, real and fake alike (arXiv 2006.10738, "DiffAugment")."""

from typing import Annotated

import torch
from pydantic import Field
from torch import Generator, Tensor

from shoestring.core.config import Spec

Fraction = Annotated[float, Field(ge=0, le=1)]
DRAWS = 7  # brightness, saturation, contrast, right, down, row, column


class DiffAugment(Spec):
    """How much is changed; all off by default.

    Gradients flow through every change to the generator, which thus need not imitate them.
    """

    colour: Fraction = 0.0
    """Strength of changes of brightness, saturation and contrast; 1 is that of the publication."""
    translation: Fraction = 0.0
    """Move along each axis by whole pixels, at most this fraction of the side; 0 comes in from outside."""
    cutout: Fraction = 0.0
    """Sides of a rectangle set to 0 over those of the image; its centre is anywhere in the image."""

    @property
    def active(self) -> bool:
        """Whether anything is changed."""
        return bool(self.colour or self.translation or self.cutout)

    def draw(self, count: int, generator: Generator) -> Tensor:
        """What `apply` needs for so many images: uniform in 0..1, (count, 7), on the generator's device."""
        return torch.rand(count, DRAWS, generator=generator, device=generator.device)

    def apply(self, images: Tensor, draws: Tensor) -> Tensor:
        """The images, each changed as its row of draws says; exactly the images where all is off.

        Args:
            images: float, (n, c, h, w); what is taken away becomes 0, so 0 should be grey.
            draws: From `draw`, (n, 7).
        """
        _, _, height, width = images.shape
        if self.colour:
            images = coloured(images, self.colour * (draws[:, 0:3] - 0.5))
        if self.translation:
            right = whole_steps(draws[:, 3], round(self.translation * width))
            down = whole_steps(draws[:, 4], round(self.translation * height))
            images = moved(images, right, down)
        if self.cutout:
            rows, columns = (
                hole(hole_start(draws[:, place], side, size), side, size)
                for place, side in ((5, height), (6, width))
                for size in (round(self.cutout * side),)
            )
            images = images * ~(rows[:, None, :, None] & columns[:, None, None, :])
        return images


def coloured(images: Tensor, change: Tensor) -> Tensor:
    """The images, brighter by change, then with distances from grey and from their mean scaled.

    Args:
        images: (n, c, h, w).
        change: (n, 3) b, s, c in -0.5..0.5: adds b, scales distances from each pixel's mean over channels by 1 + 2 s,
            then distances from the image's mean by 1 + c.
    """
    brighter, saturation, contrast = change.view(-1, 3, 1, 1, 1).unbind(1)
    images = images + brighter
    grey = images.mean(1, keepdim=True)
    images = grey + (images - grey) * (1 + 2 * saturation)
    mean = images.mean((1, 2, 3), keepdim=True)
    return mean + (images - mean) * (1 + contrast)


def moved(images: Tensor, right: Tensor, down: Tensor, *, mirrored: bool = False) -> Tensor:
    """The images moved by whole pixels, int64 (n,) each; from outside comes 0, or the image mirrored at its edges.

    By two matrix products: unlike a gather, their gradients are sums in a fixed order on a GPU as well.
    """
    with torch.autocast(images.device.type, enabled=False):
        rows, columns = (_mover(down, images.shape[2], mirrored), _mover(right, images.shape[3], mirrored))
        return rows @ images.float() @ columns.mT


def _mover(steps: Tensor, side: int, mirrored: bool) -> Tensor:
    """Matrices (n, 1, side, side) whose row i is 1 in column i - steps, or, if that is outside, in its mirror image."""
    index = torch.arange(side, device=steps.device)
    source = index[:, None] - steps.view(-1, 1, 1, 1)
    if mirrored:
        source = torch.where(source < 0, -1 - source, source)
        source = torch.where(source >= side, 2 * side - 1 - source, source)
    return (index == source).float()


def whole_steps(uniform: Tensor, reach: int) -> Tensor:
    """Whole numbers in -reach..reach, equally likely, from numbers in 0..1."""
    return (uniform * (2 * reach + 1)).long() - reach


def hole_start(uniform: Tensor, side: int, size: int) -> Tensor:
    """First pixels, int64, of holes of a size whose centres are anywhere along a side, from numbers in 0..1."""
    return (uniform * (side + 1 - size % 2)).long() - size // 2


def hole(start: Tensor, side: int, size: int) -> Tensor:
    """The pixels of holes of a size along one axis, cut off at the image's edge: bool (n, side).

    Args:
        start: Their first pixels, int64, (n,); may lie outside.
        side: Pixels of the image along this axis.
        size: Of the hole.
    """
    offset = torch.arange(side, device=start.device) - start[:, None]
    return (offset >= 0) & (offset < size)
