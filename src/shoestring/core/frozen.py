"""Gradients that flow through nets without going into them."""

from collections.abc import Generator
from contextlib import contextmanager

from torch import nn


@contextmanager
def frozen(net: nn.Module) -> Generator[None]:
    """Inside, gradients flow through the net but not into its parameters; afterwards each is as it was before."""
    before = [(parameter, parameter.requires_grad) for parameter in net.parameters()]
    net.requires_grad_(False)
    try:
        yield
    finally:
        for parameter, learns in before:
            parameter.requires_grad_(learns)
