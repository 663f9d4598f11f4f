"""All that changes while training: the step, the nets, their EMA weights, the optimisers."""

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from shoestring.core.device import Machine
from shoestring.core.errors import DivergedError, RunError
from shoestring.recipes.recipe import Recipe


@dataclass
class State:
    """What a checkpoint holds. No generator or iterator state: those are functions of (seed, step).

    Attributes:
        step: Steps taken.
        nets: The nets by name, on the device.
        optimisers: One for each phase, by the net it updates.
        ema: Copies of all nets with the exponential moving average of their weights, by decay.
        seconds: What these steps took, without evaluating and saving.
    """

    step: int
    nets: nn.ModuleDict
    optimisers: dict[str, torch.optim.Optimizer]
    ema: dict[float, nn.ModuleDict] = field(default_factory=dict[float, nn.ModuleDict])
    seconds: float = 0.0

    @staticmethod
    def start(recipe: Recipe, nets: nn.ModuleDict, machine: Machine) -> "State":
        """The state before the first step."""
        nets = machine.place(nets)
        return State(
            step=0,
            nets=nets.train(),
            optimisers={phase: recipe.optimiser.build(nets[phase]) for phase in recipe.task.phases},
            ema={decay: copy.deepcopy(nets).eval().requires_grad_(False) for decay in recipe.ema},
        )

    @torch.no_grad()
    def update_ema(self) -> None:
        """Moves all EMA weights towards the nets; the decay rises with the steps, min(decay, (1 + t) / (10 + t))."""
        for decay, mean in self.ema.items():
            weight = 1 - min(decay, (1 + self.step) / (10 + self.step))
            old, new = _tensors(mean), _tensors(self.nets)
            floats = [i for i, tensor in enumerate(old) if tensor.is_floating_point()]
            torch._foreach_lerp_([old[i] for i in floats], [new[i] for i in floats], weight)  # pyright: ignore[reportPrivateUsage, reportPrivateImportUsage]
            for i, tensor in enumerate(old):
                if not tensor.is_floating_point():
                    tensor.copy_(new[i])

    def require_finite(self) -> None:
        """Does nothing, unless an update left something that no later step can mend.

        Raises:
            DivergedError: A weight, an EMA weight or a moment of an optimiser is NaN or infinite.
        """
        for name, tensor in _named_tensors(self.state_dict()):
            if not tensor.isfinite().all():
                raise DivergedError(f"{name} became NaN or infinite by step {self.step:,}")

    def nbytes(self) -> int:
        """Bytes of all tensors of a checkpoint."""
        return sum(tensor.nbytes for _, tensor in _named_tensors(self.state_dict()))

    def ema_or_raw_nets(self) -> nn.ModuleDict:
        """EMA weights of the first decay if the recipe keeps any, else raw weights."""
        return next(iter(self.ema.values()), self.nets)

    def state_dict(self) -> dict[str, Any]:
        """Everything, as tensors and plain values."""
        return {
            "step": self.step,
            "seconds": self.seconds,
            "nets": self.nets.state_dict(),
            "optimisers": {name: optimiser.state_dict() for name, optimiser in self.optimisers.items()},
            "ema": {decay: nets.state_dict() for decay, nets in self.ema.items()},
        }

    def load_state_dict(self, saved: Mapping[str, Any]) -> None:
        """Becomes the saved state exactly.

        Raises:
            RunError: It is not a state of these nets and optimisers.
        """
        try:
            step, seconds = saved["step"], saved.get("seconds", 0.0)
            if type(step) is not int or step < 0 or not isinstance(seconds, int | float):
                raise ValueError(f"it is of step {step!r}, after {seconds!r} s")
            self.step, self.seconds = step, seconds
            self.nets.load_state_dict(saved["nets"])
            registered = {id(parameter): name for name, parameter in self.nets.named_parameters()}
            for phase, optimiser in self.optimisers.items():
                moments = _reordered(saved["optimisers"][phase], optimiser, registered, list(saved["nets"]))
                optimiser.load_state_dict(moments)
            ema = saved["ema"] if "ema" in saved else saved["averages"]  # as versions before 0.2 called them
            for decay, nets in self.ema.items():
                nets.load_state_dict(ema[decay])
        except (AttributeError, IndexError, LookupError, RuntimeError, TypeError, ValueError) as error:
            first = (str(error) or type(error).__name__).splitlines()[0]
            raise RunError(f"a checkpoint does not fit the run's recipe ({type(error).__name__}: {first})") from error


def _reordered(
    saved: dict[str, Any], optimiser: torch.optim.Optimizer, registered: Mapping[int, str], saved_names: list[str]
) -> dict[str, Any]:
    """An optimiser's state for parameters that their net registers in another order than when it was saved.

    torch numbers the parameters of an optimiser, so that a net of the same names, registered in another order by
    another version of its code, would take the moments of its other layers.

    Args:
        saved: Its state.
        optimiser: The one that is to have it.
        registered: Names of all parameters by id, in order.
        saved_names: Those of then, in order; names of buffers may be among them.
    """
    names = list(registered.values())
    known = set(names)
    if names == [name for name in saved_names if name in known]:
        return saved
    groups: list[dict[str, Any]] = []
    for group, then in zip(optimiser.param_groups, saved["param_groups"], strict=True):
        own = [registered[id(parameter)] for parameter in group["params"]]
        if own != sorted(own, key=names.index):
            raise ValueError("the net registers its parameters in another order than it did, and so does its optimiser")
        numbers = dict(zip(sorted(own, key=saved_names.index), then["params"], strict=True))
        groups.append({**then, "params": [numbers[name] for name in own]})
    return {**saved, "param_groups": groups}


def _named_tensors(values: Mapping[Any, Any], path: str = "") -> Iterator[tuple[str, Tensor]]:
    for key, value in values.items():
        name = f"{path}/{key}" if path else str(key)
        if isinstance(value, Tensor):
            yield name, value
        elif isinstance(value, Mapping):
            yield from _named_tensors(value, name)  # pyright: ignore[reportUnknownArgumentType]


def _tensors(nets: nn.Module) -> list[Tensor]:
    return [*nets.parameters(), *nets.buffers()]
