"""Layers whose kernels have left-right mirrored twins that cost no parameters (Cohen and Welling, arXiv 1602.07576).

The group is {identity, mirror image}. Every feature has a twin: what the same kernel, mirrored, finds. The first half
of the channels holds the features, the second half their twins, in the same order. Mirroring an image mirrors all of
them and swaps the halves, so a head that averages both halves answers the same for an image and its mirror image. A
layer of as many parameters is the square root of 2 times as wide as a plain one, at twice the multiply-adds.

This holds exactly in evaluation mode for layers of stride 1, and of any stride whose kernel covers its input evenly; a
3x3 kernel of stride 2 on an even side reads other pixels of the mirror image.
"""

from functools import partial
from typing import Protocol, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from shoestring.nets.layers import PixelMean, conv_norm


class MirroredConv2d(nn.Conv2d):
    """Convolution to `out_channels` features and their twins: (n, in, h, w) -> (n, 2 out_channels, h, w), over stride.

    Padded to keep the size. Its weight is (out_channels, in, k, k), where `in` counts the channels of the input, halves
    and all; a bias is (out_channels,), shared by twins.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        stride: int = 1,
        *,
        of_image: bool = False,
        bias: bool = False,
    ) -> None:
        """A convolution of an image, or of features and their twins.

        Args:
            in_channels: Channels of the input: those of the image, or an even number, the twins included.
            out_channels: Features; the output has twice as many channels.
            kernel_size: Side of the kernel, odd.
            stride: Step between outputs, in pixels.
            of_image: Whether the input is an image, whose channels have no twins.
            bias: Whether each feature has a bias.
        """
        super().__init__(in_channels, out_channels, kernel_size, stride, kernel_size // 2, bias=bias)
        self.of_image = of_image

    def kernel(self) -> Tensor:
        """The whole kernel, (2 out_channels, in, k, k): a plain convolution with it computes the same."""
        twins = self.weight.flip(-1)
        if not self.of_image:
            twins = swapped(twins)  # a twin sees the twins where its feature sees features
        return torch.cat((self.weight, twins))

    def whole_bias(self) -> Tensor | None:
        """The bias of all channels, (2 out_channels,), if there is one."""
        return None if self.bias is None else self.bias.repeat(2)

    def forward(self, input: Tensor) -> Tensor:
        """(n, in, h, w) -> (n, 2 out_channels, h / stride, w / stride)."""
        return F.conv2d(input, self.kernel(), self.whole_bias(), self.stride, self.padding)

    def plain(self) -> nn.Conv2d:
        """A plain convolution that computes the same."""
        return plain_convolution(self, self.kernel(), self.whole_bias())


class MirroredToImage(nn.Conv2d):
    """Convolution of features and their twins to an image: (n, in, h, w) -> (n, out_channels, h, w).

    Mirroring what it gets mirrors the image. Its weight is (out_channels, in / 2, k, k), for the features; the twins'
    kernels are its mirror image. Padded to keep the size.
    """

    def __init__(self, in_channels: int, out_channels: int, kernel_size: int) -> None:
        """A convolution to an image.

        Args:
            in_channels: Channels of the input, the twins included.
            out_channels: Channels of the image.
            kernel_size: Side of the kernel, odd.
        """
        super().__init__(in_channels // 2, out_channels, kernel_size, 1, kernel_size // 2)

    def kernel(self) -> Tensor:
        """The whole kernel, (out_channels, in, k, k): a plain convolution with it computes the same."""
        return torch.cat((self.weight, self.weight.flip(-1)), 1)

    def forward(self, input: Tensor) -> Tensor:
        """(n, in, h, w) -> (n, out_channels, h, w)."""
        return F.conv2d(input, self.kernel(), self.bias, 1, self.padding)

    def plain(self) -> nn.Conv2d:
        """A plain convolution that computes the same."""
        return plain_convolution(self, self.kernel(), self.bias)


def plain_convolution(layer: nn.Conv2d, kernel: Tensor, bias: Tensor | None) -> nn.Conv2d:
    """A convolution as `layer`, by copies of another kernel (outputs, inputs, k, k) and another bias."""
    outputs, inputs, side = kernel.shape[:3]
    same = nn.Conv2d(inputs, outputs, side, cast(int, layer.stride), cast(int, layer.padding), bias=bias is not None)
    same.weight = nn.Parameter(kernel.detach().clone())
    if bias is not None:
        same.bias = nn.Parameter(bias.detach().clone())
    return same.train(layer.training)


class MirroredBatchNorm2d(nn.BatchNorm2d):
    """Batch norm of features and their twins, which share scale and shift: (n, 2 features, h, w) -> the same shape.

    While training each channel is normalised by its own statistics of the batch. In evaluation mode a feature and its
    twin are normalised by the means of their two running statistics, so that they stay twins.
    """

    def __init__(self, features: int, *, affine: bool = True) -> None:
        super().__init__(2 * features, affine=affine)
        if affine:
            self.weight = nn.Parameter(torch.ones(features))
            self.bias = nn.Parameter(torch.zeros(features))

    def forward(self, input: Tensor) -> Tensor:
        """(n, 2 features, h, w) -> the same shape."""
        if self.training:
            cast(Tensor, self.num_batches_tracked).add_(1)
        mean, variance = self.statistics()
        scale, shift = (self.weight.repeat(2), self.bias.repeat(2)) if self.affine else (None, None)
        return F.batch_norm(input, mean, variance, scale, shift, self.training, self._momentum(), self.eps)

    def statistics(self) -> tuple[Tensor, Tensor]:
        """Mean and variance that the current mode takes or gathers, (2 features,) each."""
        mean, variance = cast(Tensor, self.running_mean), cast(Tensor, self.running_var)
        return (mean, variance) if self.training else (_shared(mean), _shared(variance))

    def plain(self) -> nn.BatchNorm2d:
        """A plain batch norm that computes the same in evaluation mode."""
        mean, variance = cast(Tensor, self.running_mean), cast(Tensor, self.running_var)
        same = nn.BatchNorm2d(self.num_features, self.eps, self.momentum, self.affine).to(mean)  # its device and type
        with torch.no_grad():
            if self.affine:
                same.weight.copy_(self.weight.repeat(2))
                same.bias.copy_(self.bias.repeat(2))
            cast(Tensor, same.running_mean).copy_(_shared(mean))
            cast(Tensor, same.running_var).copy_(_shared(variance))
        return same.train(self.training)

    def _momentum(self) -> float:
        return 1.0 / int(cast(Tensor, self.num_batches_tracked)) if self.momentum is None else self.momentum


class TwinMean(nn.Module):
    """The mean of each feature and its twin, (n, 2 features, ...) -> (n, features, ...): no mirroring changes it.

    For pooled features, of no width: a twin's image is mirrored.
    """

    def forward(self, x: Tensor) -> Tensor:
        """(n, 2 features, ...) -> (n, features, ...)."""
        return torch.stack(x.chunk(2, 1)).mean(0)


def mirrored_conv_norm(
    in_features: int,
    features: int,
    kernel_size: int,
    stride: int = 1,
    activation: nn.Module | None = None,
    *,
    of_image: bool = False,
) -> nn.Sequential:
    """Mirrored convolution and batch norm, and an activation if given.

    Args:
        in_features: Features of the input, which has twice as many channels; of an image, its channels.
        features: Features of the output, which has twice as many channels.
        kernel_size: Side of the kernel, odd.
        stride: Step between outputs, in pixels.
        activation: What follows.
        of_image: Whether the input is an image, whose channels have no twins.
    """
    channels = in_features if of_image else 2 * in_features
    layers: list[nn.Module] = [
        MirroredConv2d(channels, features, kernel_size, stride, of_image=of_image),
        MirroredBatchNorm2d(features),
    ]
    return nn.Sequential(*layers, *([activation] if activation is not None else []))


class ConvNorm(Protocol):
    """Convolution, batch norm and an activation if given, by numbers of features; twins are not counted."""

    def __call__(
        self,
        in_features: int,
        features: int,
        kernel_size: int,
        stride: int = 1,
        /,
        *,
        activation: nn.Module | None = None,
    ) -> nn.Sequential:
        """The layers."""
        ...


def layers_of(mirrored: bool) -> tuple[ConvNorm, ConvNorm]:
    """The layer of an image and the layer of features that a net is made of, mirrored or plain."""
    if mirrored:
        return partial(mirrored_conv_norm, of_image=True), mirrored_conv_norm
    return conv_norm, conv_norm


def swapped(features: Tensor) -> Tensor:
    """Features and twins, halves of dimension 1, in each other's place."""
    first, second = features.chunk(2, 1)
    return torch.cat((second, first), 1)


def mirrored_head(features: int, num_classes: int) -> list[nn.Module]:
    """The layers of a classifier head that a mirrored image does not change: (n, 2 features, h, w) -> logits."""
    return [PixelMean(), nn.Flatten(), TwinMean(), nn.BatchNorm1d(features), nn.Linear(features, num_classes)]


def _shared(statistics: Tensor) -> Tensor:
    return torch.stack(statistics.chunk(2)).mean(0).repeat(2)
