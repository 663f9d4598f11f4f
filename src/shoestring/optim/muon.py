"""Muon: momentum steps with orthogonalised updates for the kernels that mix channels (Jordan et al. 2024, "Muon").

https://kellerjordan.github.io/posts/muon
"""

import math
from collections import defaultdict
from typing import Any

import torch
from torch import Tensor, nn

from shoestring.optim.adam import EagerAdamW

COEFFICIENTS = 3.4445, -4.7750, 2.0315  # of the quintic that Jordan et al. fitted; singular values end in 0.7..1.2


class MuonAdamW(EagerAdamW):
    """AdamW whose groups marked "orthogonal" take Muon steps instead.

    A Muon step is that of Nesterov momentum with the update, as a matrix of (outputs, all inputs), replaced by the
    nearest orthogonal one. It is scaled to the root mean square that updates of Adam have, 0.2 (arXiv 2502.16982), so
    one learning rate fits all parameters.
    """

    def __init__(self, groups: list[dict[str, Any]], momentum: float, iterations: int, **options: Any) -> None:
        """An optimiser of groups that each have "params", "weight_decay" and "orthogonal".

        Args:
            groups: Parameter groups; those with "orthogonal" true hold parameters of two dimensions and more.
            momentum: Decay of the EMA of the gradient, of orthogonal groups.
            iterations: Newton-Schulz iterations, of orthogonal groups.
            options: What AdamW takes.
        """
        self.momentum = momentum
        self.iterations = iterations
        super().__init__(groups, **options)

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Takes one step; the gradients of orthogonal groups are gone afterwards.

        Args:
            closure: Must be None: the step is taken from the gradients that are there.
        """
        for group in self.param_groups:
            if group["orthogonal"]:
                self._step_orthogonal(group)
        super().step(closure)

    def _step_orthogonal(self, group: dict[str, Any]) -> None:
        alike: dict[torch.Size, list[tuple[nn.Parameter, Tensor]]] = defaultdict(list)
        for parameter in group["params"]:
            if parameter.grad is None:
                continue
            state = self.state[parameter]
            if not state:
                # AdamW expects a step of every parameter that has a state.
                state["step"] = torch.zeros((), device=parameter.device)
                state["momentum"] = torch.zeros_like(parameter)
            state["momentum"].lerp_(parameter.grad, 1 - self.momentum)
            update = parameter.grad.lerp(state["momentum"], self.momentum).flatten(1)
            alike[update.shape].append((parameter, update))
            parameter.grad = None  # so that AdamW leaves it alone
        rate, decay = group["lr"], group["weight_decay"]
        for shape, members in alike.items():
            updates = orthogonalised(torch.stack([update for _, update in members]), self.iterations)
            updates = updates * (0.2 * math.sqrt(max(shape))) * rate
            for (parameter, _), update in zip(members, updates, strict=True):
                parameter.mul_(1 - rate * decay).sub_(update.view(parameter.shape))


def orthogonalised(matrices: Tensor, iterations: int) -> Tensor:
    """Nearly the nearest matrices whose singular values are all 1: U V^T for every U S V^T.

    By the Newton-Schulz iteration x -> a x + b (x x^T) x + c (x x^T)^2 x on singular values; with the coefficients of
    Jordan et al. 2024 it grows small ones fast and leaves them between 0.7 and 1.2 after 5 iterations. Inside autocast
    all of it is in the lower precision, as with them: bfloat16 changes the result by a hundredth.

    Args:
        matrices: float (n, rows, columns).
        iterations: How often to iterate; singular values below 3.4^-iterations of the norm stay smaller.
    """
    a, b, c = COEFFICIENTS
    tall = matrices.shape[1] > matrices.shape[2]
    x = matrices.mT if tall else matrices
    x = x / (x.square().sum((1, 2), keepdim=True).sqrt() + 1e-7)
    if torch.is_autocast_enabled(x.device.type):
        x = x.to(torch.get_autocast_dtype(x.device.type))
    for _ in range(iterations):
        square = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(square, square, square, beta=b, alpha=c), x, beta=a)
    return (x.mT if tall else x).to(matrices.dtype)
