"""Augmentation by a user's function."""

from typing import ClassVar, NoReturn

import torch
from torch import Tensor

from shoestring.core.errors import RecipeError
from shoestring.core.outside import Outside


class CustomAugment(Outside):
    """Augmentation by a user's function of (images, generator); further arguments are options.

    It gets float images (n, c, h, w) in 0..1 and gives as many of the same shape, and draws all its random numbers from
    the `torch.Generator`, so that a run can go on where it stopped.
    """

    part: ClassVar[str] = "augment"
    positional: ClassVar[int] = 2
    horizontal_flip: ClassVar[bool] = False

    def view(self, images: Tensor, number: int) -> NoReturn:
        """Refused: what the function draws is for each image."""
        raise RecipeError(
            f"{self.words} draws for each image, so it makes no views of all of them; set task.views to 1"
        )

    def apply(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """The batch, changed: float32, same shape.

        Args:
            images: (n, c, h, w), uint8 0..255 or float 0..1; left as they are.
            generator: Source of all random numbers.

        Raises:
            RecipeError: The function fails, or gives something else.
        """
        pixels = images.float().div_(255) if images.dtype == torch.uint8 else images.float()
        found = self.call(pixels, generator)
        if not isinstance(found, Tensor) or found.shape != images.shape or not found.is_floating_point():
            what = f"{found.dtype} {tuple(found.shape)}" if isinstance(found, Tensor) else type(found).__name__
            raise RecipeError(f"{self.words} gives {what}, not float images {tuple(images.shape)}")
        return found.float()
