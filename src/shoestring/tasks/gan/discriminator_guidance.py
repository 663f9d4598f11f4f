"""Better images of a GAN after its training: by truncation, and by its discriminator, which is in the budget anyway.

Truncation: latent vectors shorter than those of training give more typical images in less variety (as "the truncation
trick" does, Brock et al. 2019, arXiv 1809.11096). By the discriminator: gradient ascent of its logit, in the
generator's first features and then in pixels (after Ansari et al. 2021, "Refining deep generative models via
discriminator gradient flow", arXiv 2012.00780, without noise).
"""

import math
from collections.abc import Callable

import torch
from pydantic import NonNegativeInt, PositiveFloat
from torch import Tensor

from shoestring.tasks.contract import Sampling


class DiscriminatorGuidance(Sampling):
    """How a trained GAN makes images: with one call of the generator, or guided by its discriminator as well."""

    feature_ascent_steps: NonNegativeInt = 0
    """Steps of the generator's first features up the gradient of the logit; of nets that take an offset to them."""
    feature_ascent_step_size: PositiveFloat = 10.0
    """Change of a feature per unit of the gradient, in each of these steps."""
    pixel_ascent_steps: NonNegativeInt = 0
    """Steps of the image up the gradient of the discriminator's logit."""
    pixel_ascent_step_size: PositiveFloat = 0.3
    """Change of a pixel in -1..1 per unit of the gradient, in each of these steps."""
    truncation: PositiveFloat = 1.0
    """Standard deviation of the latent vectors; the nets learnt with 1."""

    @property
    def nfe(self) -> int:
        """Net calls per image; a backward pass counts as one.

        A step in features goes forward and backward through both nets, one in pixels through the discriminator.
        """
        return 1 + 4 * self.feature_ascent_steps + 2 * self.pixel_ascent_steps

    @property
    def words(self) -> str:
        """How images are made, in short."""
        parts: list[str] = []
        if self.feature_ascent_steps:
            parts.append(f"{self.feature_ascent_steps} feature ascent steps of {self.feature_ascent_step_size:g}")
        if self.pixel_ascent_steps:
            parts.append(f"{self.pixel_ascent_steps} pixel ascent steps of {self.pixel_ascent_step_size:g}")
        parts = parts or ["one call"]
        return ", ".join(parts if self.truncation == 1 else [*parts, f"truncation {self.truncation:g}"])

    def ascend_features(self, features: Tensor, score: Callable[[Tensor, int], Tensor]) -> Tensor:
        """Features (n, ...) after their steps; arguments as of `ascend_pixels`."""
        return _ascent(features, self.feature_ascent_steps, self.feature_ascent_step_size, score, math.inf)

    def ascend_pixels(self, images: Tensor, score: Callable[[Tensor, int], Tensor]) -> Tensor:
        """Images (n, c, h, w) in -1..1 after the steps in pixels, on the same scale.

        Args:
            images: Where to start from.
            score: Images (n, c, h, w) and the step's number, from 0 -> logits (n,), each a function of its own image
                only. Augmented in another way at each step, an image does not gain what raises the logit of one view.
        """
        return _ascent(images, self.pixel_ascent_steps, self.pixel_ascent_step_size, score, 1.0)


def _ascent(
    start: Tensor, steps: int, step_size: float, score: Callable[[Tensor, int], Tensor], largest: float
) -> Tensor:
    """Where so many steps up the gradient of a score lead, none beyond -largest..largest."""
    with torch.inference_mode(False), torch.enable_grad():
        place = start.clone()
        for step in range(steps):
            place = place.detach().requires_grad_()
            (gradient,) = torch.autograd.grad(score(place, step).sum(), place)
            place = (place + step_size * gradient).clamp(-largest, largest)
    return place.detach()
