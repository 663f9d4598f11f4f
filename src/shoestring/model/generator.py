"""A trained generator: a seed in, uint8 images out."""

from collections.abc import Callable, Mapping
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
from shoestring.model.pixels import as_seen, batch_size, finite, over_batches
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
        labels = self.labels(count) if labels is None else labels
        return self.decode(self.moved(self.latents(count, seed), seed, progress, labels), progress, labels)

    def latents(self, count: int, seed: int) -> Tensor:
        """Standard normal latent vectors (count, *latent); drawn on the CPU."""
        return in_blocks(torch.randn, count, self.recipe.latent_shape, seed, "sample")

    def moved(self, latents: Tensor, seed: int, progress: Progress, labels: Tensor | None = None) -> Tensor:
        """Latent vectors where the recipe's sampler takes them, such as by truncation; as they are if nowhere.

        Args:
            latents: Where to start from, (n, *latent).
            seed: Decides the noise.
            progress: Reports every batch.
            labels: As in `sample`.
        """
        sampler = self._sampler
        if not sampler.moves:
            return latents
        shape = sampler.latent_noises, *latents.shape[1:]
        noise = in_blocks(torch.randn, len(latents), shape, seed, "Langevin steps")

        def move(batch: tuple[Tensor, Tensor]) -> Tensor:
            return sampler.move(batch[0][:, 0], batch[0][:, 1:], batch[1]).cpu()

        starts = torch.cat((latents.unsqueeze(1), noise), 1)
        return self._by_batches(move, starts, labels, "moving latent vectors", progress)

    def decode(self, latents: Tensor, progress: Progress, labels: Tensor | None = None) -> Tensor:
        """The images of latent vectors (n, *latent): uint8 (n, c, h, w), on the CPU.

        Args:
            latents: Where to start from.
            progress: Reports every batch.
            labels: As in `sample`; or mixtures of classes, float32 (n, num_classes).

        Raises:
            DivergedError: An image holds NaN or infinity.
        """
        sampler, normalisation, device = self._sampler, self.recipe.normalisation, self.machine.device
        net = self.recipe.task.generator_net
        fused = self.sampler_of(
            nn.ModuleDict(
                {name: fuse_conv_bn(trained) if name == net else trained for name, trained in self.nets.items()}
            )
        )

        @torch.inference_mode()
        def generate(batch: tuple[Tensor, Tensor]) -> Tensor:
            images = fused.guide(batch[0].to(device), batch[1].to(device))
            return denormalise(finite(images, f"{self.recipe.name} generates images with"), normalisation).cpu()

        def refine(batch: tuple[Tensor, Tensor]) -> Tensor:
            images = sampler.refine(as_seen(batch[0], normalisation, device), batch[1])
            return denormalise(finite(images, f"{self.recipe.name} refines images to"), normalisation).cpu()

        images = self._by_batches(generate, latents, labels, "generating images", progress)
        return self._by_batches(refine, images, labels, "refining images", progress) if sampler.refines else images

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
        ends = self.moved(self.latents(2 * pairs, seed), seed, progress, torch.stack((first, last), 1).flatten())
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
        return over_batches(self, self._sampler.score, images, labels, doing="scores with").cpu()

    @property
    def _sampler(self) -> Sampler:
        return self.sampler_of(self.nets)

    def sampler_of(self, nets: nn.ModuleDict) -> Sampler:
        """Other nets of this recipe that make images as this generator does."""
        return self.recipe.task.sampler(nets, self.machine, mirrored=self.recipe.augment.horizontal_flip)

    def _by_batches(
        self,
        work: Callable[[tuple[Tensor, Tensor]], Tensor],
        starts: Tensor,
        labels: Tensor | None,
        doing: str,
        progress: Progress,
    ) -> Tensor:
        """What some work makes of starts (n, ...) and their labels, as those of `decode`, batch by batch."""
        labels = self.labels(len(starts)) if labels is None else labels
        size = batch_size(self.machine)
        batches = zip(torch.split(starts, size), torch.split(labels, size), strict=True)
        found: list[Tensor] = []
        with frozen(self.nets), progress.task(doing, len(starts), "images") as advance:
            for images in each(self.machine.device, work, batches):
                found.append(images)
                advance(len(images))
        return torch.cat(found)
