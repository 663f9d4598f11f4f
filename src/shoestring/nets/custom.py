"""Nets that a user wrote, as plain torch modules that know nothing of this package."""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from shoestring.core.device import KEEPS_MEMORY_ORDER
from shoestring.core.errors import RecipeError
from shoestring.core.outside import Outside
from shoestring.core.signature import takes_any


class CustomNet(Outside):
    """Net made by a user's class or function, which is given by name what it takes of the data's shape.

    These are `shape` (channels, height, width), `num_classes`, `in_channels` or `in_chans`, and `image_size` or
    `img_size`; all else are options. A module is a classifier, images (n, *shape) -> logits (n, num_classes); nets of
    other tasks come as a dict by name.

    A GAN is {"generator": …, "discriminator": …} of a class or function that takes `latent`, the length of the normal
    latent vector (or its shape): latents (n, latent) -> images (n, *shape), and images -> logits (n,). Where it takes
    `num_classes` too, both nets get the classes, int64 (n,), as second argument; half way between two classes the
    generator gets the nearer one.

    They keep torch's usual order of memory, since `view` in their forward may rely on it.
    """

    part: ClassVar[str] = "net"
    given: ClassVar[tuple[str, ...]] = ("shape", "num_classes", "in_channels", "in_chans", "image_size", "img_size")

    def build(self, shape: tuple[int, int, int], num_classes: int) -> nn.ModuleDict:
        """The nets by name.

        Raises:
            RecipeError: The user's code fails, or makes something else.
        """
        channels, height, width = shape
        size = height if height == width else (height, width)
        made = self.call(
            shape=shape,
            num_classes=num_classes,
            in_channels=channels,
            in_chans=channels,
            image_size=size,
            img_size=size,
        )
        nets: dict[str, Any] = dict(made.items()) if isinstance(made, Mapping | nn.ModuleDict) else {"classifier": made}  # pyright: ignore[reportUnknownArgumentType, reportUnknownMemberType]
        for name, net in nets.items():
            if not isinstance(net, nn.Module):
                raise RecipeError(
                    f"{self.words} makes {type(net).__name__} as {name}, not a torch.nn.Module; give a module, or a "
                    'dict such as {"generator": module, "discriminator": module}'
                )
            setattr(net, KEEPS_MEMORY_ORDER, True)
        if "generator" in nets and self.takes("num_classes"):
            nets["generator"].register_forward_pre_hook(_nearest_class)
        return nn.ModuleDict(nets)

    def arguments(self, **given: Any) -> dict[str, Any]:
        """As of every part; with **kwargs, also the number of classes, as constructors of timm take it."""
        own = getattr(self.made_by, "__init__", None) is not nn.Module.__init__  # which seems to take any
        more = {"num_classes": given["num_classes"]} if own and takes_any(self.made_by) else {}
        return more | super().arguments(**given)

    def examples(self, shape: tuple[int, int, int]) -> dict[str, tuple[Tensor, ...]]:
        """One input for each net that there may be, by net name; which there are is known when they are built."""
        image, label = torch.zeros(1, *shape), torch.zeros(1, dtype=torch.int64)
        found: dict[str, tuple[Tensor, ...]] = {"classifier": (image,), "denoiser": (image, torch.zeros(1), label)}
        latent: int | tuple[int, ...] | None = getattr(self.options, "latent", None)
        if latent is not None:
            sides = (latent,) if isinstance(latent, int) else tuple(latent)
            told = (label,) if self.takes("num_classes") else ()
            found |= {"generator": (torch.zeros(1, *sides), *told), "discriminator": (image, *told)}
        return found


def _nearest_class(_: nn.Module, inputs: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    latents, labels = inputs
    return latents, labels.argmax(1) if labels.is_floating_point() else labels
