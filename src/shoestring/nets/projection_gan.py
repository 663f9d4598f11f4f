"""A thrifty generator and discriminator that are told the class, without norms (after Huang et al. 2024, "R3GAN").

Weights are saved by bottlenecks rather than by groups: a GPU's tensor cores do plain convolutions only.
"""

import math
from itertools import pairwise
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import PositiveInt
from torch import Tensor, nn

from shoestring.errors import RecipeError
from shoestring.spec import Spec

GROWTH = (1.5, 1.5, 1.25, 1.0)  # channels at 4x4, 8x8, 16x16 and 32x32 over the width
SLOPE = 0.2  # of leaky ReLU
GAIN = math.sqrt(2 / (1 + SLOPE**2))  # makes up for what leaky ReLU takes from the deviation, He et al. 2015


class ProjectionGAN(Spec):
    """Generator and discriminator of residual bottleneck blocks, mirror images of each other, told the class.

    The generator doubles the size by repeating pixels, the discriminator halves it by means of 2x2, so neither favours
    some pixels of an image over others. The latent vector and the class scale the hidden channels of every generator
    block; the discriminator's logit is that of the image plus that of image and class (Miyato and Koyama 2018). The
    last convolution of each block starts at zero and no norm is needed (Zhang et al. 2019, "Fixup"). The defaults have
    a generator of 511,327 and a discriminator of 487,249 parameters on 3x32x32 images with 100 classes.
    """

    kind: Literal["projection-gan"] = "projection-gan"
    width: PositiveInt = 96
    """Channels at 32x32; 5/4 of it at 16x16 and 3/2 below, rounded to multiples of 16."""
    depth: PositiveInt = 2
    """Blocks at each of the four resolutions."""
    latent: PositiveInt = 64
    """Dimension of the normal latent vector."""
    embedding: PositiveInt = 44
    """Dimension of the generator's embedding of latent vector and class."""

    def build(self, shape: tuple[int, int, int], num_classes: int) -> nn.ModuleDict:
        """{"generator": (latent (n, latent), labels (n,)) -> (n, *shape), "discriminator": (images, labels) -> (n,)}.

        Images are about -1..1, and not clipped. Without labels, both nets answer for no class in particular.
        """
        if shape[1:] != (32, 32):
            raise RecipeError(f"this GAN makes 32x32 images, the data has {shape[1]}x{shape[2]}; choose another net")
        return nn.ModuleDict({
            "generator": ProjectionGenerator(self, shape[0], num_classes),
            "discriminator": ProjectionDiscriminator(self, shape[0], num_classes),
        })  # fmt: skip

    def examples(self, shape: tuple[int, int, int]) -> dict[str, tuple[Tensor, ...]]:
        """One latent vector and one image, each with its class, by net name."""
        label = torch.zeros(1, dtype=torch.int64)
        return {"generator": (torch.zeros(1, self.latent), label), "discriminator": (torch.zeros(1, *shape), label)}

    @property
    def channels(self) -> tuple[int, int, int, int]:
        """Channels at 4x4, 8x8, 16x16 and 32x32."""
        lowest, low, high, highest = (16 * max(round(self.width * growth / 16), 1) for growth in GROWTH)
        return lowest, low, high, highest


class ProjectionGenerator(nn.Module):
    """The generator of a `ProjectionGAN`."""

    def __init__(self, spec: ProjectionGAN, image_channels: int, num_classes: int) -> None:
        super().__init__()
        widths = spec.channels
        self.label = ClassEmbedding(num_classes, spec.embedding)
        self.mix = nn.Linear(spec.latent + spec.embedding, spec.embedding)
        self.start = Start(spec.embedding, widths[0])
        self.stages = nn.ModuleList(Stage(width, spec.depth) for width in widths)
        self.ups = nn.ModuleList(Resize(below, above) for below, above in pairwise(widths))
        self.head = nn.Conv2d(widths[-1], image_channels, 3, padding=1)
        self.hidden = [spec.depth * (width // 2) for width in widths]
        self.modulate = nn.Linear(spec.embedding, sum(self.hidden))
        filled(self.mix, GAIN)
        filled(self.head, 1.0)
        filled(self.modulate, 0.0)

    def forward(self, latent: Tensor, labels: Tensor | None = None) -> Tensor:
        """(n, latent) -> images (n, c, 32, 32), float32.

        Args:
            latent: Standard normal.
            labels: int64, (n,); any label that is no class says nothing. Or mixtures of classes, (n, num_classes).
        """
        told = self.label(labels) if labels is not None else latent.new_zeros(len(latent), self.label.out_features)
        code = F.leaky_relu(self.mix(torch.cat((latent, told.to(latent.dtype)), 1)), SLOPE)
        factors = (1 + self.modulate(code))[:, :, None, None].split(self.hidden, 1)
        x = self.stages[0](self.start(code), factors[0])
        for up, stage, scale in zip(self.ups, self.stages[1:], factors[1:], strict=True):
            x = stage(F.interpolate(up(x), scale_factor=2, mode="nearest"), scale)
        return self.head(x).float()


class ProjectionDiscriminator(nn.Module):
    """The discriminator of a `ProjectionGAN`."""

    def __init__(self, spec: ProjectionGAN, image_channels: int, num_classes: int) -> None:
        super().__init__()
        widths = spec.channels[::-1]
        self.stem = nn.Conv2d(image_channels, widths[0], 3, padding=1)
        self.stages = nn.ModuleList(Stage(width, spec.depth) for width in widths)
        self.downs = nn.ModuleList(Resize(above, below) for above, below in pairwise(widths))
        self.judge = Judge(widths[-1], num_classes)
        filled(self.stem, 1.0)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Images (n, c, 32, 32) -> logits (n,), float32; labels as for the generator."""
        x = self.stages[0](self.stem(x))
        for down, stage in zip(self.downs, self.stages[1:], strict=True):
            x = stage(down(F.avg_pool2d(x, 2)))
        return self.judge(x, labels)


class Stage(nn.Module):
    """The blocks of one resolution of one net."""

    def __init__(self, channels: int, depth: int) -> None:
        super().__init__()
        blocks = len(GROWTH) * depth  # of the whole net
        self.blocks = nn.ModuleList(Bottleneck(channels, channels // 2, blocks) for _ in range(depth))

    def forward(self, x: Tensor, factors: Tensor | None = None) -> Tensor:
        """(n, channels, h, w) and, if given, the factors of all blocks in a row, (n, …, 1, 1) -> the same shape."""
        parts = [None] * len(self.blocks) if factors is None else factors.chunk(len(self.blocks), 1)
        for block, part in zip(self.blocks, parts, strict=True):
            x = block(x, part)
        return x


class Bottleneck(nn.Module):
    """Residual block: 1x1 to the hidden channels, 3x3, 1x1 back; it adds nothing before training."""

    def __init__(self, channels: int, hidden: int, blocks: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, hidden, 1)
        self.middle = nn.Conv2d(hidden, hidden, 3, padding=1)
        self.last = nn.Conv2d(hidden, channels, 1, bias=False)
        scale = (
            blocks**-0.25
        )  # so that one step changes nets of any depth alike: three layers a block, Zhang et al. 2019
        filled(self.first, scale)
        filled(self.middle, GAIN * scale)
        filled(self.last, 0.0)

    def forward(self, x: Tensor, factors: Tensor | None = None) -> Tensor:
        """(n, channels, h, w) -> the same shape; hidden channels are scaled by the factors (n, hidden, 1, 1)."""
        y = self.first(x)
        if factors is not None:
            y = y * factors.to(y.dtype)
        y = self.middle(F.leaky_relu(y, SLOPE))
        return x + self.last(F.leaky_relu(y, SLOPE))


class Resize(nn.Sequential):
    """1x1 convolution between two widths; nothing where they are the same."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        layers = [nn.Conv2d(in_channels, out_channels, 1, bias=False)] if in_channels != out_channels else []
        super().__init__(*layers)
        for layer in layers:
            filled(layer, 1.0)


class Start(nn.Module):
    """A learnt 4x4 pattern for each channel, times a learnt function of the embedding."""

    def __init__(self, features: int, channels: int) -> None:
        super().__init__()
        self.strength = nn.Linear(features, channels)
        self.pattern = nn.Parameter(torch.randn(4, 4, channels))
        filled(self.strength, GAIN)

    def forward(self, code: Tensor) -> Tensor:
        """(n, features) -> (n, channels, 4, 4)."""
        strength = self.strength(code)
        # Pixels first, so that all that follows is in channels_last order.
        return (strength[:, None, None, :] * self.pattern.to(strength.dtype)).permute(0, 3, 1, 2)


class Judge(nn.Module):
    """The logit of an image from 4x4 features: by a learnt pattern for each channel, a linear layer, and the class."""

    def __init__(self, channels: int, num_classes: int) -> None:
        super().__init__()
        self.pattern = nn.Parameter(torch.randn(channels, 4, 4) / 4)
        self.score = nn.Linear(channels, 1)
        self.label = ClassEmbedding(num_classes, channels)
        filled(self.score, 1.0)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """(n, channels, 4, 4) -> (n,), float32; differences of logits are learnt from, so nothing is rounded here."""
        with torch.autocast(x.device.type, enabled=False):
            features = (x.float() * self.pattern).sum((2, 3))
            logit = self.score(features).squeeze(1)
            if labels is None:
                return logit
            return logit + (features * self.label(labels)).sum(1) / math.sqrt(features.shape[1])


class ClassEmbedding(nn.Linear):
    """A learnt vector for each class, mixed as asked; a label that is no class gives zeros."""

    classes: Tensor

    def __init__(self, num_classes: int, features: int) -> None:
        super().__init__(num_classes, features, bias=False)
        self.register_buffer("classes", torch.arange(num_classes), persistent=False)
        nn.init.normal_(self.weight)

    def forward(self, input: Tensor) -> Tensor:
        """int64 (n,) or float (n, num_classes) -> (n, features)."""
        chosen = input if input.is_floating_point() else (input[:, None] == self.classes).to(self.weight.dtype)
        return F.linear(chosen, self.weight)


def filled(layer: nn.Conv2d | nn.Linear, gain: float) -> None:
    """Draws weights that give outputs `gain` times the deviation of independent inputs; biases are zero."""
    fan_in = layer.weight[0].numel()
    nn.init.normal_(layer.weight, 0.0, gain / math.sqrt(fan_in))
    if layer.bias is not None:  # pyright: ignore[reportUnnecessaryComparison]
        nn.init.zeros_(layer.bias)
