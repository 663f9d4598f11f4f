"""A class-conditional DCGAN without strided convolutions, small enough for a CPU (after arXiv 1511.06434)."""

import math
from itertools import pairwise
from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import PositiveInt, model_validator
from torch import Tensor, nn

from shoestring.core.config import Spec
from shoestring.nets.dcgan import SLOPE, require_32
from shoestring.nets.mirrored import MirroredBatchNorm2d, MirroredConv2d, MirroredToImage, swapped

GAIN = math.sqrt(2 / (1 + SLOPE**2))  # makes up for what leaky ReLU takes from the standard deviation, arXiv 1502.01852

Widths = tuple[PositiveInt, PositiveInt, PositiveInt, PositiveInt]


class ConditionalDCGAN(Spec):
    """One or more 3x3 convolutions at each resolution; pixels are repeated or averaged in between, never strided over.

    The generator normalises by batch, and latent vector and class scale and shift every channel after it (de Vries et
    al. 2017). The discriminator has no norm, so that gradient penalties can be taken of it; its logit is that of the
    image plus that of image and class (arXiv 1802.05637). The defaults have a generator of 534,411 and a
    discriminator of 462,897 parameters on 3x32x32 images with 100 classes.
    """

    kind: Literal["conditional-dcgan"] = "conditional-dcgan"
    generator: Widths = (128, 64, 32, 16)
    """The generator's channels at 4x4, 8x8, 16x16 and 32x32."""
    generator_depths: Widths = (1, 1, 1, 1)
    """The generator's convolutions there; those after the first of a resolution add to what they get."""
    start: PositiveInt | None = None
    """Channels at 4x4 that the generator's first linear layer gives. By default as many as its convolutions there;
    fewer leave parameters for convolutions, for this layer has 16 times its inputs for each channel."""
    discriminator: Widths = (144, 128, 64, 32)
    """The discriminator's channels there."""
    discriminator_depths: Widths = (2, 1, 1, 1)
    """The discriminator's convolutions there; those after the first of a resolution add to what they get, but not at
    4x4."""
    upsampling: Literal["nearest", "bilinear"] = "nearest"
    """How the generator doubles the resolution: by repeating pixels, or by linear interpolation between them."""
    latent: PositiveInt = 64
    """Dimension of the normal latent vector."""
    embedding: PositiveInt = 35
    """Dimension of the generator's embedding of the class."""
    mirrored: bool = False
    """Give every kernel a left-right mirrored twin, which costs no parameters: both nets have twice as many channels as
    `generator` and `discriminator` say. Swapping the last two quarters of a latent vector mirrors its image, and the
    discriminator answers alike for an image and its mirror image."""

    @model_validator(mode="after")
    def _latent_has_quarters(self) -> "ConditionalDCGAN":
        if self.mirrored and self.latent % 4:
            raise ValueError(f"a mirrored net swaps quarters of the latent vector; {self.latent} is no multiple of 4")
        return self

    def build(self, shape: tuple[int, int, int], num_classes: int) -> nn.ModuleDict:
        """{"generator": (latents (n, latent), labels (n,)) -> (n, *shape), "discriminator": (images, labels) -> (n,)}.

        Images are in -1..1. Without labels, both answer for no class in particular.
        """
        require_32(shape)
        return nn.ModuleDict({
            "generator": ConditionalGenerator(self, shape[0], num_classes),
            "discriminator": ConditionalDiscriminator(self, shape[0], num_classes),
        })  # fmt: skip

    def examples(self, shape: tuple[int, int, int]) -> dict[str, tuple[Tensor, ...]]:
        """One latent vector and one image, each with its class, by net name."""
        label = torch.zeros(1, dtype=torch.int64)
        return {"generator": (torch.zeros(1, self.latent), label), "discriminator": (torch.zeros(1, *shape), label)}


class ConditionalGenerator(nn.Module):
    """The generator of a `ConditionalDCGAN`."""

    def __init__(self, spec: ConditionalDCGAN, image_channels: int, num_classes: int) -> None:
        super().__init__()
        widths, depths = spec.generator, spec.generator_depths
        self.mirrored = spec.mirrored
        features = spec.latent + spec.embedding
        self.label = ClassEmbedding(num_classes, spec.embedding)
        self.mix = nn.Linear(features, features)
        first = spec.start or widths[0]
        self.start = nn.Linear(features, first * 16, bias=False)
        normed_widths = (first, *(width for width, depth in zip(widths, depths, strict=True) for _ in range(depth)))
        self.ups = {sum(depths[:place]) for place in range(1, 4)}
        self.residual = set(range(sum(depths))) - self.ups - {0}
        self.upsampling = spec.upsampling
        self.sizes = [2 * width for width in normed_widths]
        self.modulate = nn.Linear(features, sum(self.sizes))
        if spec.mirrored:
            convs: list[nn.Conv2d] = [MirroredConv2d(2 * below, above, 3) for below, above in pairwise(normed_widths)]
            self.norms = nn.ModuleList(MirroredBatchNorm2d(width, affine=False) for width in normed_widths)
            self.head = MirroredToImage(2 * widths[-1], image_channels, 3)
        else:
            convs = [nn.Conv2d(below, above, 3, padding=1, bias=False) for below, above in pairwise(normed_widths)]
            self.norms = nn.ModuleList(nn.BatchNorm2d(width, affine=False) for width in normed_widths)
            self.head = nn.Conv2d(widths[-1], image_channels, 3, padding=1)
        self.convs = nn.ModuleList(convs)
        filled(self.mix, GAIN)
        filled(self.modulate, 0.0)
        for layer in (self.start, *convs):
            filled(layer, 1.0)
        filled(self.head, math.sqrt(0.5) if spec.mirrored else 1.0)  # the twins' kernels are not among its weights

    @property
    def first_features(self) -> tuple[int, int, int]:
        """Shape of the features, after the first batch norm, that `forward` adds an offset to."""
        return self.sizes[0] // 2 * (1 + self.mirrored), 4, 4

    def forward(self, latent: Tensor, labels: Tensor | None = None, offset: Tensor | None = None) -> Tensor:
        """(n, latent) -> images (n, c, 32, 32) in -1..1, float32.

        Args:
            latent: Standard normal.
            labels: int64, (n,); any label that is no class says nothing. Or mixtures of classes, (n, num_classes).
            offset: (n, *first_features), added to these.
        """
        told = self.label(labels) if labels is not None else latent.new_zeros(len(latent), self.label.out_features)
        told = told.to(latent.dtype)
        code = self.code(latent, told)
        x = self.pixels(code)
        if self.mirrored:
            kept, pairs = latent.chunk(2, 1)
            other = self.code(torch.cat((kept, swapped(pairs)), 1), told)
            x = torch.cat((x, self.pixels(other).flip(3)), 1)
            code = (code + other) / 2  # alike for an image and its mirror image, as scale and shift must be
        changes = self.modulate(code)[:, :, None, None].split(self.sizes, 1)
        x = normed(x, self.norms[0], changes[0])
        x = x if offset is None else x + offset.to(x.dtype)
        for place, (conv, norm, change) in enumerate(zip(self.convs, self.norms[1:], changes[1:], strict=True)):
            if place in self.ups:
                x = F.interpolate(x, scale_factor=2, mode=self.upsampling)
            y = normed(conv(x), norm, change)
            x = x + y if place in self.residual else y
        return torch.tanh(self.head(x)).float()

    def code(self, latent: Tensor, told: Tensor) -> Tensor:
        """Latent vectors (n, latent) and class embeddings (n, embedding), mixed: (n, latent + embedding)."""
        return F.leaky_relu(self.mix(torch.cat((latent, told), 1)), SLOPE)

    def pixels(self, code: Tensor) -> Tensor:
        """The first features, (n, features, 4, 4), of codes."""
        # Pixels first, so that all that follows is in channels_last order.
        return self.start(code).unflatten(1, (4, 4, -1)).permute(0, 3, 1, 2)


def normed(x: Tensor, norm: nn.Module, change: Tensor) -> Tensor:
    """Normalised, scaled by 1 plus the first half of the changes and shifted by the second, then leaky ReLU.

    Args:
        x: (n, channels, h, w).
        norm: Keeps the shape.
        change: (n, 2 channels, 1, 1); half as many are shared by twins.
    """
    scale, shift = change.chunk(2, 1)
    if scale.shape[1] < x.shape[1]:
        scale, shift = torch.cat((scale, scale), 1), torch.cat((shift, shift), 1)
    return F.leaky_relu(norm(x) * (1 + scale) + shift, SLOPE)


def halved(x: Tensor) -> Tensor:
    """Means of 2x2 pixels, (n, c, h, w) -> (n, c, h/2, w/2).

    Between four pixels, linear interpolation is their mean. The second derivative of average pooling, which a gradient
    penalty takes, falls out of the channels_last order; this one's does not.
    """
    return F.interpolate(x, scale_factor=0.5, mode="bilinear")


class ConditionalDiscriminator(nn.Module):
    """The discriminator of a `ConditionalDCGAN`."""

    def __init__(self, spec: ConditionalDCGAN, image_channels: int, num_classes: int) -> None:
        super().__init__()
        widths, self.depths = spec.discriminator[::-1], spec.discriminator_depths[::-1]
        given = [width for width, depth in zip(widths, self.depths, strict=True) for _ in range(depth)]
        self.mirrored = spec.mirrored
        if spec.mirrored:
            convs: list[nn.Conv2d] = [MirroredConv2d(image_channels, given[0], 3, of_image=True, bias=True)]
            convs += [MirroredConv2d(2 * above, below, 3, bias=True) for above, below in pairwise(given)]
        else:
            convs = [nn.Conv2d(above, below, 3, padding=1) for above, below in pairwise((image_channels, *given))]
        self.convs = nn.ModuleList(convs)
        self.judge = ClassLogit(widths[-1], num_classes)
        for conv in convs:
            filled(conv, GAIN)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """Images (n, c, 32, 32) -> logits (n,), float32; labels as for the generator."""
        convs = iter(self.convs)
        for level, depth in enumerate(self.depths):
            x = halved(x) if level else x
            for place in range(depth):
                y = F.leaky_relu(next(convs)(x), SLOPE)
                x = x + y if place and level < len(self.depths) - 1 else y
        if self.mirrored:
            features, twins = x.chunk(2, 1)
            x = (features + twins.flip(3)) / 2
        return self.judge(x, labels)


class ClassLogit(nn.Module):
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
    """Draws weights that give outputs `gain` times the standard deviation of independent inputs; biases are zero."""
    fan_in = layer.weight[0].numel()
    nn.init.normal_(layer.weight, 0.0, gain / math.sqrt(fan_in))
    if layer.bias is not None:  # pyright: ignore[reportUnnecessaryComparison]
        nn.init.zeros_(layer.bias)
