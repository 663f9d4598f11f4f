"""A generator trained against a discriminator (GAN, arXiv 1406.2661)."""

from collections import abc
from typing import Annotated, ClassVar, Literal, Self, cast

import torch
import torch.nn.functional as F
from pydantic import Field, NonNegativeFloat, model_validator
from torch import Generator, Tensor, nn

from shoestring.core.config import Spec
from shoestring.core.device import Machine
from shoestring.core.frozen import frozen
from shoestring.core.processes import sharing
from shoestring.tasks.contract import Batch, Loss
from shoestring.tasks.gan.ada_augment import ADAugment
from shoestring.tasks.gan.diffaugment import DiffAugment
from shoestring.tasks.gan.discriminator_guidance import DiscriminatorGuidance
from shoestring.tasks.gan.gradient_penalty import logits_and_squared_gradients
from shoestring.tasks.gan.guided_sampler import GuidedSampler


class Adversarial(Spec):
    """The GAN game with non-saturating losses; each step updates the discriminator, then the generator."""

    kind: Literal["adversarial"] = "adversarial"
    rule: Literal["bce", "relativistic"] = "bce"
    """Score each image by itself, by binary cross-entropy; or each real image against a fake one, by the difference of
    their logits (arXiv 1807.00734; arXiv 2501.05441)."""
    conditional: bool = False
    """Class-conditional generator and discriminator; fakes share the real batch's labels."""
    auxiliary: NonNegativeFloat = 0.0
    """Weight of the cross-entropy of classes that the discriminator names, for nets that have such a part: it learns to
    name those of real and of fake images, the generator to make images named by their labels (ACGAN, arXiv
    1610.09585)."""
    label_bound: Annotated[float, Field(ge=0, lt=0.5)] = 0.0
    """Soft and noisy labels: the discriminator's targets are uniform in 1-bound..1 for real, 0..bound for fake
    images."""
    instance_noise: NonNegativeFloat = 0.0
    """Standard deviation of the normal noise added to all images the discriminator sees (arXiv 1610.04490)."""
    augment: DiffAugment = DiffAugment()
    """Random changes to all images the discriminator sees; a real image and the fake one beside it get the same."""
    ada: ADAugment = ADAugment()
    """More such changes, after these, each with a probability; by default none."""
    r1: NonNegativeFloat = 0.0
    """Weight of half the discriminator's squared gradient at the real images it sees (arXiv 1801.04406)."""
    r2: NonNegativeFloat = 0.0
    """The same at fake images."""
    penalty_fraction: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Fraction of a step's images at which these gradients are taken; less is less work and, on average, the same."""
    pixel_range: Literal["signed", "data"] = "signed"
    """Pixels that the nets see: in -1..1, all that a tanh reaches, or as the data normalises them."""
    sampling: DiscriminatorGuidance = DiscriminatorGuidance()
    """How images are made."""
    phases: ClassVar[tuple[str, ...]] = ("discriminator", "generator")
    drawn: ClassVar[tuple[str, ...]] = ("label_bound", "instance_noise", "ada")
    generator_net: ClassVar[str | None] = "generator"
    net_output: ClassVar[Literal["images"]] = "images"

    @model_validator(mode="after")
    def _targets_are_used(self) -> Self:
        if self.rule == "relativistic" and self.label_bound:
            raise ValueError("label_bound softens the targets of bce; the relativistic rule has none, so set it to 0")
        if self.auxiliary and not (self.conditional and self.rule == "bce"):
            raise ValueError("auxiliary names classes that nets are given: set conditional to true, with the rule bce")
        if self.auxiliary and (self.r1 or self.r2):
            raise ValueError("auxiliary and gradient penalties do not go together; set r1 and r2 to 0")
        return self

    def require_nets(self, nets: abc.Mapping[str, abc.Sequence[Tensor]], net: Spec) -> None:
        """Refuses nets that take no classes or cannot name them, where the task has them do so; see `Task`."""
        if self.conditional and len(nets["generator"]) < 2:
            raise ValueError(
                "task.conditional gives both nets the class, but this net takes none; set it to false, or use the net "
                "'conditional-dcgan'"
            )
        if bool(self.auxiliary) != getattr(net, "auxiliary", False):
            raise ValueError(
                "task.auxiliary trains a discriminator to name classes, and net.auxiliary is what names them (net "
                "'plain-dcgan'): set both or neither"
            )

    def of_split(self, labels: Tensor, num_classes: int) -> Batch:
        """Nothing."""
        return {}

    @property
    def unconditional(self) -> bool:
        """Whether the nets take no class."""
        return not self.conditional

    @property
    def nfe(self) -> int:
        """Net calls per image."""
        return self.sampling.nfe

    @property
    def loss_unit(self) -> str:
        """Nats, as far as the losses are cross-entropies; gradient penalties have another unit."""
        return "" if self.r1 or self.r2 else "nats"

    @property
    def forward_passes(self) -> abc.Mapping[str, float]:
        """Forward passes' worth of arithmetic of a step for each image, by net.

        A gradient penalty goes backwards to the image, and learning from that takes twice what a forward and a backward
        pass took.
        """
        real, made = (3 + 3 * self.penalty_fraction if weight else 3 for weight in (self.r1, self.r2))
        teaching = 2 if self.rule == "bce" else 3  # the real images are scored again, by the updated discriminator
        return {"generator": 3, "discriminator": real + made + teaching}

    def parts(self, images: int) -> tuple[int, ...]:
        """Those at which gradients are penalised, and the rest."""
        penalised = max(round(self.penalty_fraction * images), 1)
        return (penalised, images - penalised) if (self.r1 or self.r2) and penalised < images else (images,)

    def draw(self, batch: Batch, latent: tuple[int, ...], step: int, generator: Generator) -> Batch:
        """Adds "latent" (n, *latent), and what is asked for.

        That is soft targets (n,), instance noise like the images, the draws of the augmentation (n, 7), and those of
        ADA's.
        """
        images = batch["images"]
        drawn: Batch = {"latent": _normal(images, (len(images), *latent), generator)}
        if self.label_bound:
            soft = torch.rand(2, len(images), generator=generator, device=images.device) * self.label_bound
            drawn |= {"real_target": 1 - soft[0], "fake_target": soft[1]}
        if self.instance_noise:
            drawn["real_noise"] = _normal(images, images.shape, generator) * self.instance_noise
            drawn["fake_noise"] = _normal(images, images.shape, generator) * self.instance_noise
        if self.augment.active:
            drawn["changes"] = self.augment.draw(len(images), generator)
        if self.ada.probability:
            drawn |= self.ada.draw(images.shape, generator)
        return batch | drawn

    def loss(self, phase: str, nets: nn.ModuleDict, batch: Batch) -> Loss:
        """The loss of one phase; both phases of a step share the fake images, and what the discriminator sees.

        The metrics are mean probabilities of being real, of real and fake images; by the relativistic rule, of being
        the real one of two. With penalties, also the mean squared gradients at both.
        """
        discriminator = nets["discriminator"]
        labels = (batch["labels"],) if self.conditional else ()
        if phase == "discriminator":
            batch["fake"] = nets["generator"](batch["latent"], *labels)
            batch |= {f"{kind}_seen": self._discriminator_input(batch, kind) for kind in ("real", "fake")}
            return self._discriminator_loss(discriminator, batch, *labels)
        with frozen(discriminator):
            if self.auxiliary:
                logits, named = _named(discriminator, batch["fake_seen"])
                return F.softplus(-logits.float()).mean() + self._naming(named, batch["labels"]), {}
            fake = discriminator(batch["fake_seen"], *labels).float()
            if self.rule == "bce":
                return F.softplus(-fake).mean(), {}
            with torch.no_grad():
                real = discriminator(batch["real_seen"], *labels).float()
        return F.softplus(real - fake).mean(), {}

    def _discriminator_loss(self, discriminator: nn.Module, batch: Batch, *labels: Tensor) -> Loss:
        """The discriminator's loss."""
        processes = sharing()
        whole = len(batch["labels"]) * processes.count
        penalised = self.parts(whole)[0]
        squared_gradients: dict[str, Tensor] = {}
        named: dict[str, Tensor] = {}

        def score(kind: Literal["real", "fake"], weight: float) -> Tensor:
            images = batch[f"{kind}_seen"].detach()
            if self.auxiliary:
                logits, named[kind] = _named(discriminator, images)
                return logits.float()
            if not weight:
                return discriminator(images, *labels).float()
            here = processes.share_of(penalised)
            parts = [(part[:here], part[here:]) for part in (images, *labels)]
            some, rest = zip(*parts, strict=True)
            logits, squared_gradients[kind] = logits_and_squared_gradients(discriminator, *some)
            return torch.cat((logits, discriminator(*rest).float())) if here < len(images) else logits

        real, fake = score("real", self.r1), score("fake", self.r2)
        if self.rule == "bce":
            real_target = batch.get("real_target", torch.ones_like(real))
            fake_target = batch.get("fake_target", torch.zeros_like(fake))
            loss = F.binary_cross_entropy_with_logits(real, real_target)
            loss = loss + F.binary_cross_entropy_with_logits(fake, fake_target)
        else:
            real, fake = real - fake, fake - real
            loss = F.softplus(fake).mean()
        metrics = {"real": real.detach().sigmoid().mean(), "fake": fake.detach().sigmoid().mean()}
        for kind, logits in named.items():
            loss = loss + self._naming(logits, batch["labels"])
            metrics[f"{kind}_named"] = (logits.detach().argmax(1) == batch["labels"]).float().mean()
        for weight, kind in ((self.r1, "real"), (self.r2, "fake")):
            if weight:
                mean = processes.weight(range(penalised), whole) * squared_gradients[kind].mean()
                loss = loss + weight / 2 * mean
                metrics[f"{kind}_squared_gradient"] = mean.detach()
        return loss, metrics

    def _naming(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The weighted cross-entropy of the classes (n,) by their logits (n, num_classes)."""
        return self.auxiliary * F.cross_entropy(logits.float(), labels)

    def _discriminator_input(self, batch: Batch, kind: str) -> Tensor:
        """Images as the discriminator sees them: with instance noise, augmented."""
        images = batch["images" if kind == "real" else "fake"]
        noise = batch.get(f"{kind}_noise")
        if noise is not None:
            images = images + noise
        if self.augment.active:
            images = self.augment.apply(images, batch["changes"])
        return self.ada.apply(images, batch) if "places" in batch else images

    def sampler(self, nets: nn.ModuleDict, machine: Machine, *, mirrored: bool) -> GuidedSampler:
        """The nets as they make images; arguments as of `Task.sampler`."""
        return GuidedSampler(self.sampling, self.augment, self.conditional, nets, machine, mirrored)


def _named(discriminator: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
    """Logits of being real (n,) and of the classes (n, num_classes), by a discriminator that names classes."""
    return cast(abc.Callable[[Tensor], tuple[Tensor, Tensor]], discriminator.named)(images)


def _normal(like: Tensor, shape: tuple[int, ...], generator: Generator) -> Tensor:
    return torch.randn(shape, generator=generator, device=like.device)
