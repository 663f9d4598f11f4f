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
            right = _centred(draws[:, 3], round(self.translation * width))
            down = _centred(draws[:, 4], round(self.translation * height))
            images = moved(images, right, down)
        if self.cutout:
            rows = _hole(draws[:, 5], height, round(self.cutout * height))
            columns = _hole(draws[:, 6], width, round(self.cutout * width))
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


def moved(images: Tensor, right: Tensor, down: Tensor) -> Tensor:
    """The images moved by whole pixels, int64 (n,) each; 0 comes in from outside.

    By two matrix products: unlike a gather, their gradients are sums in a fixed order on a GPU as well.
    """
    with torch.autocast(images.device.type, enabled=False):
        return _mover(down, images.shape[2]) @ images.float() @ _mover(right, images.shape[3]).mT


def _mover(steps: Tensor, side: int) -> Tensor:
    """Matrices (n, 1, side, side) whose row i is 1 in column i - steps, where that is inside."""
    index = torch.arange(side, device=steps.device)
    return (index == index[:, None] - steps.view(-1, 1, 1, 1)).float()


def _centred(uniform: Tensor, reach: int) -> Tensor:
    """Whole numbers in -reach..reach, equally likely, from numbers in 0..1."""
    return (uniform * (2 * reach + 1)).long() - reach


def _hole(uniform: Tensor, side: int, size: int) -> Tensor:
    """The pixels of a hole of a size along one axis, cut off at the image's edge: bool (n, side)."""
    start = (uniform * (side + 1 - size % 2)).long() - size // 2
    offset = torch.arange(side, device=uniform.device) - start[:, None]
    return (offset >= 0) & (offset < size)
