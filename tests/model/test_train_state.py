import copy
from collections.abc import Callable
from pathlib import Path

import pytest
import tiny
import torch
from torch import nn

from shoestring.core.device import Engine, Machine
from shoestring.core.errors import DivergedError, RunError
from shoestring.model.build import build
from shoestring.model.train_state import State
from shoestring.optim.configs import Adam, Muon

MACHINE = Machine.choose(Engine(), "cpu")


def one_weight(*decays: float) -> State:
    nets = nn.ModuleDict({"net": nn.BatchNorm1d(1)})
    ema = {decay: nn.ModuleDict({"net": nn.BatchNorm1d(1)}) for decay in decays}
    return State(0, nets, {}, ema)


def test_running_means_follow_their_closed_form() -> None:
    # m_t = d_t m_{t-1} + (1 - d_t) w_t with d_t = min(d, (1 + t) / (10 + t)); w_t = t here, m_0 = 1.
    state = one_weight(0.5, 0.99)
    expected = {0.5: 1.0, 0.99: 1.0}
    for step in range(1, 31):
        state.step = step
        state.nets["net"].weight.data.fill_(step)
        state.nets["net"].running_var.fill_(step)
        state.nets["net"].num_batches_tracked.fill_(step)
        state.update_ema()
        for decay in expected:
            now = min(decay, (1 + step) / (10 + step))
            expected[decay] = now * expected[decay] + (1 - now) * step
    for decay, mean in expected.items():
        net = state.ema[decay]["net"]
        assert net.weight.item() == pytest.approx(mean, rel=1e-6)
        assert net.running_var.item() == pytest.approx(mean, rel=1e-6)
        assert net.num_batches_tracked.item() == 30  # counters are copied
    assert state.nets["net"].weight.item() == 30


def test_without_a_running_mean_the_nets_answer_and_else_the_first_mean() -> None:
    assert one_weight().ema_or_raw_nets() is not None
    plain, averaged = one_weight(), one_weight(0.9, 0.5)
    assert plain.ema_or_raw_nets() is plain.nets
    assert averaged.ema_or_raw_nets() is averaged.ema[0.9]


def test_starts_with_an_optimiser_for_each_phase_of_its_own_net_alone(pictures: Path) -> None:
    recipe = tiny.gan(pictures, ema=[0.9])
    state = State.start(recipe, build(recipe).nets, MACHINE)
    assert (state.step, list(state.optimisers)) == (0, ["discriminator", "generator"])
    for phase, optimiser in state.optimisers.items():
        own = {id(parameter) for parameter in state.nets[phase].parameters()}
        assert {id(p) for group in optimiser.param_groups for p in group["params"]} == own
    mean = state.ema[0.9]
    assert not mean.training
    assert not any(parameter.requires_grad for parameter in mean.parameters())
    assert all(torch.equal(a, b) for a, b in zip(mean.parameters(), state.nets.parameters(), strict=True))
    assert not {p.data_ptr() for p in mean.parameters()} & {p.data_ptr() for p in state.nets.parameters()}


@pytest.mark.parametrize("where", ["nets", "ema", "optimisers"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_anything_not_finite_is_found_and_named(where: str, value: float, pictures: Path) -> None:
    recipe = tiny.classifier(pictures)
    state = State.start(recipe, build(recipe).nets, MACHINE)
    state.nets["classifier"](torch.randn(4, 3, 8, 8)).sum().backward()
    state.optimisers["classifier"].step()
    state.require_finite()
    parameter = next(state.nets.parameters())
    spoilt = {
        "nets": parameter,
        "ema": next(state.ema[0.9].parameters()),
        "optimisers": state.optimisers["classifier"].state[parameter]["exp_avg"],
    }[where]
    spoilt.data[0, 0, 0, 0] = value
    with pytest.raises(DivergedError, match=rf"{where}/.* became NaN or infinite by step 0"):
        state.require_finite()


@pytest.mark.parametrize(
    "change",
    [
        {"step": "3"}, {"step": -1}, {"nets": {}}, {"nets": None}, {"optimisers": {}}, {"ema": []}, {"seconds": "long"},
        {"optimisers": {"classifier": {"state": {}, "param_groups": []}}},
    ],
    ids=str,
)  # fmt: skip
def test_a_state_of_another_kind_is_refused_in_one_line(change: dict[str, object], pictures: Path) -> None:
    recipe = tiny.classifier(pictures)
    saved = State.start(recipe, build(recipe).nets, MACHINE).state_dict()
    with pytest.raises(RunError, match=r"^a checkpoint does not fit the run's recipe \(.*\)$"):
        State.start(recipe, build(recipe).nets, MACHINE).load_state_dict(saved | change)


class FourLayers(nn.Module):
    """Of the same names in whichever order they are registered."""

    def __init__(self, names: str) -> None:
        super().__init__()
        for name in names:
            self.register_module(name, nn.Conv2d(2, 2, 1) if name < "c" else nn.Linear(2, 2))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        found = self.a(self.b(images)).mean((2, 3))
        return self.c(self.d(found))


def momentum(net: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(net.parameters(), lr=0.01, momentum=0.9)


@pytest.mark.parametrize(
    "make",
    [Adam().build, Adam(decoupled=True, weight_decay=0.1).build, Muon().build, momentum],
    ids=["adam", "adamw", "muon", "sgd"],
)
@pytest.mark.parametrize("names", ["badc", "dcba"])
def test_goes_on_with_the_moments_of_each_layer_in_whatever_order_the_net_names_them(
    make: Callable[[nn.Module], torch.optim.Optimizer], names: str
) -> None:
    def started(order: str) -> State:
        torch.manual_seed(0)
        nets = nn.ModuleDict({"net": FourLayers(order)})
        return State(0, nets, {"net": make(nets["net"])})

    def step(state: State) -> None:
        images = torch.randn(4, 2, 3, 3, generator=torch.Generator().manual_seed(state.step))
        state.nets["net"](images).square().sum().backward()
        state.optimisers["net"].step()
        state.optimisers["net"].zero_grad()
        state.step += 1

    before, after = started("abcd"), started(names)
    for _ in range(3):
        step(before)
    after.load_state_dict(copy.deepcopy(before.state_dict()))
    for _ in range(3):
        step(before)
        step(after)
    expected = before.nets.state_dict()
    for name, found in after.nets.state_dict().items():
        assert torch.equal(found, expected[name]), name


def test_refuses_moments_of_a_net_and_an_optimiser_that_both_changed_their_order() -> None:
    def started(order: str) -> State:
        nets = nn.ModuleDict({"net": FourLayers(order)})
        return State(0, nets, {"net": torch.optim.SGD(reversed(list(nets.parameters())), momentum=0.9)})

    saved = started("abcd").state_dict()
    started("abcd").load_state_dict(saved)
    with pytest.raises(RunError, match=r"does not fit .* the net registers its parameters in another order"):
        started("badc").load_state_dict(saved)
