"""Better images of a generator by the discriminator it learnt against, which is in the budget anyway."""

from collections.abc import Callable, Iterable

import torch
from pydantic import NonNegativeInt, PositiveFloat, PositiveInt
from torch import Tensor

from shoestring.spec import Spec


class CriticSampling(Spec):
    """What a trained GAN's discriminator does for the images given: it chooses (after Azadi et al. 2019), it mends."""

    candidates: PositiveInt = 1
    """Images made for each; the discriminator judges them where there are several."""
    temperature: PositiveFloat = 0.2
    """A candidate is chosen with a probability proportional to exp(logit / temperature); near 0, the best one is."""
    refinements: NonNegativeInt = 0
    """Steps that an image then takes up the discriminator's logit (Ansari et al. 2021, without noise)."""
    step_size: PositiveFloat = 0.3
    """Change of a pixel in -1..1 over the slope of the logit with respect to it, in each of these steps."""

    @property
    def evaluations(self) -> int:
        """Net calls per image; a way back through the net counts as one.

        Each candidate is made, and judged unless it is the only one; each refinement goes there and back.
        """
        return (1 if self.candidates == 1 else 2 * self.candidates) + 2 * self.refinements

    @property
    def words(self) -> str:
        """How images are made, in short."""
        said = [f"{self.candidates} candidates, chosen at temperature {self.temperature:g}"] * (self.candidates > 1)
        said += [f"{self.refinements} refinements of {self.step_size:g}"] * (self.refinements > 0)
        return ", ".join(said) or "one call"

    def choose(self, offers: Iterable[tuple[Tensor, Tensor, Tensor]]) -> Tensor:
        """One image of each place, drawn as `temperature` says; one offer is held in memory at a time.

        Args:
            offers: By candidate, its images (n, c, h, w), their logits (n,) and uniform numbers in 0..1 (n,).

        Returns:
            (n, c, h, w).

        Raises:
            ValueError: There are no offers.
        """
        best: tuple[Tensor, Tensor] | None = None
        for images, logits, uniform in offers:
            # The largest of values with Gumbel noise is a draw from their softmax (Gumbel 1954).
            values = logits / self.temperature - torch.log(-torch.log(uniform.clamp(1e-7, 1 - 1e-7)))
            if best is None:
                best = images, values
                continue
            better = values > best[1]
            best = torch.where(better[:, None, None, None], images, best[0]), torch.where(better, values, best[1])
        if best is None:
            raise ValueError("there is nothing to choose from")
        return best[0]

    def refine(self, images: Tensor, judge: Callable[[Tensor], Tensor]) -> Tensor:
        """Images (n, c, h, w) in -1..1 after their refinements, on the same scale.

        Args:
            images: Where to start from.
            judge: Images (n, c, h, w) -> logits (n,), each of which depends on its own image only.
        """
        with torch.inference_mode(False), torch.enable_grad():
            images = images.clone()
            for _ in range(self.refinements):
                images = images.detach().requires_grad_()
                (slope,) = torch.autograd.grad(judge(images).sum(), images)
                images = (images + self.step_size * slope).clamp(-1, 1)
        return images.detach()
