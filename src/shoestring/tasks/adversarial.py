"""Learning to make images against a critic (Goodfellow et al. 2014)."""

from collections import abc
from contextlib import contextmanager
from typing import Annotated, ClassVar, Literal

import torch
import torch.nn.functional as F
from pydantic import Field, NonNegativeFloat
from torch import Generator, Tensor, nn

from shoestring.spec import Spec
from shoestring.tasks.phase import Batch, Loss


class Adversarial(Spec):
    """The non-saturating GAN by binary cross-entropy; each step updates the discriminator, then the generator."""

    kind: Literal["adversarial"] = "adversarial"
    label_bound: Annotated[float, Field(ge=0, lt=0.5)] = 0.0
    """Soft and noisy labels: the discriminator's targets are uniform in 1-bound..1 for real, 0..bound for made ones."""
    instance_noise: NonNegativeFloat = 0.0
    """Deviation, at step 0, of the normal noise added to all images the discriminator sees (Sonderby et al. 2017)."""
    noise_decay: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Factor on that deviation at every step."""
    phases: ClassVar[tuple[str, ...]] = ("discriminator", "generator")
    maker: ClassVar[str | None] = "generator"
    evaluations: ClassVar[int] = 1
    work: ClassVar[abc.Mapping[str, int]] = {"generator": 3, "discriminator": 3 + 3 + 2}  # real, made, made to teach

    def draw(self, batch: Batch, latent: tuple[int, ...], step: int, generator: Generator) -> Batch:
        """Adds "latent" (n, *latent), and what is asked for: soft targets (n,) and instance noise like the images."""
        images = batch["images"]
        drawn: Batch = {"latent": _normal(images, (len(images), *latent), generator)}
        if self.label_bound:
            soft = torch.rand(2, len(images), generator=generator, device=images.device) * self.label_bound
            drawn |= {"real_target": 1 - soft[0], "fake_target": soft[1]}
        if self.instance_noise:
            deviation = self.instance_noise * self.noise_decay**step
            drawn["real_noise"] = _normal(images, images.shape, generator) * deviation
            drawn["fake_noise"] = _normal(images, images.shape, generator) * deviation
        return batch | drawn

    def loss(self, phase: str, nets: nn.ModuleDict, batch: Batch) -> Loss:
        """Binary cross-entropy of one phase; the made images are shared by both phases of a step."""
        discriminator = nets["discriminator"]
        if phase == "discriminator":
            batch["fake"] = nets["generator"](batch["latent"])
            real = discriminator(_noisy(batch, "images", "real_noise")).float()
            fake = discriminator(_noisy(batch, "fake", "fake_noise").detach()).float()
            real_target = batch.get("real_target", torch.ones_like(real))
            fake_target = batch.get("fake_target", torch.zeros_like(fake))
            loss = F.binary_cross_entropy_with_logits(real, real_target)
            loss = loss + F.binary_cross_entropy_with_logits(fake, fake_target)
            return loss, {"real": real.detach().sigmoid().mean(), "fake": fake.detach().sigmoid().mean()}
        with frozen(discriminator):
            fake = discriminator(_noisy(batch, "fake", "fake_noise")).float()
        return F.softplus(-fake).mean(), {}

    def generate(self, nets: nn.ModuleDict, latents: Tensor, labels: Tensor) -> Tensor:
        """Images (n, c, h, w) in -1..1 of latents (n, *latent); these nets know no classes, so labels are ignored."""
        return nets["generator"](latents)


@contextmanager
def frozen(net: nn.Module) -> abc.Generator[None]:
    """Inside, gradients flow through the net but not into its parameters."""
    net.requires_grad_(False)
    try:
        yield
    finally:
        net.requires_grad_(True)


def _normal(like: Tensor, shape: tuple[int, ...], generator: Generator) -> Tensor:
    return torch.randn(shape, generator=generator, device=like.device)


def _noisy(batch: Batch, images: str, noise: str) -> Tensor:
    return batch[images] + batch[noise] if noise in batch else batch[images]
