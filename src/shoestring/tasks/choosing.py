"""Choosing among the images of a generator by the discriminator it learnt against (after Azadi et al. 2019)."""

from collections.abc import Iterable

import torch
from pydantic import PositiveFloat, PositiveInt
from torch import Tensor

from shoestring.spec import Spec


class Choosing(Spec):
    """How many images a trained GAN makes for each one that it gives."""

    candidates: PositiveInt = 1
    """Images made for each; the discriminator, which is in the budget anyway, judges them where there are several."""
    temperature: PositiveFloat = 0.2
    """A candidate is chosen with a probability proportional to exp(logit / temperature); near 0, the best one is."""

    @property
    def evaluations(self) -> int:
        """Net calls per image: each candidate is made, and judged unless it is the only one."""
        return 1 if self.candidates == 1 else 2 * self.candidates

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
