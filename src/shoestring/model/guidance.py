"""What the discriminator of a trained GAN does for the images made: it judges them, leads latent vectors, refines."""

from dataclasses import dataclass

from torch import Tensor, nn

from shoestring.core.device import Machine
from shoestring.core.rng import generator
from shoestring.tasks.gan.task import Adversarial


@dataclass(frozen=True)
class Critic:
    """A discriminator at work after its training, with the generator it learnt against.

    While it changes something, it sees that in another view at every step, moved and mirrored as images were in its
    training: what is liked in one view only is a flaw of the discriminator, not a merit of the image.

    Attributes:
        task: What the nets learnt, and how images are made.
        mirrors: Whether training showed images mirrored as well.
        nets: "generator" and "discriminator", in evaluation mode; frozen, where gradients flow through them.
        machine: How the arithmetic is done.
    """

    task: Adversarial
    mirrors: bool
    nets: nn.ModuleDict
    machine: Machine

    def judge(self, images: Tensor, labels: Tensor) -> Tensor:
        """The logits (n,), float32, of normalised images (n, c, h, w), as ones of their classes."""
        told = (labels.to(self.machine.device),) if self.task.conditional else ()
        return self.nets["discriminator"](self.task.shown(images), *told).float()

    def lead(self, latents: Tensor, noise: Tensor, labels: Tensor) -> Tensor:
        """Latent vectors (n, *latent) after their Langevin steps.

        Args:
            latents: Where to start from.
            noise: Standard normal, (n, steps, *latent).
            labels: As `Model.sample` takes them, (n,).
        """
        device, labels = self.machine.device, labels.to(self.machine.device)

        def score(latents: Tensor, step: int) -> Tensor:
            with self.machine.autocast():
                images = self.task.generate(self.nets, latents, labels)
            return self._seen(images.float(), labels, step)

        return self.task.sampling.lead(latents.to(device), noise.to(device), score)

    def refine(self, images: Tensor, labels: Tensor) -> Tensor:
        """Normalised images (n, c, h, w) after their refinements."""
        return self.task.sampling.refine(images, lambda seen, step: self._seen(seen, labels, step))

    def _seen(self, images: Tensor, labels: Tensor, step: int) -> Tensor:
        """The logits of images in the view of a step, the same for all."""
        change = self.task.augment.draw(1, generator(0, "view", step)).to(images.device)
        images = self.task.augment.apply(images, change.expand(len(images), -1))
        return self.judge(images.flip(3) if self.mirrors and step % 2 else images, labels)
