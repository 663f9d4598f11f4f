"""A small magnitude-preserving denoising U-Net, without norms and biases (after arXiv 2312.02696, "EDM2")."""

import math
from contextlib import AbstractContextManager, nullcontext
from typing import Literal, cast

import torch
import torch.nn.functional as F
from pydantic import PositiveInt
from torch import Tensor, nn

from shoestring.core.config import Spec
from shoestring.core.errors import RecipeError

GROWTH = (1.0, 4 / 3, 5 / 3)  # channels at full, half and quarter resolution over the width
SILU_GAIN = 1 / 0.596  # makes the standard deviation of SiLU of a standard normal 1, arXiv 2312.02696, eq. 81
BRANCH = 0.3  # weight of a residual branch in the sum with its input, ibid. eq. 88
KEPT, ADDED = (part / math.hypot(1 - BRANCH, BRANCH) for part in (1 - BRANCH, BRANCH))


class ThriftyUNet(Spec):
    """U-Net of bottleneck blocks at three resolutions that shares one embedding of noise and class.

    Every filter has unit length, so that activations keep standard deviation 1 on average through the whole net: no
    norm layer has to read them again, which makes it fast, and no bias is needed. The defaults have 998,257 parameters
    on 3x32x32 images with 100 classes.
    """

    kind: Literal["unet"] = "unet"
    width: PositiveInt = 96
    """Channels at full resolution; 4/3 and 5/3 of it at half and quarter, rounded to multiples of 16."""
    depths: tuple[PositiveInt, PositiveInt, PositiveInt] = (3, 3, 3)
    """Blocks at full and half resolution, on the way down and again on the way up; and at quarter resolution."""
    block: Literal["bottleneck", "plain"] = "bottleneck"
    """A block's convolutions: 1x1 to half the channels, 3x3, 1x1 back; or two 3x3, with 5.5 times as many weights."""
    embedding: PositiveInt = 80
    """Dimension of the embedding of noise and class."""
    attention: PositiveInt = 96
    """Dimension of the attention at quarter resolution, in heads of 32."""
    patch: PositiveInt = 1
    """Side of the squares of pixels that the net sees as one, each pixel in channels of its own. 2 takes a quarter of
    the work for a given width, so that a processor has time for a wider net."""

    def build(self, shape: tuple[int, int, int], num_classes: int) -> nn.ModuleDict:
        """{"denoiser": (images (n, *shape), log noise (n,), labels (n,)) -> (n, *shape)}; zeros before training."""
        step = 4 * self.patch
        if shape[1] % step or shape[2] % step:
            raise RecipeError(
                f"this U-Net halves patches of {self.patch} twice, so that sides must be multiples of {step}; "
                f"{shape[1]}x{shape[2]} is not, choose another patch or net"
            )
        return nn.ModuleDict({"denoiser": UNet(self, shape[0], num_classes)})

    def examples(self, shape: tuple[int, int, int]) -> dict[str, tuple[Tensor, ...]]:
        """One image with its noise and class."""
        return {"denoiser": (torch.zeros(1, *shape), torch.zeros(1), torch.zeros(1, dtype=torch.int64))}


class UNet(nn.Module):
    """The net of a `ThriftyUNet`."""

    def __init__(self, spec: ThriftyUNet, channels: int, num_classes: int) -> None:
        super().__init__()
        full, half, quarter = (16 * round(spec.width * growth / 16) for growth in GROWTH)
        early = (spec.depths[2] + 1) // 2
        modulated = 0  # hidden channels of all blocks so far

        def stage(channels: int, depth: int) -> nn.ModuleList:
            nonlocal modulated
            hidden = channels // 2 if spec.block == "bottleneck" else channels
            start, modulated = modulated, modulated + depth * hidden
            return nn.ModuleList(Block(channels, hidden, start + index * hidden) for index in range(depth))

        self.patch = spec.patch
        self.embed = Embedding(num_classes, spec.embedding)
        self.stem = UnitConv(channels * spec.patch**2 + 1, full, 3)
        self.down_full = stage(full, spec.depths[0])
        self.to_half = UnitConv(full, half, 1)
        self.down_half = stage(half, spec.depths[1])
        self.to_quarter = UnitConv(half, quarter, 1)
        self.middle = stage(quarter, early)
        self.attention = Attention(quarter, spec.attention)
        self.middle_too = stage(quarter, spec.depths[2] - early)
        self.from_quarter = Join(quarter, half)
        self.up_half = stage(half, spec.depths[1])
        self.from_half = Join(half, full)
        self.up_full = stage(full, spec.depths[0])
        self.head = Head(full, channels * spec.patch**2)
        self.modulate = Modulation(spec.embedding, modulated)

    def forward(self, x: Tensor, log_noise: Tensor, labels: Tensor) -> Tensor:
        """An estimate for every pixel.

        Args:
            x: (n, c, h, w), of about unit standard deviation.
            log_noise: (n,), natural logarithm of the noise's standard deviation over the signal's scale.
            labels: int64, (n,), in 0..num_classes-1; any other label says nothing about the class. Or mixtures of
                classes, float, (n, num_classes).

        Returns:
            (n, c, h, w).
        """
        with _full_precision(x.device.type):  # little to compute, and every block multiplies by what is rounded here
            factors = self.modulate(self.embed(log_noise, labels))

        def run(stage: nn.ModuleList, x: Tensor) -> Tensor:
            for block in stage:
                x = block(x, factors)
            return x

        x = F.pixel_unshuffle(x, self.patch)
        x = self.stem(torch.cat((x, torch.ones_like(x[:, :1])), 1))
        full = run(self.down_full, unit_pixels(x))
        half = run(self.down_half, unit_pixels(self.to_half(F.avg_pool2d(full, 2))))
        x = run(self.middle, unit_pixels(self.to_quarter(F.avg_pool2d(half, 2))))
        x = run(self.middle_too, self.attention(x))
        x = run(self.up_half, self.from_quarter(x, half))
        x = run(self.up_full, self.from_half(x, full))
        return F.pixel_shuffle(self.head(x), self.patch)


class UnitConv(nn.Conv2d):
    """Convolution that keeps the size, without bias, whose filters have the length `gain` whatever the weights' scale.

    Inputs of standard deviation 1 that are uncorrelated give outputs of standard deviation `gain` (arXiv 2312.02696,
    eq. 66).
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int, gain: float = 1.0) -> None:
        super().__init__(in_channels, out_channels, kernel_size, padding=kernel_size // 2, bias=False)
        nn.init.normal_(self.weight)
        self.gain = gain

    def forward(self, input: Tensor) -> Tensor:
        """(n, in_channels, h, w) -> (n, out_channels, h, w)."""
        return F.conv2d(input, unit(self.weight, self.gain), padding=self.padding)


def _full_precision(device: str) -> AbstractContextManager[object]:
    """Inside, nothing is computed in less than float32."""
    known = torch.amp.is_autocast_available(device)  # not on "meta", where nothing is computed
    return torch.autocast(device, enabled=False) if known else nullcontext()


class UnitLinear(nn.Linear):
    """Linear layer without bias whose rows have the length `gain` whatever the weights' scale."""

    def __init__(self, in_features: int, out_features: int, gain: float = 1.0) -> None:
        super().__init__(in_features, out_features, bias=False)
        nn.init.normal_(self.weight)
        self.gain = gain

    def forward(self, input: Tensor) -> Tensor:
        """(n, in_features) -> (n, out_features)."""
        return F.linear(input, unit(self.weight, self.gain))


class Embedding(nn.Module):
    """Noise and class as one vector; the noise enters through Fourier features, which need no parameters."""

    octaves: Tensor
    classes: Tensor

    def __init__(self, num_classes: int, features: int, frequencies: int = 16) -> None:
        super().__init__()
        self.register_buffer("octaves", torch.arange(1, frequencies + 1) * (2 * math.pi / 32), persistent=False)
        self.register_buffer("classes", torch.arange(num_classes), persistent=False)
        self.noise = UnitLinear(2 * frequencies, features, math.sqrt(0.5))
        self.label = UnitLinear(num_classes, features, math.sqrt(0.5 * num_classes))
        self.mix = UnitLinear(features, features, SILU_GAIN)

    def forward(self, log_noise: Tensor, labels: Tensor) -> Tensor:
        """(n,) and (n,) or (n, num_classes) -> (n, features); a label that is no class adds nothing to the noise."""
        angles = log_noise.float()[:, None] * self.octaves
        waves = torch.cat((angles.cos(), angles.sin()), 1) * math.sqrt(2)
        chosen = labels if labels.is_floating_point() else (labels[:, None] == self.classes).to(waves.dtype)
        return F.silu(self.mix(F.silu(self.noise(waves) + self.label(chosen))))


class Modulation(nn.Module):
    """A factor for each hidden channel of each block, all from one matrix product; 1 before training."""

    def __init__(self, features: int, channels: int) -> None:
        super().__init__()
        self.linear = UnitLinear(features, channels, SILU_GAIN)
        self.gain = nn.Parameter(torch.zeros(channels))

    def forward(self, embedding: Tensor) -> Tensor:
        """(n, features) -> (n, channels, 1, 1)."""
        change = self.linear(embedding)
        return (1 + change * self.gain.to(change.dtype))[:, :, None, None]


class Block(nn.Module):
    """Residual block whose hidden channels are scaled by the embedding; keeps the standard deviation of its input."""

    def __init__(self, channels: int, hidden: int, offset: int) -> None:
        super().__init__()
        bottleneck = hidden < channels
        self.scaled = slice(offset, offset + hidden)
        self.first = UnitConv(channels, hidden, 1 if bottleneck else 3, SILU_GAIN)
        self.middle = UnitConv(hidden, hidden, 3, SILU_GAIN) if bottleneck else None
        self.last = UnitConv(hidden, channels, 1 if bottleneck else 3, SILU_GAIN * ADDED)

    def forward(self, x: Tensor, factors: Tensor) -> Tensor:
        """(n, channels, h, w) and the factors of all blocks (n, …, 1, 1) -> (n, channels, h, w)."""
        y = self.first(F.silu(x))
        y = y * factors[:, self.scaled].to(y.dtype)
        if self.middle is not None:
            y = self.middle(F.silu(y))
        return torch.add(self.last(F.silu(y)), x, alpha=KEPT)


class Attention(nn.Module):
    """Residual self-attention between all pixels, of queries and keys of unit length (arXiv 2312.02696, B.3)."""

    def __init__(self, channels: int, features: int) -> None:
        super().__init__()
        self.heads = max(features // 32, 1)
        self.ask = UnitConv(channels, 3 * features, 1)
        self.answer = UnitConv(features, channels, 1, ADDED)

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, h, w) -> the same shape."""
        n, _, height, width = x.shape
        # Pixels first, as channels_last already has them: nothing is copied.
        parts = self.ask(x).permute(0, 2, 3, 1).reshape(n, height * width, 3, self.heads, -1)
        query, key, value = unit_pixels(parts, dimension=4).permute(2, 0, 3, 1, 4).unbind(0)
        found = F.scaled_dot_product_attention(query, key, value)
        found = found.transpose(1, 2).reshape(n, height, width, -1).permute(0, 3, 1, 2)
        return torch.add(self.answer(found), x, alpha=KEPT)


class Head(nn.Module):
    """3x3 convolution to the image, zero before training."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.convolution = UnitConv(in_channels, out_channels, 3, SILU_GAIN)
        self.strength = Strength()

    def forward(self, x: Tensor) -> Tensor:
        """(n, in_channels, h, w) -> (n, out_channels, h, w)."""
        return self.strength(self.convolution(F.silu(x)))


class Strength(nn.Module):
    """A learnt factor that starts at 0."""

    def __init__(self) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        """The input in float32, times the factor."""
        return x.float() * self.factor


class Join(nn.Module):
    """Doubles the size and adds what the way down knew at that size, through a 1x1 convolution each."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.below = UnitConv(in_channels, out_channels, 1, math.sqrt(0.5))
        self.beside = UnitConv(out_channels, out_channels, 1, math.sqrt(0.5))

    def forward(self, below: Tensor, beside: Tensor) -> Tensor:
        """(n, in_channels, h, w) and (n, out_channels, 2h, 2w) -> (n, out_channels, 2h, 2w)."""
        return F.interpolate(self.below(below), scale_factor=2, mode="nearest") + self.beside(beside)


def unit(weight: Tensor, gain: float) -> Tensor:
    """The weight with each output's filter scaled to the length `gain`."""
    length = cast("Tensor", torch.linalg.vector_norm(weight, dim=tuple(range(1, weight.ndim)), keepdim=True))
    return weight * (gain / (length + 1e-4))


def unit_pixels(x: Tensor, dimension: int = 1) -> Tensor:
    """The tensor with mean square 1 along a dimension."""
    mean = torch.mean(x * x, dimension, keepdim=True, dtype=torch.float32)
    return x * torch.rsqrt(mean + 1e-4).to(x.dtype)
