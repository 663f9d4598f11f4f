"""What a classifier takes of a device, counted in its integer graph; its C source takes the same, to the byte."""

import copy
from functools import partial

import torch
from torch import nn

from shoestring.core.budget import DeviceLimits
from shoestring.core.rng import generator
from shoestring.data.dataset import Normalisation
from shoestring.integers.integer_graph import Convolution, IntegerNet
from shoestring.integers.layout import multiply_adds, packed_weight, scratch_of
from shoestring.integers.memory import plan_memory
from shoestring.integers.quantization import quantize

FEW_IMAGES = 2
"""Noise that an untrained net is quantised with; what it takes of a device does not depend on it."""


def device_limits(net: IntegerNet) -> DeviceLimits:
    """What an integer net takes of a device."""
    convolutions = [operator for operator in net.operators if isinstance(operator, Convolution)]
    return DeviceLimits(
        weight_bytes=sum(packed_weight(operator).nbytes for operator in convolutions),
        activation_bytes=plan_memory(net, partial(scratch_of, net)).size,
        multiply_adds=sum(multiply_adds(net, operator) for operator in convolutions),
    )


def limits_of(
    net: nn.Module, shape: tuple[int, int, int], normalisation: Normalisation, num_classes: int, name: str
) -> DeviceLimits:
    """What a classifier would take of a device in 8-bit integers, trained or not.

    Args:
        net: Normalised images (n, *shape) -> logits (n, num_classes); left as it is.
        shape: Channels, height, width.
        normalisation: How it sees pixels.
        num_classes: Its classes.
        name: What it is called in messages.

    Raises:
        ShoestringError: It does what integers cannot hold here.
    """
    net = copy.deepcopy(net)
    with torch.no_grad():
        for parameter in net.parameters():
            if not parameter.any():  # norms that start at zero, of which there is no scale to be had
                parameter.fill_(1.0)
    noise = torch.randint(256, (FEW_IMAGES, *shape), generator=generator(0, "limits"), dtype=torch.uint8)
    return device_limits(quantize(net, normalisation, noise, num_classes, name))
