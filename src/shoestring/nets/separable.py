"""Classifier of depthwise separable convolutions: few multiply-adds and little memory (arXiv 1704.04861)."""

from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import PositiveInt, model_validator
from torch import Tensor, nn

from shoestring.core.config import Spec
from shoestring.nets.layers import PerStage, StemStride, classifier_head, conv_norm, require_one_per_stage, stem_kernel


class SeparableNet(Spec):
    """Stages of depthwise 3x3 and pointwise 1x1 convolutions; the input of each block is added to its output.

    The last norm of every block starts at zero, so that a block begins as the identity (arXiv 1706.02677). The defaults
    have 77,588 parameters and 2.4 million multiply-adds on 3x32x32 images with 100 classes.
    """

    kind: Literal["separable"] = "separable"
    stem_stride: StemStride = 2
    """Height and width of the image over those of the first stage; a kernel of a pixel more than this, or 3x3."""
    widths: PerStage = (32, 64, 112)
    """Channels of each stage; the stem has the first; every stage but the first halves the resolution."""
    depths: PerStage = (2, 3, 4)
    """Blocks in each stage."""
    kernel_size: PositiveInt = 3
    """Side of the depthwise kernels, odd."""

    @model_validator(mode="after")
    def _stages_agree(self) -> "SeparableNet":
        require_one_per_stage(widths=self.widths, depths=self.depths)
        if self.kernel_size % 2 == 0:
            raise ValueError(f"kernel_size {self.kernel_size} has no centre; take an odd number")
        return self

    def build(self, shape: tuple[int, int, int], num_classes: int) -> nn.ModuleDict:
        """The net as {"classifier": module}; images (n, *shape) -> logits (n, num_classes)."""
        width = self.widths[0]
        kernel, relu = stem_kernel(self.stem_stride), nn.ReLU(inplace=True)
        layers: list[nn.Module] = [conv_norm(shape[0], width, kernel, self.stem_stride, activation=relu)]
        for stage, (wider, depth) in enumerate(zip(self.widths, self.depths, strict=True)):
            for block in range(depth):
                stride = 2 if stage > 0 and block == 0 else 1
                layers.append(SeparableBlock(width, wider, stride, self.kernel_size))
                width = wider
        layers.append(classifier_head(width, num_classes))
        return nn.ModuleDict({"classifier": nn.Sequential(*layers)})

    def examples(self, shape: tuple[int, int, int]) -> dict[str, tuple[Tensor, ...]]:
        """One input image, by net name."""
        return {"classifier": (torch.zeros(1, *shape),)}


class SeparableBlock(nn.Module):
    """Depthwise convolution, ReLU, pointwise convolution; the input is added where the shape is kept, then ReLU."""

    def __init__(self, in_channels: int, out_channels: int, stride: int, kernel_size: int) -> None:
        super().__init__()
        depthwise = conv_norm(
            in_channels, in_channels, kernel_size, stride, groups=in_channels, activation=nn.ReLU(inplace=True)
        )
        pointwise = conv_norm(in_channels, out_channels, 1)
        self.keeps_shape = stride == 1 and in_channels == out_channels
        if self.keeps_shape:
            nn.init.zeros_(pointwise.get_parameter("1.weight"))
        self.residual = nn.Sequential(depthwise, pointwise)

    def forward(self, x: Tensor) -> Tensor:
        """(n, in_channels, h, w) -> (n, out_channels, h / stride, w / stride)."""
        y = self.residual(x)
        return F.relu(y + x) if self.keeps_shape else F.relu(y)
