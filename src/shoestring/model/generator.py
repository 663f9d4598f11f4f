"""A trained generator: a seed in, uint8 images out."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from shoestring.core.device import Machine
from shoestring.core.errors import RecipeError, require_at_least
from shoestring.core.frozen import frozen
from shoestring.core.parallel import each
from shoestring.core.progress import Progress
from shoestring.core.rng import in_blocks
from shoestring.data.dataset import denormalise
from shoestring.model.interpolation import great_circles
from shoestring.model.labels import named_labels
from shoestring.model.pixels import batch_size, finite, over_batches
from shoestring.nets.fuse_bn import fuse_conv_bn
from shoestring.recipes.recipe import Recipe
from shoestring.tasks.contract import Sampler, Sampling


@dataclass(frozen=True)
class Generator:
    """A trained generator.

    Attributes:
        recipe: What the nets were trained as, and how images are made (`recipe.task.sampling`).
        nets: By name, on the machine's device, in evaluation mode.
        machine: How the arithmetic is done.
    """

    recipe: Recipe
    nets: nn.ModuleDict
    machine: Machine

    @property
    def sampling(self) -> Sampling:
        """How images are made."""
        found = self.recipe.task.sampling
        assert found is not None  # of a task that makes images
        return found

    def with_sampling(self, options: Mapping[str, Any] | None) -> "Generator":
        """The same generator with other options of sampling.

        Args:
            options: By name, such as {"steps": 18}; the others stay.

        Raises:
            RecipeError: There is no such option, or its value is out of range.
            OverBudgetError: An image would take more net calls than the budget allows.
        """
        if not options:
            return self
        task = self.recipe.task
        known = type(self.sampling).model_fields
        if strange := sorted(options.keys() - known.keys()):
            raise RecipeError(
                f"{self.recipe.name} has no option of sampling {' or '.join(strange)}; it has {', '.join(known)}"
            )
        task = task.replace(sampling=self.sampling.replace(**options))
        self.recipe.budget.admit_nfe(task.nfe, fixed=True)
        return replace(self, recipe=self.recipe.replace(task=task))

    def labels(self, count: int, name: str | None = None) -> Tensor:
        """The classes to make images of, int64 (count,): of a name, as of `named_labels`, or all in turn."""
        if name is None:
            return torch.arange(count) % len(self.recipe.data.classes)
        return named_labels(self.recipe, count, name)

    def sample(self, count: int, seed: int, progress: Progress, labels: Tensor | None = None) -> Tensor:
        """Generated images.

        Args:
            count: How many.
            seed: Decides which; the same on every device up to rounding, and image i does not depend on `count`.
            progress: Reports every batch.
            labels: The class of each, (count,), where the nets know classes; by default every class in turn.

        Returns:
            uint8 (count, c, h, w), on the CPU.
        """
        require_at_least(1, count=count)
        return self.decode(self.latents(count, seed), progress, labels)

    def latents(self, count: int, seed: int) -> Tensor:
        """Standard normal latent vectors (count, *latent); drawn on the CPU."""
        return in_blocks(torch.randn, count, self.recipe.latent_shape, seed, "sample")

    def decode(self, latents: Tensor, progress: Progress, labels: Tensor | None = None) -> Tensor:
        """The images of latent vectors (n, *latent): uint8 (n, c, h, w), on the CPU.

        Args:
            latents: Standard normal; truncation shortens them here.
            progress: Reports every batch.
            labels: As in `sample`; or mixtures of classes, float32 (n, num_classes).

        Raises:
            DivergedError: An image holds NaN or infinity.
        """
        recipe, device = self.recipe, self.machine.device
        net = recipe.task.generator_net
        fused = self.sampler_of(
            nn.ModuleDict(
                {name: fuse_conv_bn(trained) if name == net else trained for name, trained in self.nets.items()}
            )
        )

        @torch.inference_mode()
        def images(batch: tuple[Tensor, Tensor]) -> Tensor:
            found = fused.sample(batch[0].to(device), batch[1].to(device))
            return denormalise(finite(found, f"{recipe.name} generates images with"), recipe.normalisation).cpu()

        labels = self.labels(len(latents)) if labels is None else labels
        size = batch_size(self.machine)
        batches = zip(torch.split(latents, size), torch.split(labels, size), strict=True)
        made: list[Tensor] = []
        with frozen(self.nets), progress.task("generating images", len(latents), "images") as advance:
            for some in each(device, images, batches):
                made.append(some)
                advance(len(some))
        return torch.cat(made)

    def interpolate(
        self, pairs: int, steps: int, seed: int, progress: Progress, labels: tuple[Tensor, Tensor] | None = None
    ) -> Tensor:
        """Images on the great circles between pairs of latent vectors, ends included.

        Args:
            pairs: How many paths.
            steps: Images on each.
            seed: Decides the latent vectors.
            progress: Reports every batch.
            labels: Classes at the starts and at the ends, (pairs,) each; by default path i stays in class i.

        Returns:
            uint8 (pairs, steps, c, h, w), on the CPU.
        """
        require_at_least(1, pairs=pairs)
        require_at_least(2, steps=steps)
        first, last = labels or (self.labels(pairs), self.labels(pairs))
        ends = self.latents(2 * pairs, seed)
        names = torch.arange(len(self.recipe.data.classes))
        classes = great_circles((first[:, None] == names).float(), (last[:, None] == names).float(), steps)
        images = self.decode(great_circles(ends[0::2], ends[1::2], steps), progress, classes)
        return images.view(pairs, steps, *images.shape[1:])

    @torch.inference_mode()
    def score(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """The discriminator's logit for each image, given its class where the discriminator is conditional.

        Args:
            images: uint8 in 0..255, or floats in 0..1, (n, c, h, w).
            labels: As in `sample`.

        Returns:
            float32 (n,), on the CPU.

        Raises:
            RecipeError: There is no discriminator.
        """
        labels = self.labels(len(images)) if labels is None else labels
        return over_batches(self, self.sampler_of(self.nets).score, images, labels, doing="scores with").cpu()

    def sampler_of(self, nets: nn.ModuleDict) -> Sampler:
        """Other nets of this recipe that make images as this generator does."""
        return self.recipe.task.sampler(nets, self.machine, mirrored=self.recipe.augment.horizontal_flip)
