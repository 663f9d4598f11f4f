"""What of a trained model leaves: one net, in plain torch, with all that its inputs and outputs mean inside it."""

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

from shoestring.core.progress import Progress
from shoestring.core.rng import generator
from shoestring.data.dataset import Normalisation
from shoestring.model.classifier import Classifier
from shoestring.model.model import Model
from shoestring.nets.fuse_bn import fuse_conv_bn
from shoestring.tasks.contract import NO_CLASS
from shoestring.tasks.flow.flow_matching import LARGEST_RATIO

BATCH = 64
Kind = Literal["classifier", "generator", "flow"]
Inputs = tuple[Tensor, ...]
"""One batch, in the order of the net's arguments; each (n, ...)."""


@dataclass(frozen=True)
class Exportable:
    """A model as one net on the CPU, float32, in evaluation mode, its batch norms folded into its convolutions.

    Attributes:
        model: Where it comes from: the reference that an export is compared with.
        kind: "classifier" maps images, uint8 (n, c, h, w), to logits (n, num_classes). "generator" maps normal latent
            vectors (n, latent), and classes, int64 (n,), where it knows any, to images (n, c, h, w) in 0..1. "flow"
            maps images on their way (n, c, h, w), times (n,) from 1 (noise) to 0, and classes to velocities
            (n, c, h, w).
        net: The net.
        inputs: Names of its arguments.
        output: Name of its result.
        reference: What the model itself answers to a batch; float32, as the net's result.
    """

    model: Model
    kind: Kind
    net: nn.Module
    inputs: tuple[str, ...]
    output: str
    reference: Callable[[Inputs], Tensor]

    @property
    def trained(self) -> nn.Module:
        """The net of the model that leaves, as it was trained."""
        return self.model.nets[self.model.recipe.task.generator_net or "classifier"]

    def draw(self, count: int, seed: int = 0) -> Inputs:
        """Made-up inputs: noise in place of images, normal latent vectors, every class in turn."""
        recipe = self.model.recipe
        labels = torch.arange(count) % len(recipe.data.classes)
        if isinstance(self.model, Classifier):
            # Patches of one colour under fine noise: nets answer to them, while plain noise is the same grey to most.
            channels, height, width = recipe.data.shape
            coarse = torch.rand(count, channels, 4, 4, generator=generator(seed, "patches"))
            patches = nn.functional.interpolate(coarse, (height, width), mode="bilinear")
            fine = torch.rand(count, *recipe.data.shape, generator=generator(seed, "noise"))
            return ((255 * (0.8 * patches + 0.2 * fine)).to(torch.uint8),)
        latents = self.model.latents(count, seed)
        if recipe.task.net_output == "velocity":
            grid = torch.tensor(recipe.task.sampling.times()[:-1])
            times = grid[torch.arange(count) % len(grid)]
            images = recipe.task.data_std * torch.randn(latents.shape, generator=generator(seed, "images"))
            weights = times.view(-1, 1, 1, 1)
            return (1 - weights) * images + weights * latents, times, labels
        return (latents, labels) if recipe.task.conditional else (latents,)


def exportable(model: Model) -> Exportable:
    """The net of a model that leaves with it: a classifier, a GAN's generator or a flow's denoiser.

    A classifier leaves as it answers by one view of an image; a GAN without its discriminator, hence without what that
    does at sampling time; a flow without the loop that follows it.

    Args:
        model: On the CPU.
    """
    task, recipe = model.recipe.task, model.recipe
    if isinstance(model, Classifier):
        classifier, once = (
            ClassifierOfPixels(fuse_conv_bn(model.nets["classifier"]), recipe.normalisation),
            model.with_views(1),
        )
        return Exportable(
            once, "classifier", plain(classifier), ("images",), "logits", lambda batch: once.logits(*batch)
        )
    if task.net_output == "images":
        trained, truncation = model.nets["generator"], task.sampling.truncation
        net = GeneratorOfPixels(fuse_conv_bn(trained), recipe.normalisation, truncation)
        before = GeneratorOfPixels(trained, recipe.normalisation, truncation)
        inputs = ("latents", "labels") if task.conditional else ("latents",)
        return Exportable(model, "generator", plain(net), inputs, "images", lambda batch: before(*batch))
    assert task.net_output == "velocity"
    denoiser = model.nets["denoiser"]
    flow = Velocity(denoiser, task.data_std)
    return Exportable(
        model, "flow", plain(flow), ("images", "times", "labels"), "velocity", lambda batch: _by_time(model, *batch)
    )


def plain(net: nn.Module) -> nn.Module:
    """A copy in evaluation mode, in torch's usual order of memory, whose weights ask for no gradients."""
    net = copy.deepcopy(net).eval().requires_grad_(False)
    for tensor in (*net.parameters(), *net.buffers()):
        tensor.data = tensor.data.contiguous()
    return net


class ClassifierOfPixels(nn.Module):
    """A classifier that takes pixels as files have them: uint8 (n, c, h, w) -> logits, float32 (n, num_classes)."""

    scale: Tensor
    shift: Tensor

    def __init__(self, net: nn.Module, by: Normalisation) -> None:
        super().__init__()
        self.net = net
        mean, std = torch.tensor(by.mean, dtype=torch.float64), torch.tensor(by.std, dtype=torch.float64)
        self.register_buffer("scale", (1 / (255 * std)).float().view(-1, 1, 1))
        self.register_buffer("shift", (-mean / std).float().view(-1, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        """Normalisation is one product and one sum."""
        return self.net(images.float() * self.scale + self.shift).float()


class GeneratorOfPixels(nn.Module):
    """A generator that truncates normal latents and whose images are in 0..1; times 255 and rounded they are pixels."""

    std: Tensor
    mean: Tensor

    def __init__(self, net: nn.Module, by: Normalisation, truncation: float) -> None:
        super().__init__()
        self.net = net
        self.truncation = truncation
        self.register_buffer("std", torch.tensor(by.std).view(-1, 1, 1))
        self.register_buffer("mean", torch.tensor(by.mean).view(-1, 1, 1))

    def forward(self, latents: Tensor, labels: Tensor | None = None) -> Tensor:
        """(n, latent) and, where the net knows classes, int64 (n,) -> (n, c, h, w)."""
        given = () if labels is None else (labels,)
        latents = latents if self.truncation == 1 else self.truncation * latents
        return (self.net(latents, *given).float() * self.std + self.mean).clamp(0, 1)


class Velocity(nn.Module):
    """The velocity field of a flow, noise less image, with the net's preconditioning (as `Flow.velocity`)."""

    def __init__(self, net: nn.Module, data_std: float) -> None:
        super().__init__()
        self.net = net
        self.data_variance = data_std**2

    def forward(self, images: Tensor, times: Tensor, labels: Tensor) -> Tensor:
        """Images on their way (n, c, h, w), times (n,) in 0..1, int64 (n,), or NO_CLASS -> (n, c, h, w)."""
        signal = 1 - times
        variance = signal * signal * self.data_variance + times * times
        slope = (times - signal * self.data_variance) / variance
        scale = variance.rsqrt()
        ratio = (times / signal.clamp_min(1e-6)).clamp_max(LARGEST_RATIO)  # at pure noise it has no end
        answer = self.net(images * _each(scale), ratio.log(), labels).float()
        return _each(slope) * images + _each(math.sqrt(self.data_variance) * scale) * answer


def _each(values: Tensor) -> Tensor:
    return values.view(-1, 1, 1, 1)


@torch.inference_mode()
def _by_time(model: Model, images: Tensor, times: Tensor, labels: Tensor) -> Tensor:
    """The velocities that the model's own sampler gets, which asks at one time at once."""
    task = model.recipe.task
    assert task.net_output == "velocity"
    found = torch.empty_like(images)
    for time in cast("list[float]", times.unique().tolist()):
        here = times == time
        found[here] = task.velocity(model.nets["denoiser"], labels[here])(images[here], time)
    return found


def sampler(found: Exportable) -> dict[str, Any] | None:
    """What a page or a program must do to sample as the model does, as plain JSON values; None of classifiers.

    Of a flow the times, solver and guidance: at each step call the net with the classes and, where guidance is not 1,
    with -1 for no class; then pixels in 0..1 are std * image + mean. Of a GAN only the latent shape: what its
    discriminator did for samples stays behind.
    """
    task = found.model.recipe.task
    if task.net_output == "velocity":
        how = task.sampling
        times = how.times()
        return {
            "latent": list(found.model.recipe.latent_shape),
            "times": times,
            "solver": how.solver,
            "guidance": how.guidance,
            "guided": [how.guides(time) for time in times[:-1]],
            "no_class": NO_CLASS,
            "std": list(found.model.recipe.normalisation.std),
            "mean": list(found.model.recipe.normalisation.mean),
        }
    if task.net_output == "images":
        return {"latent": list(found.model.recipe.latent_shape)}
    return None


@torch.inference_mode()
def by_batches(answer: Callable[[Inputs], Tensor], inputs: Inputs, doing: str, progress: Progress) -> Tensor:
    """The answers to any number of inputs, (n, ...), as float32; the last batch is shorter, as users' may be."""
    made: list[Tensor] = []
    with progress.task(doing, len(inputs[0]), "images") as advance:
        for batch in zip(*(torch.split(each, BATCH) for each in inputs), strict=True):
            made.append(answer(batch).float())
            advance(len(batch[0]))
    return torch.cat(made)
