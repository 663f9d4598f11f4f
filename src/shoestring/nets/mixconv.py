"""ConvNeXt-like classifier whose depthwise kernels differ between channels (arXiv 1907.09595; arXiv 2201.03545)."""

from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from pydantic import Field, PositiveInt, model_validator
from torch import Tensor, nn

from shoestring.core.config import Spec
from shoestring.nets.layers import PerStage, conv_norm, normed_head, require_one_per_stage

Width = Annotated[int, Field(gt=0, multiple_of=4)]


class MixConvNet(Spec):
    """Two or more stages of mixed depthwise kernels and gated feed-forward layers, at high resolution for long.

    Each block mixes neighbours with a depthwise convolution (nothing, 3x3, 7x7 and dilated 7x7, for a quarter of the
    channels each), then mixes channels at every pixel with a gated 1x1 layer. The proportions follow a net of 97,530
    parameters that reaches 94.4 % on CIFAR-10 (xvel, cifar10-tiniest); batch norm in place of layer norm, and average
    pooling with a 1x1 convolution between stages, are cheaper on every device. The defaults have 97,652 parameters on
    3x32x32 images with 100 classes.
    """

    kind: Literal["mixconv"] = "mixconv"
    widths: Annotated[tuple[Width, ...], Field(min_length=1)] = (48, 80)
    """Channels of each stage, multiples of 4; every stage but the first halves the resolution."""
    hidden: PerStage = (48, 72)
    """Channels inside the gated layers of each stage."""
    depths: PerStage = (3, 3)
    """Blocks in each stage."""
    repeats: PositiveInt = 1
    """Times each block is applied in a row: 1x1 layers are shared, depthwise kernels, norms and scales are not."""

    @model_validator(mode="after")
    def _stages_agree(self) -> "MixConvNet":
        require_one_per_stage(widths=self.widths, hidden=self.hidden, depths=self.depths)
        return self

    def build(self, shape: tuple[int, int, int], num_classes: int) -> nn.ModuleDict:
        """The net as {"classifier": module}; images (n, *shape) -> logits (n, num_classes)."""
        channels = self.widths[0]
        layers: list[nn.Module] = [conv_norm(shape[0], channels, 3)]
        for stage, (width, hidden, depth) in enumerate(zip(self.widths, self.hidden, self.depths, strict=True)):
            if stage > 0:
                layers += [nn.AvgPool2d(2), conv_norm(channels, width, 1)]
            layers += [MixBlock(width, hidden, self.repeats) for _ in range(depth)]
            channels = width
        layers += normed_head(channels, num_classes)
        return nn.ModuleDict({"classifier": nn.Sequential(*layers)})

    def examples(self, shape: tuple[int, int, int]) -> dict[str, tuple[Tensor, ...]]:
        """One input image, by net name."""
        return {"classifier": (torch.zeros(1, *shape),)}


class MixBlock(nn.Module):
    """Mixed depthwise convolution, batch norm, gated 1x1 layer; the input, scaled for each channel, is added.

    A block that is repeated has its own depthwise convolutions and scales for each time, and one gated layer for all.
    """

    def __init__(self, width: int, hidden: int, repeats: int) -> None:
        super().__init__()
        self.looks = nn.ModuleList(nn.Sequential(MixedDepthwise(width), nn.BatchNorm2d(width)) for _ in range(repeats))
        self.scales = nn.ParameterList(nn.Parameter(torch.ones(width)) for _ in range(repeats))
        self.expand = nn.Conv2d(width, 2 * hidden, 1, bias=False)
        self.project = nn.Conv2d(hidden, width, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(n, width, h, w) -> the same shape."""
        for look, scale in zip(self.looks, self.scales, strict=True):
            gate, value = self.expand(look(x)).chunk(2, 1)
            # In the precision of x: a float32 scale would turn all that follows into float32.
            x = self.project(F.silu(gate) * value) + x * scale.to(x.dtype).view(-1, 1, 1)
        return x


class MixedDepthwise(nn.Module):
    """Depthwise convolution with another kernel for each quarter of the channels: none, 3x3, 7x7, 7x7 dilated by 3.

    The dilated kernel reads means of 3x3 pixels, so that it skips none; it reaches 10 pixels far.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        quarter = width // 4
        self.near = Depthwise(quarter, 3)
        self.around = Depthwise(quarter, 7)
        self.far = nn.Sequential(nn.AvgPool2d(3, 1, 1), Depthwise(quarter, 7, dilation=3))

    def forward(self, x: Tensor) -> Tensor:
        """(n, width, h, w) -> the same shape."""
        here, near, around, far = x.chunk(4, 1)
        return torch.cat((here, self.near(near), self.around(around), self.far(far)), 1)


class Depthwise(nn.Conv2d):
    """Depthwise convolution without bias that keeps the size.

    On a GPU it runs as a full convolution with a diagonal kernel, which tensor cores can do while kernels for groups
    cannot (benchmarks/depthwise.py times both). Elsewhere it runs in the precision of its weights: on CPUs bfloat16 is
    no faster, and gradients of dilated kernels come out wrong (torch 2.13).
    """

    def __init__(self, channels: int, kernel_size: int, dilation: int = 1) -> None:
        padding = dilation * (kernel_size // 2)
        super().__init__(
            channels, channels, kernel_size, padding=padding, dilation=dilation, groups=channels, bias=False
        )

    def forward(self, input: Tensor) -> Tensor:
        """(n, channels, h, w) -> the same shape."""
        if input.is_cuda:
            return F.conv2d(input, self.full_kernel(), padding=self.padding, dilation=self.dilation)
        with torch.autocast(input.device.type, enabled=False):
            return super().forward(input.to(self.weight.dtype)).to(input.dtype)

    def full_kernel(self) -> Tensor:
        """The kernel of the same map as a convolution of one group, (channels, channels, size, size)."""
        return torch.diag_embed(self.weight[:, 0].permute(1, 2, 0)).permute(2, 3, 0, 1)
