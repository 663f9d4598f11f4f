"""Learning to make images against a critic (Goodfellow et al. 2014)."""

from collections import abc
from contextlib import contextmanager
from typing import Annotated, ClassVar, Literal, Self, cast

import torch
import torch.nn.functional as F
from pydantic import Field, NonNegativeFloat, model_validator
from torch import Generator, Tensor, nn

from shoestring.core.config import Spec
from shoestring.tasks.contract import Batch, Loss
from shoestring.tasks.gan.diffaugment import CriticAugment
from shoestring.tasks.gan.discriminator_guidance import CriticSampling
from shoestring.tasks.gan.gradient_penalty import judge_with_slope
from shoestring.tasks.gan.spectral_weighting import whitened


class Adversarial(Spec):
    """The GAN game with non-saturating losses; each step updates the discriminator, then the generator."""

    kind: Literal["adversarial"] = "adversarial"
    rule: Literal["bce", "relativistic"] = "bce"
    """Judge each image by itself, by binary cross-entropy; or each real image against a made one, by the difference of
    their logits (Jolicoeur-Martineau 2019; Huang et al. 2024)."""
    conditional: bool = False
    """Tell both nets the classes of images; a made image is to be of the class of the real one beside it."""
    auxiliary: NonNegativeFloat = 0.0
    """Weight of the cross-entropy of classes that the discriminator names, for nets that have such a part: it learns to
    name those of real and of made images, the generator to make images named as told (ACGAN, arXiv 1610.09585)."""
    label_bound: Annotated[float, Field(ge=0, lt=0.5)] = 0.0
    """Soft and noisy labels: the discriminator's targets are uniform in 1-bound..1 for real, 0..bound for made ones."""
    instance_noise: NonNegativeFloat = 0.0
    """Deviation, at step 0, of the normal noise added to all images the discriminator sees (Sonderby et al. 2017)."""
    noise_decay: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Factor on that deviation at every step."""
    augment: CriticAugment = CriticAugment()
    """Random changes to all images the discriminator sees; a real image and the made one beside it get the same."""
    whitening: NonNegativeFloat = 0.0
    """Power of the frequency by which the discriminator sees detail larger (`whitened`); penalties are taken there. 1
    makes all frequencies of natural images equal, 0 shows them as they are."""
    r1: NonNegativeFloat = 0.0
    """Weight of half the discriminator's squared gradient at the real images it sees (Mescheder et al. 2018)."""
    r2: NonNegativeFloat = 0.0
    """The same at made images."""
    penalised: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Share of a step's images at which these gradients are taken; less is less work and, on average, the same."""
    pixel_range: Literal["signed", "data"] = "signed"
    """Pixels that the nets see: in -1..1, all that a tanh reaches, or as the data normalises them."""
    sampling: CriticSampling = CriticSampling()
    """How images are made."""
    phases: ClassVar[tuple[str, ...]] = ("discriminator", "generator")
    maker: ClassVar[str | None] = "generator"

    @model_validator(mode="after")
    def _targets_are_used(self) -> Self:
        if self.rule == "relativistic" and self.label_bound:
            raise ValueError("label_bound softens the targets of bce; the relativistic rule has none, so set it to 0")
        if self.auxiliary and not (self.conditional and self.rule == "bce"):
            raise ValueError("auxiliary names classes that nets are told: set conditional to true, with the rule bce")
        if self.auxiliary and (self.r1 or self.r2):
            raise ValueError("auxiliary and gradient penalties do not go together; set r1 and r2 to 0")
        return self

    @property
    def classless(self) -> bool:
        """Whether the nets are told no class."""
        return not self.conditional

    @property
    def evaluations(self) -> int:
        """Net calls per image."""
        return self.sampling.evaluations

    @property
    def loss_unit(self) -> str:
        """Nats, as far as the losses are cross-entropies; gradient penalties have another unit."""
        return "" if self.r1 or self.r2 else "nats"

    @property
    def work(self) -> abc.Mapping[str, float]:
        """Forward passes' worth of arithmetic of a step for each image, by net.

        A gradient penalty goes backwards to the image, and learning from that takes twice what a forward and a backward
        pass took.
        """
        real, made = (3 + 3 * self.penalised if weight else 3 for weight in (self.r1, self.r2))
        teaching = 2 if self.rule == "bce" else 3  # the real images are judged again, by the updated discriminator
        return {"generator": 3, "discriminator": real + made + teaching}

    def draw(self, batch: Batch, latent: tuple[int, ...], step: int, generator: Generator) -> Batch:
        """Adds "latent" (n, *latent), and what is asked for.

        That is soft targets (n,), instance noise like the images, and the draws of the augmentation (n, 7).
        """
        images = batch["images"]
        drawn: Batch = {"latent": _normal(images, (len(images), *latent), generator)}
        if self.label_bound:
            soft = torch.rand(2, len(images), generator=generator, device=images.device) * self.label_bound
            drawn |= {"real_target": 1 - soft[0], "fake_target": soft[1]}
        if self.instance_noise:
            deviation = self.instance_noise * self.noise_decay**step
            drawn["real_noise"] = _normal(images, images.shape, generator) * deviation
            drawn["fake_noise"] = _normal(images, images.shape, generator) * deviation
        if self.augment.active:
            drawn["changes"] = self.augment.draw(len(images), generator)
        return batch | drawn

    def loss(self, phase: str, nets: nn.ModuleDict, batch: Batch) -> Loss:
        """The loss of one phase; the made images are shared by both phases of a step.

        The facts are mean probabilities of being real, of both kinds of images; by the relativistic rule, of being the
        real one of two. With penalties, also the mean squared gradients at both kinds.
        """
        discriminator = nets["discriminator"]
        told = (batch["labels"],) if self.conditional else ()
        if phase == "discriminator":
            batch["fake"] = nets["generator"](batch["latent"], *told)
            return self._judge(discriminator, batch, *told)
        with frozen(discriminator):
            if self.auxiliary:
                logits, named = _named(discriminator, self._seen(batch, "fake"))
                return F.softplus(-logits.float()).mean() + self._naming(named, batch["labels"]), {}
            fake = discriminator(self._seen(batch, "fake"), *told).float()
            if self.rule == "bce":
                return F.softplus(-fake).mean(), {}
            with torch.no_grad():
                real = discriminator(self._seen(batch, "real"), *told).float()
        return F.softplus(real - fake).mean(), {}

    def _judge(self, discriminator: nn.Module, batch: Batch, *told: Tensor) -> Loss:
        """The discriminator's loss."""
        slopes: dict[str, Tensor] = {}
        named: dict[str, Tensor] = {}

        def judge(kind: Literal["real", "fake"], weight: float) -> Tensor:
            images = self._seen(batch, kind).detach()
            if self.auxiliary:
                logits, named[kind] = _named(discriminator, images)
                return logits.float()
            if not weight:
                return discriminator(images, *told).float()
            steep = max(round(self.penalised * len(images)), 1)
            parts = [(part[:steep], part[steep:]) for part in (images, *told)]
            some, rest = zip(*parts, strict=True)
            logits, slopes[f"{kind}_slope"] = judge_with_slope(discriminator, *some)
            return torch.cat((logits, discriminator(*rest).float())) if steep < len(images) else logits

        real, fake = judge("real", self.r1), judge("fake", self.r2)
        if self.rule == "bce":
            real_target = batch.get("real_target", torch.ones_like(real))
            fake_target = batch.get("fake_target", torch.zeros_like(fake))
            loss = F.binary_cross_entropy_with_logits(real, real_target)
            loss = loss + F.binary_cross_entropy_with_logits(fake, fake_target)
        else:
            real, fake = real - fake, fake - real
            loss = F.softplus(fake).mean()
        facts = {"real": real.detach().sigmoid().mean(), "fake": fake.detach().sigmoid().mean()}
        for kind, logits in named.items():
            loss = loss + self._naming(logits, batch["labels"])
            facts[f"{kind}_named"] = (logits.detach().argmax(1) == batch["labels"]).float().mean()
        for weight, name in ((self.r1, "real_slope"), (self.r2, "fake_slope")):
            if weight:
                loss = loss + weight / 2 * slopes[name].mean()
                facts[name] = slopes[name].detach().mean()
        return loss, facts

    def _naming(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The weighted cross-entropy of the classes (n,) by their logits (n, num_classes)."""
        return self.auxiliary * F.cross_entropy(logits.float(), labels)

    def _seen(self, batch: Batch, kind: Literal["real", "fake"]) -> Tensor:
        """Images as the discriminator is given them."""
        images = batch["images" if kind == "real" else "fake"]
        noise = batch.get(f"{kind}_noise")
        if noise is not None:
            images = images + noise
        if self.augment.active:
            images = self.augment.apply(images, batch["changes"])
        return self.shown(images)

    def shown(self, images: Tensor) -> Tensor:
        """Images (n, c, h, w) with their frequencies in the proportions that the discriminator sees."""
        return whitened(images, self.whitening) if self.whitening else images

    def generate(self, nets: nn.ModuleDict, latents: Tensor, labels: Tensor) -> Tensor:
        """Images (n, c, h, w), their pixels as the nets see them.

        Args:
            nets: Holds "generator".
            latents: Standard normal, (n, *latent).
            labels: int64, (n,), classes or NO_CLASS; or mixtures of classes, float, (n, num_classes). Ignored where the
                nets are told no classes.
        """
        return nets["generator"](latents, labels) if self.conditional else nets["generator"](latents)


@contextmanager
def frozen(net: nn.Module) -> abc.Generator[None]:
    """Inside, gradients flow through the net but not into its parameters, each of which then is as it was."""
    before = [(parameter, parameter.requires_grad) for parameter in net.parameters()]
    net.requires_grad_(False)
    try:
        yield
    finally:
        for parameter, learns in before:
            parameter.requires_grad_(learns)


def _named(discriminator: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
    """Logits of being real (n,) and of the classes (n, num_classes), by a discriminator that names classes."""
    return cast(abc.Callable[[Tensor], tuple[Tensor, Tensor]], discriminator.named)(images)


def _normal(like: Tensor, shape: tuple[int, ...], generator: Generator) -> Tensor:
    return torch.randn(shape, generator=generator, device=like.device)
