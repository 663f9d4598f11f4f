"""Trained nets with the recipe that says what their inputs and outputs mean."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from shoestring.core.device import Machine
from shoestring.core.errors import RecipeError, require_at_least
from shoestring.core.parallel import each
from shoestring.core.progress import Progress
from shoestring.core.rng import in_blocks
from shoestring.data.dataset import denormalise
from shoestring.model.guidance import Critic
from shoestring.model.interpolation import great_circles
from shoestring.model.labels import named_labels
from shoestring.model.pixels import as_seen, check_pixels, finite
from shoestring.nets.digit_sum import DigitReader
from shoestring.nets.fuse_bn import folded
from shoestring.recipes.recipe import Recipe
from shoestring.tasks.classification import ClassifierTask
from shoestring.tasks.gan.task import Adversarial, frozen

BATCH = 500  # images per forward pass: large enough to be fast, small enough for any memory
SMALL_BATCH = 50  # on a CPU, which gains nothing from more and shall report now and then


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
        return self.recipe.task.maker is not None

    @torch.inference_mode()
    def logits(self, images: Tensor) -> Tensor:
        """Class logits (n, num_classes), float32, of images (n, c, h, w).

        Args:
            images: uint8 in 0..255, or floats in 0..1; any number, since they are taken in batches.

        Raises:
            DataError: The images are of another shape, type or range.
            DivergedError: A logit is NaN or infinite.
        """
        return self._by_pixels("answers with", self.logits_of_normalised, images)

    @torch.inference_mode()
    def logits_of_normalised(self, images: Tensor) -> Tensor:
        """Class logits (n, num_classes), float32, of one batch as `data.feed.batches` gives it; nothing is checked."""
        if self.generates:
            raise RecipeError(f"{self.recipe.name} makes images; it cannot classify them")
        with self.machine.autocast():
            return self.nets["classifier"](images).float()

    @torch.inference_mode()
    def digits(self, images: Tensor) -> Tensor | None:
        """Probabilities (n, c, 10) of the digit in each channel, where the net reads digits; else None.

        Each channel's is what the net sees there, before it knows of the other channels or of which sums there are.

        Args:
            images: As for `logits`.
        """
        net = dict(self.nets.items()).get("classifier")
        if not isinstance(net, DigitReader):
            return None

        def read(batch: Tensor) -> Tensor:
            with self.machine.autocast():
                return net.digits(batch).float().exp()

        return self._by_pixels("reads", read, images)

    def sampling(self, **options: Any) -> "Model":
        """The same model with other options of its task's `sampling`; those that are None stay as they are.

        Raises:
            RecipeError: This kind of model has no such options, or a value is out of range.
            OverBudgetError: A sample would take more net calls than the budget allows.
        """
        given = {name: value for name, value in options.items() if value is not None}
        if not given:
            return self
        if isinstance(task := self.recipe.task, ClassifierTask):
            raise RecipeError(f"{self.recipe.name} classifies images; {' and '.join(given)} are for generators")
        known = sorted(type(task.sampling).model_fields)
        if strange := sorted(given.keys() - set(known)):
            what = "learnt against a discriminator" if isinstance(task, Adversarial) else "follows a flow"
            raise RecipeError(f"{self.recipe.name} {what}; it takes no {' or '.join(strange)}, but {', '.join(known)}")
        task = task.replace(sampling=task.sampling.replace(**given))
        self.recipe.budget.admit_evaluations(task.evaluations, fixed=True)
        return replace(self, recipe=self.recipe.replace(task=task))

    def labels(self, count: int, name: str | None = None) -> Tensor:
        """The classes to make images of, int64 (count,): of a name, as of `named_labels`, or all in turn."""
        if name is None:
            return torch.arange(count) % len(self.recipe.data.classes)
        return named_labels(self.recipe, count, name)

    def sample(self, count: int, seed: int, progress: Progress, labels: Tensor | None = None) -> Tensor:
        """Made images.

        Args:
            count: How many.
            seed: Decides which; the same on every device up to rounding, and image i does not depend on `count`.
            progress: Told of every batch.
            labels: The class of each, (count,), where the nets know classes; by default every class in turn.

        Returns:
            uint8 (count, c, h, w), on the CPU.
        """
        require_at_least(1, count=count)
        labels = self.labels(count) if labels is None else labels
        critic, latents = self._critic, self.latents(count, seed)
        if critic is not None and critic.task.sampling.candidates > 1:
            how = critic.task.sampling
            latents = how.choose(self._offers(how.candidates, seed, progress, labels))
        return self.decode(self.led(latents, seed, progress, labels), progress, labels)

    def _offers(
        self, many: int, seed: int, progress: Progress, labels: Tensor
    ) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """What `CriticSampling.choose` chooses from, for each candidate."""
        with progress.task("candidates", many) as advance:
            for candidate in range(many):
                latents = self.latents(len(labels), seed, candidate)
                logits = self.realism(self._make(latents, progress, labels), labels)
                yield latents, logits, in_blocks(torch.rand, len(labels), (), seed, "luck", candidate)
                advance()

    def latents(self, count: int, seed: int, candidate: int = 0) -> Tensor:
        """Normal latent vectors (count, *latent); drawn on the CPU.

        Args:
            count: How many.
            seed: Decides which.
            candidate: Decides which of those that a seed has for each image.
        """
        if not self.generates:
            raise RecipeError(f"{self.recipe.name} classifies images; it cannot make them. Use a generator recipe")
        what = ("candidate", candidate) if candidate else ("sample",)
        return in_blocks(torch.randn, count, self.recipe.latent_shape, seed, *what)

    def led(self, latents: Tensor, seed: int, progress: Progress, labels: Tensor | None = None) -> Tensor:
        """Latent vectors where the Langevin steps of the recipe take them; as they are, where there are none.

        Args:
            latents: Where to start from, (n, *latent).
            seed: Decides the noise.
            progress: Told of every batch.
            labels: As in `sample`.
        """
        critic = self._critic
        if critic is None or not critic.task.sampling.latent_steps:
            return latents
        shape = critic.task.sampling.latent_steps, *latents.shape[1:]
        noise = in_blocks(torch.randn, len(latents), shape, seed, "Langevin steps")

        def lead(batch: tuple[Tensor, Tensor]) -> Tensor:
            return critic.lead(batch[0][:, 0], batch[0][:, 1:], batch[1]).cpu()

        starts = torch.cat((latents.unsqueeze(1), noise), 1)
        return self._by_batches(lead, starts, labels, "looking for images", progress)

    def decode(self, latents: Tensor, progress: Progress, labels: Tensor | None = None) -> Tensor:
        """The images of latent vectors (n, *latent), refined if the recipe says so: uint8 (n, c, h, w), on the CPU.

        Args:
            latents: Where to start from.
            progress: Told of every batch.
            labels: As in `sample`; or mixtures of classes, float32 (n, num_classes).

        Raises:
            DivergedError: An image holds NaN or infinity.
        """
        images, critic = self._make(latents, progress, labels), self._critic
        if critic is None or not critic.task.sampling.refinements:
            return images

        def refine(batch: tuple[Tensor, Tensor]) -> Tensor:
            refined = critic.refine(as_seen(batch[0], self.recipe.normalisation, self.machine.device), batch[1])
            refined = finite(refined, f"{self.recipe.name} refines images to")
            return denormalise(refined, self.recipe.normalisation).cpu()

        return self._by_batches(refine, images, labels, "refining images", progress)

    def _make(self, latents: Tensor, progress: Progress, labels: Tensor | None) -> Tensor:
        """As `decode`, without refinements."""
        task, device = self.recipe.task, self.machine.device
        if isinstance(task, ClassifierTask):
            raise RecipeError(f"{self.recipe.name} classifies images; it cannot make them. Use a generator recipe")
        nets = nn.ModuleDict({name: folded(self.nets[name]) for name in self.nets if name == task.maker})

        @torch.inference_mode()
        def make(batch: tuple[Tensor, Tensor]) -> Tensor:
            with self.machine.autocast():
                images = task.generate(nets, batch[0].to(device), batch[1].to(device))
            images = finite(images, f"{self.recipe.name} made images with")
            return denormalise(images, self.recipe.normalisation).cpu()

        return self._by_batches(make, latents, labels, "making images", progress)

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
        batches = zip(torch.split(starts, self._batch), torch.split(labels, self._batch), strict=True)
        made: list[Tensor] = []
        with frozen(self.nets), progress.task(doing, len(starts), "images") as advance:
            for images in each(self.machine.device, work, batches):
                made.append(images)
                advance(len(images))
        return torch.cat(made)

    def interpolate(
        self, pairs: int, steps: int, seed: int, progress: Progress, labels: tuple[Tensor, Tensor] | None = None
    ) -> Tensor:
        """Images on the great circles between pairs of latent vectors, ends included.

        Args:
            pairs: How many paths.
            steps: Images on each.
            seed: Decides the latent vectors.
            progress: Told of every batch.
            labels: Classes at the starts and at the ends, (pairs,) each; by default path i stays in class i.

        Returns:
            uint8 (pairs, steps, c, h, w), on the CPU.
        """
        require_at_least(1, pairs=pairs)
        require_at_least(2, steps=steps)
        first, last = labels or (self.labels(pairs), self.labels(pairs))
        ends = self.led(self.latents(2 * pairs, seed), seed, progress, torch.stack((first, last), 1).flatten())
        names = torch.arange(len(self.recipe.data.classes))
        classes = great_circles((first[:, None] == names).float(), (last[:, None] == names).float(), steps)
        images = self.decode(great_circles(ends[0::2], ends[1::2], steps), progress, classes)
        return images.view(pairs, steps, *images.shape[1:])

    @torch.inference_mode()
    def realism(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """The discriminator's logit for each image, as one of its class where it was told of classes.

        Args:
            images: As for `logits`.
            labels: As in `sample`.

        Returns:
            float32 (n,), on the CPU.
        """
        labels = self.labels(len(images)) if labels is None else labels
        critic = self._critic
        if critic is None:
            raise RecipeError(f"{self.recipe.name} has no discriminator to ask")
        return self._by_pixels("judges with", critic.judge, images, labels).cpu()

    @property
    def _critic(self) -> Critic | None:
        task, mirrors = self.recipe.task, self.recipe.augment.horizontal_flip
        return Critic(task, mirrors, self.nets, self.machine) if isinstance(task, Adversarial) else None

    @property
    def _batch(self) -> int:
        return SMALL_BATCH if self.machine.device.type == "cpu" else BATCH

    def _by_pixels(self, does: str, work: Callable[..., Tensor], images: Tensor, *beside: Tensor) -> Tensor:
        """What some work makes of images as nets see them and of what is beside each, batch by batch."""
        seen, device = self.recipe.normalisation, self.machine.device
        check_pixels(images, self.recipe.data.shape)
        parts = zip(*(torch.split(each, self._batch) for each in (images, *beside)), strict=True)
        found = torch.cat([work(as_seen(some, seen, device), *rest) for some, *rest in parts])
        return finite(found, f"{self.recipe.name} {does}")
