"""EfficientNet-like classifier of mobile inverted bottlenecks (arXiv 1905.11946; paper 1, sections 1-3)."""

from typing import Literal

import torch
from pydantic import PositiveInt, model_validator
from torch import Tensor, nn

from shoestring.core.config import Spec
from shoestring.nets.layers import PerStage, PixelMean, classifier_head, conv_norm


class MBConvNet(Spec):
    """MBConv classifier: a stem, three stages of inverted bottlenecks, average pooling, one linear layer.

    The defaults are `addnist-effnet`: 98,720 parameters on 3x28x28 images with 20 classes. The paper's diagram is lost;
    this table is reconstructed from its text and count.
    """

    kind: Literal["mbconv"] = "mbconv"
    stem: PositiveInt = 16
    """Channels of the first convolution."""
    widths: PerStage = (20, 24, 32)
    """Output channels of each stage; every stage but the first halves the resolution."""
    depth: PositiveInt = 3
    """Blocks per stage."""
    expansion: PositiveInt = 4
    """Hidden channels over input channels."""
    squeeze: PositiveInt = 4
    """Hidden channels over the channels that squeeze-and-excitation keeps."""

    @model_validator(mode="after")
    def _squeeze_leaves_some(self) -> "MBConvNet":
        hidden = self.expansion * min(self.stem, *self.widths)
        if self.squeeze > hidden:
            raise ValueError(f"squeeze {self.squeeze} leaves none of {hidden} hidden channels; use at most that")
        return self

    def build(self, shape: tuple[int, int, int], num_classes: int) -> nn.ModuleDict:
        """The net as {"classifier": module}; images (n, *shape) -> logits (n, num_classes)."""
        layers: list[nn.Module] = [conv_norm(shape[0], self.stem, 3, activation=nn.SiLU())]
        channels = self.stem
        for stage, width in enumerate(self.widths):
            for block in range(self.depth):
                stride = 2 if stage > 0 and block == 0 else 1
                layers.append(MBConv(channels, width, stride, self.expansion, self.squeeze))
                channels = width
        layers.append(classifier_head(channels, num_classes))
        return nn.ModuleDict({"classifier": nn.Sequential(*layers)})

    def examples(self, shape: tuple[int, int, int]) -> dict[str, tuple[Tensor, ...]]:
        """One input image, by net name."""
        return {"classifier": (torch.zeros(1, *shape),)}


class MBConv(nn.Module):
    """Expand 1x1, depthwise 3x3, squeeze-and-excitation, project 1x1; residual where the shape is kept."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, expansion: int, squeeze: int) -> None:
        super().__init__()
        hidden = in_channels * expansion
        self.residual = stride == 1 and in_channels == out_channels
        self.expand = conv_norm(in_channels, hidden, 1, activation=nn.SiLU())
        self.depthwise = conv_norm(hidden, hidden, 3, stride, groups=hidden, activation=nn.SiLU())
        self.excite = SqueezeExcite(hidden, hidden // squeeze)
        self.project = conv_norm(hidden, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(n, in_channels, h, w) -> (n, out_channels, h / stride, w / stride)."""
        y = self.project(self.excite(self.depthwise(self.expand(x))))
        return x + y if self.residual else y


class SqueezeExcite(nn.Module):
    """Scales each channel by a gate computed from all channel means (arXiv 1709.01507)."""

    def __init__(self, channels: int, squeezed: int) -> None:
        super().__init__()
        self.gate = nn.Sequential(
            PixelMean(),
            nn.Conv2d(channels, squeezed, 1),
            nn.SiLU(),
            nn.Conv2d(squeezed, channels, 1),
            nn.Sigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(n, channels, h, w) -> the same shape."""
        return x * self.gate(x)
