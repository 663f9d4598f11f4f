"""Better images of a generator by the discriminator it learnt against, which is in the budget anyway."""

import math
from collections.abc import Callable, Iterable
from typing import Annotated

import torch
from pydantic import Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt
from torch import Tensor

from shoestring.core.config import Spec
from shoestring.tasks.gan.spectral_weighting import whitened


class CriticSampling(Spec):
    """What a trained GAN's discriminator does for the images given: it chooses, it leads, it mends."""

    candidates: PositiveInt = 1
    """Images made for each; where there are several, the discriminator chooses one (after Azadi et al. 2019)."""
    temperature: PositiveFloat = 0.2
    """Images are to be exp(logit / temperature) times as frequent as the generator makes them; near 0, only the best
    are kept."""
    latent_steps: NonNegativeInt = 0
    """Langevin steps that the latent vector then takes towards such images (Che et al. 2020)."""
    latent_step_size: Annotated[float, Field(gt=0, lt=4)] = 0.1
    """Variance of the noise of each; the way along the gradient is half of it. From 4 on, steps overshoot ever more."""
    refinements: NonNegativeInt = 0
    """Steps that the image then takes up the discriminator's logit (Ansari et al. 2021, without noise)."""
    step_size: PositiveFloat = 0.3
    """Change of a pixel in -1..1 over the slope of the logit with respect to it, in each of these steps."""
    smoothing: NonNegativeFloat = 0.0
    """Power of the frequency by which these steps change fine detail less than the slope says, and the rest more."""

    @property
    def evaluations(self) -> int:
        """Net calls per image; a way back through the net counts as one.

        Candidates are made and judged, if there are several; a Langevin step goes through both nets and back; then the
        image is made; a refinement goes through the discriminator and back.
        """
        chosen = 2 * self.candidates if self.candidates > 1 else 0
        return chosen + 4 * self.latent_steps + 1 + 2 * self.refinements

    @property
    def words(self) -> str:
        """How images are made, in short."""
        said = [f"{self.candidates} candidates, chosen at temperature {self.temperature:g}"] * (self.candidates > 1)
        walk = f"{self.latent_steps} Langevin steps of {self.latent_step_size:g} at temperature {self.temperature:g}"
        said += [walk] * (self.latent_steps > 0)
        how = f", smoothed by {self.smoothing:g}" if self.smoothing else ""
        said += [f"{self.refinements} refinements of {self.step_size:g}{how}"] * (self.refinements > 0)
        return ", ".join(said) or "one call"

    def choose(self, offers: Iterable[tuple[Tensor, Tensor, Tensor]]) -> Tensor:
        """One latent vector for each place, drawn as `temperature` says; one offer is held in memory at a time.

        Args:
            offers: By candidate, its latent vectors (n, *latent), the logits of their images (n,) and uniform numbers
                in 0..1 (n,).

        Returns:
            (n, *latent).

        Raises:
            ValueError: There are no offers.
        """
        best: tuple[Tensor, Tensor] | None = None
        for latents, logits, uniform in offers:
            # The largest of values with Gumbel noise is a draw from their softmax (Gumbel 1954).
            values = logits / self.temperature - torch.log(-torch.log(uniform.clamp(1e-7, 1 - 1e-7)))
            if best is None:
                best = latents, values
                continue
            better = values > best[1]
            places = better.view(-1, *[1] * (latents.dim() - 1))
            best = torch.where(places, latents, best[0]), torch.where(better, values, best[1])
        if best is None:
            raise ValueError("there is nothing to choose from")
        return best[0]

    def lead(self, latents: Tensor, noise: Tensor, judge: Callable[[Tensor, int], Tensor]) -> Tensor:
        """Latent vectors (n, *latent) after Langevin steps, whose density is the normal one times what is said above.

        Args:
            latents: Standard normal.
            noise: Standard normal, (n, steps, *latent).
            judge: Latent vectors, and which step this is, from 0 -> logits (n,) of their images.
        """
        size = self.latent_step_size
        with torch.inference_mode(False), torch.enable_grad():
            latents = latents.clone()
            for step in range(self.latent_steps):
                latents = latents.detach().requires_grad_()
                density = judge(latents, step).sum() / self.temperature - latents.square().sum() / 2
                (slope,) = torch.autograd.grad(density, latents)
                latents = latents + size / 2 * slope + math.sqrt(size) * noise[:, step]
        return latents.detach()

    def refine(self, images: Tensor, judge: Callable[[Tensor, int], Tensor]) -> Tensor:
        """Images (n, c, h, w) in -1..1 after their refinements, on the same scale.

        Args:
            images: Where to start from.
            judge: Images (n, c, h, w), and which refinement this is, from 0 -> logits (n,), each of which depends on
                its own image only. Judged in another view each time, an image does not gain what one view alone likes.
        """
        with torch.inference_mode(False), torch.enable_grad():
            images = images.clone()
            for step in range(self.refinements):
                images = images.detach().requires_grad_()
                (slope,) = torch.autograd.grad(judge(images, step).sum(), images)
                if self.smoothing:
                    slope = smoothed(slope, self.smoothing)
                images = (images + self.step_size * slope).clamp(-1, 1)
        return images.detach()


def smoothed(slope: Tensor, order: float) -> Tensor:
    """Changes (n, c, side, side) of images, their spectrum divided by (1 + f)^order, each as long as before."""
    smooth = whitened(slope, -order)
    lengths = [each.square().sum((1, 2, 3), keepdim=True).sqrt() for each in (slope, smooth)]
    return smooth * (lengths[0] / lengths[1].clamp(min=1e-12))
