from pathlib import Path

import pytest
import tiny
import torch
from torch import nn

from shoestring.core.device import Engine, Machine
from shoestring.core.errors import DivergedError, RunError
from shoestring.model.build import build
from shoestring.model.train_state import State

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
