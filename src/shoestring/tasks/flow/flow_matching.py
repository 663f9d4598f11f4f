"""Learning to make images by following a flow from noise to data (arXiv 2210.02747; arXiv 2209.03003)."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal, NoReturn, Self

import torch
from pydantic import Field, PositiveFloat, model_validator
from torch import Generator, Tensor, nn

from shoestring.core.config import Spec
from shoestring.core.device import Machine
from shoestring.core.errors import RecipeError
from shoestring.tasks.contract import NO_CLASS, Batch, Loss
from shoestring.tasks.flow.samplers import ODESampling, Velocity

LARGEST_RATIO = 80  # of noise over signal that the net is asked about; more is rare in training, and all but pure noise

Fraction = Annotated[float, Field(ge=0, lt=1)]


class Flow(Spec):
    """Flow matching on straight paths x = (1 - t) image + t noise, whose velocity is noise - image.

    The net sees x and answers in units of what the best linear estimate leaves over: velocity = a(t) x + b(t) net. With
    noise over signal written as t / (1 - t), that is the preconditioning of Karras et al. 2022 (arXiv 2206.00364), and
    the logit-normal times (arXiv 2403.03206) are their log-normal noise levels.
    """

    kind: Literal["flow"] = "flow"
    time_mean: float = -1.2
    """Mean of the logarithm of noise over signal, t / (1 - t), in training."""
    time_std: PositiveFloat = 1.2
    """Standard deviation of that logarithm."""
    data_std: PositiveFloat = 0.5
    """Standard deviation of the pixels of images, as the net sees them."""
    pixel_range: Literal["signed", "data"] = "signed"
    """Pixels that the net sees: in -1..1, or as the data normalises them."""
    label_dropout: Fraction = 0.1
    """Fraction of images whose class is withheld, as classifier-free guidance needs (arXiv 2207.12598)."""
    sampling: ODESampling = ODESampling()
    """How images are made."""

    @model_validator(mode="after")
    def _guide_was_trained(self) -> Self:
        if self.sampling.guidance != 1 and not self.label_dropout:
            raise ValueError(
                "guidance is for nets that learnt without classes as well (label_dropout above 0); take guidance 1"
            )
        return self

    phases: ClassVar[tuple[str, ...]] = ("denoiser",)
    drawn: ClassVar[tuple[str, ...]] = ("time_mean", "time_std", "label_dropout")
    generator_net: ClassVar[str | None] = "denoiser"
    net_output: ClassVar[Literal["velocity"]] = "velocity"
    conditional: ClassVar[bool] = True
    loss_unit: ClassVar[str] = ""
    forward_passes: ClassVar[Mapping[str, int]] = {"denoiser": 3}

    def require_nets(self, nets: Mapping[str, Sequence[Tensor]], net: Spec) -> None:
        """Takes any denoiser."""

    def of_split(self, labels: Tensor, num_classes: int) -> Batch:
        """Nothing."""
        return {}

    @property
    def unconditional(self) -> bool:
        """Whether the net also learnt without a class."""
        return self.label_dropout > 0

    @property
    def nfe(self) -> int:
        """Net calls per image."""
        return self.sampling.nfe

    def parts(self, images: int) -> tuple[int, ...]:
        """All of them."""
        return (images,)

    def draw(self, batch: Batch, latent: tuple[int, ...], step: int, generator: Generator) -> Batch:
        """Adds "noise" like the images, "time" and "given", both (n,).

        Times are in 0..1, one from each of n equally likely strata; "given" are the labels, some replaced by NO_CLASS.
        """
        images, labels = batch["images"], batch["labels"]
        count, device = len(images), images.device
        strata = torch.randperm(count, generator=generator, device=device)
        uniform = (strata + torch.rand(count, generator=generator, device=device)) / count
        standard = math.sqrt(2) * torch.erfinv(2 * uniform.clamp(1e-6, 1 - 1e-6) - 1)
        kept = torch.rand(count, generator=generator, device=device) >= self.label_dropout
        return batch | {
            "noise": torch.randn(images.shape, generator=generator, device=device),
            "time": torch.sigmoid(self.time_mean + self.time_std * standard),
            "given": torch.where(kept, labels, NO_CLASS),
        }

    def loss(self, phase: str, nets: nn.ModuleDict, batch: Batch) -> Loss:
        """Mean squared error of the velocity, in units of its own std given x: 1 for the best linear estimate."""
        images, noise, time, given = (batch[name] for name in ("images", "noise", "time", "given"))
        each = time.view(-1, 1, 1, 1)
        x = (1 - each) * images + each * noise
        slope, leftover, scale = self.precondition(each)
        target = (noise - images - slope * x) / leftover
        found = nets["denoiser"](x * scale, torch.logit(time), given)
        return (found.float() - target).square().mean(), {}

    def precondition(self, time: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """a, b and c of velocity = a x + b net(c x), as functions of the time.

        c makes the input's variance 1, a x is the best linear estimate of the velocity, and b is the standard deviation
        of what it leaves over (Karras et al. 2022, B.6, in flow coordinates).
        """
        variance = ((1 - time) * self.data_std) ** 2 + time**2
        slope = (time - (1 - time) * self.data_std**2) / variance
        scale = variance.rsqrt()
        return slope, self.data_std * scale, scale

    def sampler(self, nets: nn.ModuleDict, machine: Machine, *, mirrored: bool) -> "FlowSampler":
        """The net as it makes images; arguments as of `Task.sampler`."""
        return FlowSampler(self, nets, machine)

    def velocity(self, net: nn.Module, labels: Tensor) -> Velocity:
        """The velocity field that a net has learnt, for images of the given classes."""

        def at(x: Tensor, time: float) -> Tensor:
            slope, leftover, scale = self.precondition(torch.tensor(time, dtype=torch.float64))
            ratio = min(time / (1 - time), LARGEST_RATIO) if time < 1 else LARGEST_RATIO
            answer = net(x * scale, torch.full((len(x),), math.log(ratio), device=x.device), labels)
            return slope * x + leftover * answer.float()

        return at


@dataclass(frozen=True)
class FlowSampler:
    """A trained flow that makes images as `task.sampling` says.

    Attributes:
        task: What the net learnt, and how images are made.
        nets: "denoiser", in evaluation mode.
        machine: How the arithmetic is done.
    """

    task: Flow
    nets: nn.ModuleDict
    machine: Machine

    def generate(self, latents: Tensor, labels: Tensor) -> Tensor:
        """Images (n, c, h, w) of standard normal noise of that shape."""
        net = self.nets["denoiser"]
        guide = self.task.velocity(net, torch.full((len(labels),), NO_CLASS, device=labels.device))
        with self.machine.autocast():
            return self.task.sampling.solve(self.task.velocity(net, labels), guide, latents)

    def sample(self, latents: Tensor, labels: Tensor) -> Tensor:
        """As `generate`."""
        return self.generate(latents, labels)

    def score(self, images: Tensor, labels: Tensor) -> NoReturn:
        """Refused: a flow has no discriminator."""
        raise RecipeError("this model has no discriminator to score images with")
