"""A trained GAN that makes images: generator, and discriminator guidance at sampling time."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from shoestring.core.device import Machine
from shoestring.core.errors import RecipeError
from shoestring.core.rng import generator
from shoestring.tasks.gan.diffaugment import DiffAugment
from shoestring.tasks.gan.discriminator_guidance import DiscriminatorGuidance


@dataclass(frozen=True)
class GuidedSampler:
    """Nets of a GAN that make images.

    While the discriminator changes something, it sees it augmented in another way at every step, shifted and mirrored
    as images were in its training: what raises the logit of one view only is a flaw of the discriminator.

    Attributes:
        sampling: How images are made.
        augment: How the discriminator saw images in training.
        conditional: Whether both nets are given classes.
        nets: "generator" and "discriminator", in evaluation mode; frozen, where gradients flow through them.
        machine: How the arithmetic is done.
        mirrored: Whether training showed images mirrored as well.
    """

    sampling: DiscriminatorGuidance
    augment: DiffAugment
    conditional: bool
    nets: nn.ModuleDict
    machine: Machine
    mirrored: bool

    def sample(self, latents: Tensor, labels: Tensor) -> Tensor:
        """Images (n, c, h, w) of standard normal latent vectors (n, *latent), after truncation and all steps."""
        latents = self.sampling.truncation * latents
        images = (
            self._ascended_features(latents, labels)
            if self.sampling.feature_ascent_steps
            else self.generate(latents, labels)
        )
        return self.sampling.ascend_pixels(images, lambda seen, step: self._augmented_score(seen, labels, step))

    def generate(self, latents: Tensor, labels: Tensor, offset: Tensor | None = None) -> Tensor:
        """Images (n, c, h, w) by one call of the generator; mixtures of classes (n, num_classes) mix its embeddings.

        Args:
            latents: (n, *latent).
            labels: As of `Sampler`.
            offset: Added to the generator's first features, (n, *first_features), of nets that take one.
        """
        given = (labels,) if self.conditional else ()
        at = {} if offset is None else {"offset": offset}
        with self.machine.autocast():
            return self.nets["generator"](latents, *given, **at).float()

    def score(self, images: Tensor, labels: Tensor) -> Tensor:
        """The discriminator's logits (n,), float32, of normalised images (n, c, h, w) of the given classes."""
        given = (labels.to(self.machine.device),) if self.conditional else ()
        return self.nets["discriminator"](images, *given).float()

    def _ascended_features(self, latents: Tensor, labels: Tensor) -> Tensor:
        """Images (n, c, h, w) after the steps in the generator's first features."""
        shape = getattr(self.nets["generator"], "first_features", None)
        if shape is None:
            raise RecipeError(
                "this generator takes no offset to its first features, as conditional-dcgan does; set "
                "sampling.feature_ascent_steps to 0"
            )

        def score(offset: Tensor, step: int) -> Tensor:
            return self._augmented_score(self.generate(latents, labels, offset), labels, step)

        with torch.inference_mode(False):
            latents, labels = latents.clone(), labels.clone()
            start = latents.new_zeros(len(latents), *shape)
        return self.generate(latents, labels, self.sampling.ascend_features(start, score))

    def _augmented_score(self, images: Tensor, labels: Tensor, step: int) -> Tensor:
        """The logits of images augmented as the step's number decides, all in the same way."""
        change = self.augment.draw(1, generator(0, "view", step)).to(images.device)
        images = self.augment.apply(images, change.expand(len(images), -1))
        return self.score(images.flip(3) if self.mirrored and step % 2 else images, labels)
