"""ResNet of basic blocks: plain 3x3 convolutions, what a processor computes fastest (He et al. 2016)."""

from typing import Literal

import torch
import torch.nn.functional as F
from pydantic import model_validator
from torch import Tensor, nn

from shoestring.nets.blocks import PerStage, conv_norm, normed_head, require_one_per_stage
from shoestring.spec import Spec


class BasicNet(Spec):
    """Classifier of stages of basic blocks, joined by 3x3 convolutions of stride 2.

    The last norm of every block starts at zero, so that a block begins as the identity (Goyal et al. 2017), and a batch
    norm stands before the linear head. The defaults have 97,732 parameters on 3x32x32 images with 100 classes.
    """

    kind: Literal["basic"] = "basic"
    widths: PerStage = (16, 32, 52)
    """Channels of each stage; the stem has the first; every stage but the first halves the resolution."""
    depths: PerStage = (1, 1, 1)
    """Blocks in each stage."""

    @model_validator(mode="after")
    def _stages_agree(self) -> "BasicNet":
        require_one_per_stage(widths=self.widths, depths=self.depths)
        return self

    def build(self, shape: tuple[int, int, int], num_classes: int) -> nn.ModuleDict:
        """The net as {"classifier": module}; images (n, *shape) -> logits (n, num_classes)."""
        channels = shape[0]
        layers: list[nn.Module] = []
        for stage, (width, depth) in enumerate(zip(self.widths, self.depths, strict=True)):
            layers.append(conv_norm(channels, width, 3, 2 if stage > 0 else 1, activation=nn.ReLU(inplace=True)))
            layers += [BasicBlock(width) for _ in range(depth)]
            channels = width
        layers += normed_head(channels, num_classes)
        return nn.ModuleDict({"classifier": nn.Sequential(*layers)})

    def examples(self, shape: tuple[int, int, int]) -> dict[str, tuple[Tensor, ...]]:
        """One input image, by net name."""
        return {"classifier": (torch.zeros(1, *shape),)}


class BasicBlock(nn.Module):
    """Two 3x3 convolutions of one width; the input is added before the last ReLU."""

    def __init__(self, width: int) -> None:
        super().__init__()
        last = conv_norm(width, width, 3)
        nn.init.zeros_(last.get_parameter("1.weight"))
        self.residual = nn.Sequential(conv_norm(width, width, 3, activation=nn.ReLU(inplace=True)), last)

    def forward(self, x: Tensor) -> Tensor:
        """(n, width, h, w) -> the same shape."""
        return F.relu(self.residual(x) + x)
