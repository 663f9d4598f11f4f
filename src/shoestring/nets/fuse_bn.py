"""Nets for evaluation, with every batch norm folded into the convolution before it."""

import copy
import itertools
from typing import Protocol, runtime_checkable

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval


@runtime_checkable
class HasPlain(Protocol):
    """A layer that one of torch's own can stand for in evaluation mode."""

    def plain(self) -> nn.Module:
        """A layer of torch that computes the same, on the same device and of the same type."""
        ...


def fuse_conv_bn(net: nn.Module) -> nn.Module:
    """A net that computes the same up to rounding with fewer passes over memory; the net itself where nothing folds.

    In evaluation mode batch norm is a scale and a shift for each channel, which the weights and the bias of a
    convolution right before it can take over. Only layers next to each other in a Sequential are folded, and only
    torch's own: a subclass may compute something else. One that says what plain layer it is takes that one's place.

    Args:
        net: In evaluation mode; left as it is.
    """
    if not any(isinstance(module, HasPlain) for module in net.modules()) and not any(map(_pairs, _chains(net))):
        return net
    net = copy.deepcopy(net)
    for module in net.modules():
        for name, child in module.named_children():
            if isinstance(child, HasPlain):
                setattr(module, name, child.plain())
    for chain in _chains(net):
        for place, layer, norm in _pairs(chain):
            chain[place] = fuse_conv_bn_eval(layer, norm, transpose=isinstance(layer, nn.ConvTranspose2d))
            chain[place + 1] = nn.Identity()
    return net


def _chains(net: nn.Module) -> list[nn.Sequential]:
    return [module for module in net.modules() if isinstance(module, nn.Sequential)]


def _pairs(chain: nn.Sequential) -> list[tuple[int, nn.Conv2d | nn.ConvTranspose2d, nn.BatchNorm2d]]:
    """The convolutions that a batch norm follows, each with its place and that batch norm."""
    return [
        (place, layer, norm)
        for place, (layer, norm) in enumerate(itertools.pairwise(chain))
        if (type(layer) is nn.Conv2d or type(layer) is nn.ConvTranspose2d) and type(norm) is nn.BatchNorm2d
    ]
