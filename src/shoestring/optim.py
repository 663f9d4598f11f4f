"""Optimisers: specs and what they build."""

from collections.abc import Iterable
from typing import Annotated, Literal

import torch
from pydantic import Field, NonNegativeFloat, PositiveFloat
from torch import Tensor, nn

from shoestring.spec import Spec

Beta = Annotated[float, Field(ge=0, lt=1)]


class Adam(Spec):
    """Adam (Kingma and Ba 2015); with `decoupled`, AdamW (Loshchilov and Hutter 2019)."""

    kind: Literal["adam"] = "adam"
    learning_rate: PositiveFloat = 1e-3
    """Peak learning rate; the schedule scales it."""
    betas: tuple[Beta, Beta] = (0.9, 0.999)
    """Decay of the running means of the gradient and of its square."""
    epsilon: PositiveFloat = 1e-8
    """Added to the root of the mean square."""
    weight_decay: NonNegativeFloat = 0.0
    """L2 penalty added to the gradient, or, decoupled, the decay of the weights per unit of learning rate."""
    decoupled: bool = False
    """Decay the weights directly, and only those of two dimensions and more (no norms, no biases)."""

    def build(self, net: nn.Module) -> torch.optim.Optimizer:
        """The optimiser of a net's parameters.

        On a GPU the learning rate is a tensor, so that a captured graph reads the current one.
        """
        parameters = list(net.parameters())
        on_gpu = bool(parameters) and parameters[0].is_cuda
        rate = torch.tensor(self.learning_rate, device=parameters[0].device) if on_gpu else self.learning_rate
        kind = torch.optim.AdamW if self.decoupled else torch.optim.Adam
        groups = _decayed_groups(parameters, self.weight_decay) if self.decoupled else parameters
        return kind(
            groups,
            lr=rate,
            betas=self.betas,
            eps=self.epsilon,
            weight_decay=0.0 if self.decoupled else self.weight_decay,
            fused=True,
            capturable=on_gpu,
        )


Optimiser = Adam


def set_learning_rate(optimiser: torch.optim.Optimizer, learning_rate: float) -> None:
    """Makes every group use a learning rate from the next step on, in place where it lives on a GPU."""
    for group in optimiser.param_groups:
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(learning_rate)
        else:
            group["lr"] = learning_rate


def _decayed_groups(parameters: Iterable[nn.Parameter], weight_decay: float) -> list[dict[str, object]]:
    parameters = list(parameters)
    return [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
