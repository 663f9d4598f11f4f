"""Optimisers: specs and what they build."""

from collections.abc import Iterable, Sequence
from typing import Annotated, Any, Literal

import torch
from pydantic import Field, NonNegativeFloat, PositiveFloat, PositiveInt
from torch import Tensor, nn

from shoestring.core.config import Spec
from shoestring.optim import adam
from shoestring.optim.muon import MuonAdamW

Beta = Annotated[float, Field(ge=0, lt=1)]


class Adam(Spec):
    """Adam (arXiv 1412.6980); with `decoupled`, AdamW (arXiv 1711.05101)."""

    kind: Literal["adam"] = "adam"
    learning_rate: PositiveFloat = 1e-3
    """Peak learning rate; the schedule scales it."""
    betas: tuple[Beta, Beta] = (0.9, 0.999)
    """Decay of the EMA of the gradient and of its square."""
    epsilon: PositiveFloat = 1e-8
    """Added to the root of the mean square."""
    weight_decay: NonNegativeFloat = 0.0
    """L2 penalty added to the gradient, or, decoupled, the decay of the weights per unit of learning rate."""
    decoupled: bool = False
    """Decay the weights directly, and only those of two dimensions and more (no norms, no biases)."""

    def build(self, net: nn.Module) -> torch.optim.Optimizer:
        """The optimiser of a net's parameters."""
        parameters = list(net.parameters())
        kind = adam.EagerAdamW if self.decoupled else adam.EagerAdam
        groups = _decayed_groups(parameters, self.weight_decay) if self.decoupled else parameters
        return kind(
            groups,
            betas=self.betas,
            eps=self.epsilon,
            weight_decay=0.0 if self.decoupled else self.weight_decay,
            **_on_device(parameters, self.learning_rate),
        )


class Muon(Spec):
    """Muon for the kernels of ungrouped convolutions (Jordan et al. 2024), AdamW for all else.

    Updates of Muon have a root mean square of 0.2, as those of AdamW have with betas of 0.9 and more where gradients
    are mostly noise, so that one learning rate fits both. With a first beta of 0, AdamW's are five times as large.
    """

    kind: Literal["muon"] = "muon"
    learning_rate: PositiveFloat = 1e-3
    """Peak learning rate; the schedule scales it."""
    momentum: Beta = 0.95
    """Momentum: decay of the EMA of the gradient, for Muon."""
    iterations: PositiveInt = 5
    """Newton-Schulz iterations, for Muon."""
    adam_rate: PositiveFloat = 1.0
    """AdamW's learning rate over Muon's."""
    betas: tuple[Beta, Beta] = (0.9, 0.999)
    """Decay of the EMA of the gradient and of its square, for AdamW."""
    epsilon: PositiveFloat = 1e-8
    """Added to the root of the mean square, for AdamW."""
    weight_decay: NonNegativeFloat = 0.0
    """Decay of those kernels and of linear layers per unit of learning rate (no norms, biases, depthwise kernels)."""

    def build(self, net: nn.Module) -> torch.optim.Optimizer:
        """The optimiser of a net's parameters."""
        parameters = list(net.parameters())
        kernels = {id(m.weight) for m in net.modules() if isinstance(m, nn.Conv2d) and m.groups == 1}
        mixing = [p for p in parameters if id(p) in kernels]
        matrices = [p for p in parameters if p.ndim == 2]
        rest = [p for p in parameters if id(p) not in kernels and p.ndim != 2]
        options = _on_device(parameters, self.learning_rate)

        def group(parameters: list[nn.Parameter], decay: float, orthogonal: bool) -> dict[str, Any]:
            rate = 1.0 if orthogonal else self.adam_rate
            return {
                "params": parameters,
                "weight_decay": decay,
                "orthogonal": orthogonal,
                "relative_rate": rate,
                "lr": options["lr"] * rate,
            }

        decay = self.weight_decay
        groups = [group(mixing, decay, True), group(matrices, decay, False), group(rest, 0.0, False)]
        return MuonAdamW(
            groups,
            momentum=self.momentum,
            iterations=self.iterations,
            betas=self.betas,
            eps=self.epsilon,
            **options,
        )


def set_learning_rate(optimiser: torch.optim.Optimizer, learning_rate: float) -> None:
    """Makes every group use a learning rate, times its own "relative_rate" if it has one, from the next step on.

    In place where the rate lives on a GPU.
    """
    for group in optimiser.param_groups:
        rate = learning_rate * group.get("relative_rate", 1.0)
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(rate)
        else:
            group["lr"] = rate


def set_options(optimiser: torch.optim.Optimizer, wanted: torch.optim.Optimizer) -> None:
    """Gives an optimiser's groups the options of another one of the same parameters, all but the learning rate."""
    for group, other in zip(optimiser.param_groups, wanted.param_groups, strict=True):
        group.update({name: value for name, value in other.items() if name not in ("params", "lr")})


def _on_device(parameters: Sequence[nn.Parameter], learning_rate: float) -> dict[str, Any]:
    """Options that suit the device; on a GPU the learning rate is a tensor, so that a captured graph reads it anew."""
    on_gpu = bool(parameters) and parameters[0].is_cuda
    rate = torch.tensor(learning_rate, device=parameters[0].device) if on_gpu else learning_rate
    return {"lr": rate, "fused": True, "capturable": on_gpu}


def _decayed_groups(parameters: Iterable[nn.Parameter], weight_decay: float) -> list[dict[str, object]]:
    parameters = list(parameters)
    return [
        {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
    ]
