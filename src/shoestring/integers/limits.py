"""What an integer net takes of a device, counted in the graph itself; its C source takes the same, to the byte."""

from dataclasses import dataclass
from functools import partial

from shoestring.integers.integer_graph import Convolution, IntegerNet
from shoestring.integers.layout import multiply_adds, packed_weight, scratch_of
from shoestring.integers.memory import plan_memory


@dataclass(frozen=True)
class DeviceLimits:
    """What an image costs on a device.

    Attributes:
        weight_bytes: Of int8 weights, as they are stored: mirrored kernels once.
        activation_bytes: The most that activations and patches take at any time.
        multiply_adds: Products that are summed.
    """

    weight_bytes: int
    activation_bytes: int
    multiply_adds: int


def device_limits(net: IntegerNet) -> DeviceLimits:
    """What a net takes of a device."""
    convolutions = [operator for operator in net.operators if isinstance(operator, Convolution)]
    return DeviceLimits(
        weight_bytes=sum(packed_weight(operator).nbytes for operator in convolutions),
        activation_bytes=plan_memory(net, partial(scratch_of, net)).size,
        multiply_adds=sum(multiply_adds(net, operator) for operator in convolutions),
    )
