"""Trained nets with the recipe that says what their inputs and outputs mean."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from shoestring.data.images import denormalise, normalise
from shoestring.engine import Machine
from shoestring.errors import RecipeError
from shoestring.progress import Progress
from shoestring.recipes.recipe import Recipe
from shoestring.rng import generator
from shoestring.training.loop import latent_shape

BATCH = 500  # images per forward pass: large enough to be fast, small enough for any memory


@dataclass(frozen=True)
class Model:
    """Nets in evaluation mode that answer in the user's terms: uint8 images in, class logits or uint8 images out.

    Attributes:
        recipe: What the nets were trained as.
        nets: By name, on the machine's device, in evaluation mode.
        machine: How the arithmetic is done.
    """

    recipe: Recipe
    nets: nn.ModuleDict
    machine: Machine

    @property
    def generates(self) -> bool:
        """Whether this is a generator of images; else it classifies them."""
        return self.recipe.task.kind != "classify"

    @torch.inference_mode()
    def logits(self, images: Tensor) -> Tensor:
        """Class logits (n, num_classes) of images: uint8 (n, c, h, w), or already normalised floats."""
        if self.generates:
            raise RecipeError(f"{self.recipe.name} makes images; it cannot classify them")
        images = images.to(self.machine.device)
        if images.dtype == torch.uint8:
            images = normalise(images, self.recipe.data)
        with self.machine.autocast():
            return self.nets["classifier"](images).float()

    def sample(self, count: int, seed: int, progress: Progress) -> Tensor:
        """Made images.

        Args:
            count: How many.
            seed: Decides which; the same on every device up to rounding, and image i does not depend on `count`.
            progress: Told of every batch.

        Returns:
            uint8 (count, c, h, w), on the CPU.
        """
        return self.decode(self.latents(count, seed), progress)

    def latents(self, count: int, seed: int) -> Tensor:
        """Normal latent vectors (count, *latent); drawn on the CPU."""
        if not self.generates:
            raise RecipeError(f"{self.recipe.name} classifies images; it cannot make them. Use a generator recipe")
        shape = latent_shape(self.recipe)
        blocks = [torch.randn(BATCH, *shape, generator=generator(seed, "sample", i)) for i in range(-(-count // BATCH))]
        return torch.cat(blocks)[:count]

    @torch.inference_mode()
    def decode(self, latents: Tensor, progress: Progress) -> Tensor:
        """The images of latent vectors (n, *latent): uint8 (n, c, h, w), on the CPU."""
        made: list[Tensor] = []
        with progress.task("making images", len(latents), "images") as advance:
            for batch in latents.split(BATCH):
                with self.machine.autocast():
                    images = self.nets["generator"](batch.to(self.machine.device))
                made.append(denormalise(images, self.recipe.data).cpu())
                advance(len(batch))
        return torch.cat(made)

    def interpolate(self, pairs: int, steps: int, seed: int, progress: Progress) -> Tensor:
        """Images on the great circles between pairs of latent vectors, ends included.

        A normal vector lies near a sphere of radius sqrt(d); a straight line between two would leave it (White 2016).

        Returns:
            uint8 (pairs, steps, c, h, w), on the CPU.
        """
        ends = self.latents(2 * pairs, seed)
        start, end = ends[0::2].flatten(1), ends[1::2].flatten(1)
        weights = torch.linspace(0, 1, steps).view(1, steps, 1)
        path = great_circle(start.unsqueeze(1), end.unsqueeze(1), weights)
        images = self.decode(path.reshape(-1, *ends.shape[1:]), progress)
        return images.view(pairs, steps, *images.shape[1:])

    @torch.inference_mode()
    def realism(self, images: Tensor) -> Tensor:
        """The discriminator's logit for each image, uint8 (n, c, h, w) -> float32 (n,), on the CPU."""
        scores = [
            self.nets["discriminator"](normalise(batch.to(self.machine.device), self.recipe.data)).float().cpu()
            for batch in images.split(BATCH)
        ]
        return torch.cat(scores)

    def classify(self, images: Tensor) -> Iterator[Tensor]:
        """Class logits batch by batch."""
        return (self.logits(batch) for batch in images.split(BATCH))


def great_circle(start: Tensor, end: Tensor, weight: Tensor) -> Tensor:
    """Spherical interpolation of vectors along the last dimension (Shoemake 1985); weight 0 gives start, 1 end."""
    cosine = torch.nn.functional.cosine_similarity(start, end, dim=-1).clamp(-1, 1).unsqueeze(-1)
    angle = torch.acos(cosine)
    return (torch.sin((1 - weight) * angle) * start + torch.sin(weight * angle) * end) / torch.sin(angle)
