"""The InceptionV3 of FID (TensorFlow's of 2015-12-05) as a net whose batch norms are folded into its convolutions."""

from collections.abc import Mapping
from functools import cache
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Dimensions = Literal[64, 192, 768, 2048]

_EPSILON = 0.001  # of the batch norms


class Convolution(nn.Module):
    """A convolution with batch norm folded into weight and bias, and ReLU.

    Attributes:
        name: Its name in the official file, such as "Mixed_5b.branch5x5_1".
    """

    def __init__(
        self,
        name: str,
        width: int,
        out: int,
        kernel: int | tuple[int, int] = 1,
        *,
        stride: int = 1,
        padded: bool = True,
    ) -> None:
        super().__init__()
        self.name = name
        height, breadth = kernel if isinstance(kernel, tuple) else (kernel, kernel)
        self.stride = stride
        self.padding = (height // 2, breadth // 2) if padded else (0, 0)
        self.weight = nn.Parameter(torch.empty(out, width, height, breadth), requires_grad=False)
        self.bias = nn.Parameter(torch.empty(out), requires_grad=False)

    def forward(self, images: Tensor) -> Tensor:
        """Feature maps, at least 0."""
        return F.conv2d(images, self.weight, self.bias, self.stride, self.padding).relu_()

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The tensors of the official file that this layer needs."""
        norm = dict.fromkeys(("weight", "bias", "running_mean", "running_var"), tuple(self.bias.shape))
        return {f"{self.name}.conv.weight": tuple(self.weight.shape)} | {
            f"{self.name}.bn.{part}": shape for part, shape in norm.items()
        }

    def read(self, tensors: Mapping[str, Tensor]) -> None:
        """Takes the weights from a file's tensors, the batch norm's statistics folded into them."""
        weight, scale, shift, mean, variance = (tensors[name].double() for name in self.shapes)
        # s (Wx - m) / sqrt(v + e) + b is a convolution again; folded in float64, it is exact up to one rounding.
        factor = scale / (variance + _EPSILON).sqrt()
        self.weight.copy_(weight * factor.view(-1, 1, 1, 1))
        self.bias.copy_(shift - mean * factor)


class LongConvolution(Convolution):
    """A convolution of 1x7 or 7x1 with same-size output, on a CPU as a product of matrices at each frequency."""

    def __init__(self, name: str, width: int, out: int, kernel: tuple[int, int], length: int) -> None:
        super().__init__(name, width, out, kernel)
        self.upright = kernel[1] == 1
        signal, taps, back = circular_convolution(length, max(kernel))
        self.signal = nn.Buffer(signal.float())
        self.back = nn.Buffer(back.float())
        self.products = nn.Buffer(torch.empty(len(taps), width, out))

    def forward(self, images: Tensor) -> Tensor:
        """Feature maps, at least 0; to rounding those of the direct way."""
        if images.device.type != "cpu":
            return super().forward(images)
        count, width, height, breadth = images.shape
        if self.upright:
            lines = images.permute(2, 0, 3, 1).reshape(height, -1)  # along, (n across channels)
            waves = torch.bmm((self.signal @ lines).view(-1, count * breadth, width), self.products)
            maps = (self.back @ waves.flatten(1)).view(height, count, breadth, -1).transpose(0, 1).contiguous()
        else:
            lines = images.permute(0, 2, 3, 1).reshape(count * height, breadth, width)  # (n across), along, channels
            waves = torch.bmm((self.signal @ lines).transpose(0, 1), self.products)
            maps = (self.back @ waves.transpose(0, 1)).view(count, height, breadth, -1)
        return maps.add_(self.bias).relu_().permute(0, 3, 1, 2)

    def read(self, tensors: Mapping[str, Tensor]) -> None:
        """As of `Convolution`; also transforms the kernel, in float64."""
        super().read(tensors)
        _, taps, _ = circular_convolution(self.signal.shape[1], self.weight.shape[2] * self.weight.shape[3])
        self.products.copy_(torch.einsum("rk,oik->rio", taps, self.weight.double().flatten(2)))


class AveragedConvolution(Convolution):
    """Average over 3x3 neighbours inside the image, then a convolution of 1x1; the other way round it costs less."""

    def forward(self, images: Tensor) -> Tensor:
        """Feature maps, at least 0."""
        maps = F.avg_pool2d(F.conv2d(images, self.weight), 3, stride=1, padding=1, count_include_pad=False)
        return maps.add_(self.bias.view(-1, 1, 1)).relu_()


class Fork(nn.Module):
    """Branches that see the same input; their outputs are concatenated along the channels, in order."""

    def __init__(self, *branches: nn.Module) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, images: Tensor) -> Tensor:
        """Feature maps of all branches."""
        return torch.cat([branch(images) for branch in self.branches], dim=1)


_Layer = tuple[str, int, int | tuple[int, int]]  # name, output channels, kernel


def _chain(block: str, width: int, *layers: _Layer, last_stride: int = 1) -> nn.Sequential:
    """Convolutions one after another, all of stride 1 with same-size output but perhaps the last."""
    chain = nn.Sequential()
    for name, out, kernel in layers:
        stride = last_stride if name == layers[-1][0] else 1
        if isinstance(kernel, tuple) and max(kernel) == 7:
            chain.append(LongConvolution(f"{block}.{name}", width, out, kernel, length=17))
        else:
            chain.append(Convolution(f"{block}.{name}", width, out, kernel, stride=stride, padded=stride == 1))
        width = out
    return chain


def _averaged(block: str, width: int, out: int) -> nn.Module:
    return AveragedConvolution(f"{block}.branch_pool", width, out)


def _mixed_a(block: str, width: int, pooled: int) -> Fork:
    """35x35, width -> 224 + pooled channels."""
    return Fork(
        _chain(block, width, ("branch1x1", 64, 1)),
        _chain(block, width, ("branch5x5_1", 48, 1), ("branch5x5_2", 64, 5)),
        _chain(block, width, ("branch3x3dbl_1", 64, 1), ("branch3x3dbl_2", 96, 3), ("branch3x3dbl_3", 96, 3)),
        _averaged(block, width, pooled),
    )


def _mixed_b(block: str) -> Fork:
    """35x35 -> 17x17, 288 -> 768 channels."""
    double = ("branch3x3dbl_1", 64, 1), ("branch3x3dbl_2", 96, 3), ("branch3x3dbl_3", 96, 3)
    return Fork(
        _chain(block, 288, ("branch3x3", 384, 3), last_stride=2),
        _chain(block, 288, *double, last_stride=2),
        nn.MaxPool2d(3, stride=2),
    )


def _mixed_c(block: str, inner: int) -> Fork:
    """17x17, 768 -> 768 channels."""
    row, column = (1, 7), (7, 1)
    double = (
        ("branch7x7dbl_1", inner, 1),
        ("branch7x7dbl_2", inner, column),
        ("branch7x7dbl_3", inner, row),
        ("branch7x7dbl_4", inner, column),
        ("branch7x7dbl_5", 192, row),
    )
    return Fork(
        _chain(block, 768, ("branch1x1", 192, 1)),
        _chain(block, 768, ("branch7x7_1", inner, 1), ("branch7x7_2", inner, row), ("branch7x7_3", 192, column)),
        _chain(block, 768, *double),
        _averaged(block, 768, 192),
    )


def _mixed_d(block: str) -> Fork:
    """17x17 -> 8x8, 768 -> 1280 channels."""
    long = ("branch7x7x3_1", 192, 1), ("branch7x7x3_2", 192, (1, 7)), ("branch7x7x3_3", 192, (7, 1))
    return Fork(
        _chain(block, 768, ("branch3x3_1", 192, 1), ("branch3x3_2", 320, 3), last_stride=2),
        _chain(block, 768, *long, ("branch7x7x3_4", 192, 3), last_stride=2),
        nn.MaxPool2d(3, stride=2),
    )


def _mixed_e(block: str, width: int, pooled: nn.Module) -> Fork:
    """8x8, width -> 2048 channels."""

    def split(name: str, inner: int) -> Fork:
        return Fork(
            _chain(block, inner, (f"{name}a", 384, (1, 3))),
            _chain(block, inner, (f"{name}b", 384, (3, 1))),
        )

    return Fork(
        _chain(block, width, ("branch1x1", 320, 1)),
        nn.Sequential(*_chain(block, width, ("branch3x3_1", 384, 1)), split("branch3x3_2", 384)),
        nn.Sequential(
            *_chain(block, width, ("branch3x3dbl_1", 448, 1), ("branch3x3dbl_2", 384, 3)), split("branch3x3dbl_3", 384)
        ),
        pooled,
    )


def inception(dimensions: Dimensions) -> nn.Sequential:
    """The layers that give features of one size, weights still unset.

    arXiv 1512.00567 with the FID net's three peculiarities: averages leave the padding out, the last block pools by
    maximum, and the features are the mean over positions of what comes out here, (n, dimensions, height, width).
    """
    net = nn.Sequential(
        Convolution("Conv2d_1a_3x3", 3, 32, 3, stride=2, padded=False),
        Convolution("Conv2d_2a_3x3", 32, 32, 3, padded=False),
        Convolution("Conv2d_2b_3x3", 32, 64, 3),
        nn.MaxPool2d(3, stride=2),
    )
    if dimensions >= 192:
        net.append(Convolution("Conv2d_3b_1x1", 64, 80))
        net.append(Convolution("Conv2d_4a_3x3", 80, 192, 3, padded=False))
        net.append(nn.MaxPool2d(3, stride=2))
    if dimensions >= 768:
        net.append(_mixed_a("Mixed_5b", 192, 32))
        net.append(_mixed_a("Mixed_5c", 256, 64))
        net.append(_mixed_a("Mixed_5d", 288, 64))
        net.append(_mixed_b("Mixed_6a"))
        net.append(_mixed_c("Mixed_6b", 128))
        net.append(_mixed_c("Mixed_6c", 160))
        net.append(_mixed_c("Mixed_6d", 160))
        net.append(_mixed_c("Mixed_6e", 192))
    if dimensions >= 2048:
        net.append(_mixed_d("Mixed_7a"))
        net.append(_mixed_e("Mixed_7b", 1280, _averaged("Mixed_7b", 1280, 192)))
        largest = nn.Sequential(nn.MaxPool2d(3, stride=1, padding=1), Convolution("Mixed_7c.branch_pool", 2048, 192))
        net.append(_mixed_e("Mixed_7c", 2048, largest))
    return net


@cache
@torch.inference_mode(False)  # plain tensors, whoever asks first
def circular_convolution(length: int, taps: int) -> tuple[Tensor, Tensor, Tensor]:
    """Matrices with which a padded convolution along an axis becomes products, one for each row of the first two.

    In a discrete Fourier transform a convolution is a product at each frequency. Real numbers leave half of the
    frequencies, and a complex product takes three real ones (Gauss); before and after, all is linear. The sum over k of
    w_k x_{i+k-taps//2}, with zeros outside, is (out @ ((kernel @ w) * (signal @ x)))_i: for 17 positions and 7 taps 29
    products instead of 119. Sines and cosines lose no digits, as the points of a Winograd scheme of this size would.

    Args:
        length: Positions along the axis, in and out.
        taps: Odd size of the kernel.

    Returns:
        signal (products, length), kernel (products, taps), out (length, products), float64, on the CPU.
    """
    period = length + taps // 2 + (length + taps // 2) % 2  # what wraps around falls on positions not asked for
    places = torch.arange(length, dtype=torch.float64, device="cpu")
    shifts = torch.arange(taps, dtype=torch.float64, device="cpu") - taps // 2
    signal: list[Tensor] = []
    kernel: list[Tensor] = []
    out: list[Tensor] = []
    for frequency in range(period // 2 + 1):
        angle = 2 * torch.pi * frequency / period
        x, y = torch.cos(angle * places), -torch.sin(angle * places)  # of the signal: real and imaginary part
        u, v = torch.cos(angle * shifts), torch.sin(angle * shifts)  # of the kernel
        if frequency in (0, period // 2):  # both are real
            signal, kernel, out = [*signal, x], [*kernel, u], [*out, x / period]
            continue
        # (x + iy)(u + iv): real part u(x + y) - y(u + v), imaginary part u(x + y) + x(v - u); then back again.
        signal += [x + y, x, y]
        kernel += [u, v - u, u + v]
        out += [2 / period * part for part in (x + y, y, -x)]
    return torch.stack(signal), torch.stack(kernel), torch.stack(out, dim=1)
