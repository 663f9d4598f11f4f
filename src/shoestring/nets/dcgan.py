"""Two DCGANs for 32x32 images (arXiv 1511.06434): the plain one of paper 1 and the refined one of paper 2."""

from collections.abc import Callable
from typing import Literal

import torch
from pydantic import PositiveInt
from torch import Tensor, nn

from shoestring.core.config import Spec
from shoestring.core.errors import RecipeError
from shoestring.nets.layers import PixelMean

SLOPE = 0.2  # of leaky ReLU, as in the discriminators of arXiv 1511.06434
ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {"relu": nn.ReLU, "leaky-relu": lambda: nn.LeakyReLU(SLOPE)}


class PlainDCGAN(Spec):
    """DCGAN with bias and batch norm on every convolution.

    The defaults are `cifar100-dcgan-44`: generator 652,749 and discriminator 345,804 parameters on 3x32x32 images. The
    paper's diagrams are lost; 13 parameters sit in batch norms on the output side that the count alone decides.
    """

    kind: Literal["plain-dcgan"] = "plain-dcgan"
    latent: PositiveInt = 110
    """Dimension of the normal latent vector."""
    width: PositiveInt = 44
    """Channels at full resolution; doubled at 8x8 and quadrupled at 4x4."""
    upsampling: Literal["transposed", "nearest"] = "transposed"
    """Double the size by transposed 4x4 convolutions, or by repeating pixels and a 3x3 convolution (Odena et al.,
    "Deconvolution and checkerboard artifacts")."""
    auxiliary: bool = False
    """Tell the generator the class, and let the discriminator name it besides (ACGAN, arXiv 1610.09585): for tasks with
    `auxiliary`."""

    def build(self, shape: tuple[int, int, int], num_classes: int) -> nn.ModuleDict:
        """{"generator": (n, latent) -> (n, *shape) in -1..1, "discriminator": (n, *shape) -> (n,) logits}."""
        require_32(shape)
        w, act = self.width, nn.ReLU()
        double = up if self.upsampling == "transposed" else repeat
        generator = nn.Sequential(
            nn.Unflatten(1, (self.latent, 1, 1)),
            *up(self.latent, 4 * w, stride=1, padding=0, bias=True), act,
            *double(4 * w, 2 * w, bias=True), act,
            *double(2 * w, w, bias=True), act,
            *double(w, w, bias=True), act,
            nn.Conv2d(w, shape[0], 3, padding=1), nn.BatchNorm2d(shape[0]), nn.Tanh(),
        )  # fmt: skip
        leaky = nn.LeakyReLU(SLOPE)
        features = nn.Sequential(
            nn.Conv2d(shape[0], w, 3, padding=1), nn.BatchNorm2d(w), leaky,
            *down(w, w, bias=True), leaky,
            *down(w, 2 * w, bias=True), leaky,
            *down(2 * w, 4 * w, bias=True), leaky,
        )  # fmt: skip
        judge = nn.Sequential(*down(4 * w, 1, bias=True), leaky, nn.Flatten(), nn.Linear(4, 1), nn.Flatten(0))
        if self.auxiliary:
            classes = nn.Sequential(PixelMean(), nn.Flatten(), nn.Linear(4 * w, num_classes))
            return gan(
                ToldGenerator(generator, self.latent, num_classes), AuxiliaryDiscriminator(features, judge, classes)
            )
        return gan(generator, nn.Sequential(*features, *judge))

    def examples(self, shape: tuple[int, int, int]) -> dict[str, tuple[Tensor, ...]]:
        """One latent vector, with its class where nets are conditional, and one image, by net name."""
        told = (torch.zeros(1, dtype=torch.int64),) if self.auxiliary else ()
        return {"generator": (torch.zeros(1, self.latent), *told), "discriminator": (torch.zeros(1, *shape),)}


class ToldGenerator(nn.Module):
    """A generator whose latent vector is first multiplied by a learnt vector of the class."""

    def __init__(self, generator: nn.Module, latent: int, num_classes: int) -> None:
        super().__init__()
        self.label = nn.Linear(num_classes, latent, bias=False)
        nn.init.normal_(self.label.weight)
        self.generator = generator

    def forward(self, latent: Tensor, labels: Tensor) -> Tensor:
        """(n, latent) and classes, int64 (n,), or mixtures of them, float (n, num_classes) -> images (n, c, 32, 32)."""
        mixture = labels
        if not labels.is_floating_point():
            mixture = (labels[:, None] == torch.arange(self.label.in_features, device=labels.device)).to(latent.dtype)
        return self.generator(latent * self.label(mixture))


class AuxiliaryDiscriminator(nn.Module):
    """A discriminator that also names the class of an image."""

    def __init__(self, features: nn.Module, judge: nn.Module, classes: nn.Module) -> None:
        super().__init__()
        self.features, self.judge, self.classes = features, judge, classes

    def forward(self, images: Tensor, labels: Tensor | None = None) -> Tensor:
        """(n, c, 32, 32) -> (n,): logits of being real; the class that it is given makes no difference."""
        return self.judge(self.features(images))

    def named(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(n, c, 32, 32) -> logits of being real (n,), and logits of the classes (n, num_classes)."""
        features = self.features(images)
        return self.judge(features), self.classes(features)


class RefinedDCGAN(Spec):
    """DCGAN without biases whose generator refines each resolution with plain 3x3 convolutions.

    The defaults have a generator of 727,360 and a discriminator of 202,112 parameters on 3x32x32 images. The
    paper's diagrams are lost; this table is reconstructed from its text and count. Batch norm follows the 4x4 layers
    only.
    """

    kind: Literal["refined-dcgan"] = "refined-dcgan"
    latent: PositiveInt = 10
    """Dimension of the normal latent vector."""
    width: PositiveInt = 64
    """Channels from 8x8 upwards; doubled at 4x4."""
    refinement: Literal["linear", "relu", "leaky-relu"] = "linear"
    """What follows each 3x3 convolution that no norm follows. The paper does not say; with ReLU the samples collapse to
    a few far sooner."""
    order: Literal["norm-first", "norm-between", "norm-last"] = "norm-first"
    """Where batch norm and activation stand in each stage of the generator: after the transposed convolution, after the
    first 3x3 convolution, or after both. The paper's count and words fit all three."""
    activation: Literal["relu", "leaky-relu"] = "relu"
    """What follows each batch norm of the generator."""
    initialisation: Literal["normal", "torch"] = "normal"
    """Convolutions N(0, 0.02) and batch norms N(1, 0.02), or as torch draws them by default."""

    def build(self, shape: tuple[int, int, int], num_classes: int) -> nn.ModuleDict:
        """{"generator": (n, latent) -> (n, *shape) in -1..1, "discriminator": (n, *shape) -> (n,) logits}."""
        require_32(shape)
        w = self.width
        generator = nn.Sequential(
            nn.Unflatten(1, (self.latent, 1, 1)),
            *self._stage(up(self.latent, 2 * w, stride=1, padding=0)),
            *self._stage(up(2 * w, w)),
            *self._stage(up(w, w)),
            *up(w, w), ACTIVATIONS[self.activation](), nn.Conv2d(w, shape[0], 3, padding=1, bias=False), nn.Tanh(),
        )  # fmt: skip
        leaky = nn.LeakyReLU(SLOPE)
        discriminator = nn.Sequential(
            nn.Conv2d(shape[0], w, 4, 2, 1, bias=False), leaky,
            *down(w, w), leaky,
            *down(w, 2 * w), leaky,
            nn.Conv2d(2 * w, 1, 4, bias=False), nn.Flatten(0),
        )  # fmt: skip
        return gan(generator, discriminator, normal=self.initialisation == "normal")

    def _stage(self, enlarge: list[nn.Module]) -> list[nn.Module]:
        """A transposed convolution with its batch norm and an activation, and two 3x3 convolutions, in their order."""
        transposed, norm = enlarge
        channels = transposed.get_parameter("weight").shape[1]
        convs: list[list[nn.Module]] = [[transposed]]
        for _ in range(2):
            convs.append([nn.Conv2d(channels, channels, 3, padding=1, bias=False)])
        normed = {"norm-first": 0, "norm-between": 1, "norm-last": 2}[self.order]
        for place, layers in enumerate(convs):
            if place == normed:
                layers += [norm, ACTIVATIONS[self.activation]()]
            elif place > 0 and self.refinement != "linear":
                layers.append(ACTIVATIONS[self.refinement]())
        return [layer for layers in convs for layer in layers]

    def examples(self, shape: tuple[int, int, int]) -> dict[str, tuple[Tensor, ...]]:
        """One latent vector and one image, by net name."""
        return {"generator": (torch.zeros(1, self.latent),), "discriminator": (torch.zeros(1, *shape),)}


def up(in_channels: int, out_channels: int, stride: int = 2, padding: int = 1, bias: bool = False) -> list[nn.Module]:
    """Transposed 4x4 convolution and batch norm; doubles the size by default."""
    return [
        nn.ConvTranspose2d(in_channels, out_channels, 4, stride, padding, bias=bias),
        nn.BatchNorm2d(out_channels),
    ]


def repeat(in_channels: int, out_channels: int, bias: bool = False) -> list[nn.Module]:
    """Every pixel four times, 3x3 convolution and batch norm; doubles the size."""
    conv = nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=bias)
    return [nn.Upsample(scale_factor=2, mode="nearest"), conv, nn.BatchNorm2d(out_channels)]


def down(in_channels: int, out_channels: int, bias: bool = False) -> list[nn.Module]:
    """4x4 convolution of stride 2 and batch norm."""
    return [nn.Conv2d(in_channels, out_channels, 4, 2, 1, bias=bias), nn.BatchNorm2d(out_channels)]


def gan(generator: nn.Module, discriminator: nn.Module, normal: bool = True) -> nn.ModuleDict:
    """Both nets, with normal weights of std 0.02 (arXiv 1511.06434, section 4) unless torch's are wanted."""
    nets = nn.ModuleDict({"generator": generator, "discriminator": discriminator})
    if normal:
        nets.apply(initialise)
    return nets


def initialise(module: nn.Module) -> None:
    """DCGAN initialisation of one module: convolutions N(0, 0.02), batch norm N(1, 0.02), biases 0."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.BatchNorm2d) and module.bias is not None:  # pyright: ignore[reportUnnecessaryComparison]
        nn.init.zeros_(module.bias)


def require_32(shape: tuple[int, int, int]) -> None:
    """Refuses images these nets cannot make."""
    if shape[1:] != (32, 32):
        raise RecipeError(f"this DCGAN makes 32x32 images, the data has {shape[1]}x{shape[2]}; choose another net")
