"""ResNet of basic blocks: plain 3x3 convolutions, what a processor computes fastest (arXiv 1512.03385)."""

from collections.abc import Callable
from typing import Literal

import torch
from pydantic import PositiveInt, model_validator
from torch import Tensor, nn

from shoestring.core.config import Spec
from shoestring.nets.layers import (
    PerStage,
    StemStride,
    classifier_head,
    conv_norm,
    normed_head,
    require_one_per_stage,
    stem_kernel,
)
from shoestring.nets.mirrored import ConvNorm, layers_of, mirrored_head

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {"relu": lambda: nn.ReLU(inplace=True), "silu": nn.SiLU}


class BasicNet(Spec):
    """Classifier of stages of basic blocks, joined by 3x3 convolutions of stride 2.

    The last norm of every block starts at zero, so that a block begins as the identity (arXiv 1706.02677), and a batch
    norm stands before the linear head. The defaults have 97,732 parameters on 3x32x32 images with 100 classes.
    """

    kind: Literal["basic"] = "basic"
    widths: PerStage = (16, 32, 52)
    """Channels of each stage; the stem has the first; every stage but the first halves the resolution."""
    depths: PerStage = (1, 1, 1)
    """Blocks in each stage."""
    stem_stride: StemStride = 1
    """Height and width of the image over those of the first stage; a kernel of a pixel more than this, or 3x3."""
    mirrored: bool = False
    """Give every kernel a left-right mirrored twin, which costs no parameters: the net has twice as many channels as
    `widths` says, and answers alike for an image and its mirror image."""
    features: PositiveInt | None = None
    """Channels of a 1x1 convolution before the head; none when not given."""
    activation: Literal["relu", "silu"] = "relu"
    """What follows each convolution, and each sum of a block with its input. SiLU (arXiv 1702.03118) learns more from
    as many steps; ReLU is what integer arithmetic computes fastest."""

    @model_validator(mode="after")
    def _stages_agree(self) -> "BasicNet":
        require_one_per_stage(widths=self.widths, depths=self.depths)
        return self

    def build(self, shape: tuple[int, int, int], num_classes: int) -> nn.ModuleDict:
        """The net as {"classifier": module}; images (n, *shape) -> logits (n, num_classes)."""
        stem, layer = layers_of(self.mirrored)
        activation = ACTIVATIONS[self.activation]()
        width = self.widths[0]
        layers: list[nn.Module] = [
            stem(shape[0], width, stem_kernel(self.stem_stride), self.stem_stride, activation=activation)
        ]
        layers += [BasicBlock(width, layer, activation) for _ in range(self.depths[0])]
        for wider, depth in zip(self.widths[1:], self.depths[1:], strict=True):
            layers.append(layer(width, wider, 3, 2, activation=activation))
            layers += [BasicBlock(wider, layer, activation) for _ in range(depth)]
            width = wider
        if self.features is not None:
            layers.append(layer(width, self.features, 1, activation=activation))
            width = self.features
        layers += mirrored_head(width, num_classes) if self.mirrored else normed_head(width, num_classes)
        return nn.ModuleDict({"classifier": nn.Sequential(*layers)})

    def examples(self, shape: tuple[int, int, int]) -> dict[str, tuple[Tensor, ...]]:
        """One input image, by net name."""
        return {"classifier": (torch.zeros(1, *shape),)}


class BasicBlock(nn.Module):
    """Two 3x3 convolutions of one width; the input is added before the last activation, ReLU unless given."""

    def __init__(self, width: int, layer: ConvNorm = conv_norm, activation: nn.Module | None = None) -> None:
        super().__init__()
        last = layer(width, width, 3)
        nn.init.zeros_(last.get_parameter("1.weight"))
        self.activation = ACTIVATIONS["relu"]() if activation is None else activation
        self.residual = nn.Sequential(layer(width, width, 3, activation=self.activation), last)

    def forward(self, x: Tensor) -> Tensor:
        """(n, width, h, w) -> the same shape; mirrored, of twice as many channels."""
        return self.activation(self.residual(x) + x)


class BottleneckNet(Spec):
    """Bottleneck ResNet classifier with SiLU.

    The defaults are `cifar100-resnet`: 99,364 parameters on 3x32x32 images with 100 classes. The paper's diagram is
    lost; this table is reconstructed from its text and count.
    """

    kind: Literal["bottleneck"] = "bottleneck"
    widths: PerStage = (32, 64, 128)
    """Output channels of each stage; the stem has the first; every stage but the first halves the resolution."""
    depths: PerStage = (5, 4, 3)
    """Blocks in each stage."""
    squeeze: PositiveInt = 4
    """Output channels over the channels of the 3x3 convolution."""
    mirrored: bool = False
    """As of the net 'basic': every kernel has a left-right mirrored twin, and the head has a batch norm."""

    @model_validator(mode="after")
    def _fits(self) -> "BottleneckNet":
        require_one_per_stage(widths=self.widths, depths=self.depths)
        if self.squeeze > min(self.widths):
            raise ValueError(f"squeeze {self.squeeze} leaves none of {min(self.widths)} channels; use at most that")
        return self

    def build(self, shape: tuple[int, int, int], num_classes: int) -> nn.ModuleDict:
        """The net as {"classifier": module}; images (n, *shape) -> logits (n, num_classes)."""
        stem, layer = layers_of(self.mirrored)
        channels = self.widths[0]
        layers: list[nn.Module] = [stem(shape[0], channels, 3, activation=nn.SiLU())]
        for stage, (width, depth) in enumerate(zip(self.widths, self.depths, strict=True)):
            for block in range(depth):
                stride = 2 if stage > 0 and block == 0 else 1
                layers.append(Bottleneck(channels, width, stride, self.squeeze, layer))
                channels = width
        layers += mirrored_head(channels, num_classes) if self.mirrored else [classifier_head(channels, num_classes)]
        return nn.ModuleDict({"classifier": nn.Sequential(*layers)})

    def examples(self, shape: tuple[int, int, int]) -> dict[str, tuple[Tensor, ...]]:
        """One input image, by net name."""
        return {"classifier": (torch.zeros(1, *shape),)}


class Bottleneck(nn.Module):
    """1x1 to few channels, 3x3, 1x1 to many; the input is added, through a 1x1 where the shape changes."""

    def __init__(self, in_features: int, features: int, stride: int, squeeze: int, layer: ConvNorm) -> None:
        super().__init__()
        hidden = features // squeeze
        self.residual = nn.Sequential(
            layer(in_features, hidden, 1, activation=nn.SiLU()),
            layer(hidden, hidden, 3, stride, activation=nn.SiLU()),
            layer(hidden, features, 1),
        )
        same = stride == 1 and in_features == features
        self.shortcut = nn.Identity() if same else layer(in_features, features, 1, stride)
        self.activation = nn.SiLU()

    def forward(self, x: Tensor) -> Tensor:
        """(n, in_features, h, w) -> (n, features, h / stride, w / stride); mirrored, of twice as many channels."""
        return self.activation(self.residual(x) + self.shortcut(x))
