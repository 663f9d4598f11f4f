import copy
import subprocess
import sys

import pytest
import torch
from torch import nn

from shoestring.core.rng import generator
from shoestring.optim.configs import Adam, set_learning_rate


def net() -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(16, 2))


def descend(net: nn.Module, optimiser: torch.optim.Optimizer, rates: list[float]) -> list[torch.Tensor]:
    for step, rate in enumerate(rates):
        set_learning_rate(optimiser, rate)
        optimiser.zero_grad()
        net(torch.randn(5, 3, 4, 4, generator=generator(0, "batch", step))).square().mean().backward()
        optimiser.step()
    return [parameter.detach() for parameter in net.parameters()]


RATES = [0.01, 0.02, 0.005, 0.01, 0.001]


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_adam_is_that_of_torch(decay: float) -> None:
    ours, theirs = net(), net()
    spec = Adam(learning_rate=0.01, betas=(0.5, 0.99), epsilon=1e-6, weight_decay=decay)
    reference = torch.optim.Adam(theirs.parameters(), betas=(0.5, 0.99), eps=1e-6, weight_decay=decay, fused=False)
    for a, b in zip(descend(ours, spec.build(ours), RATES), descend(theirs, reference, RATES), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)


def test_decoupled_adam_is_adamw_that_spares_norms_and_biases() -> None:
    ours, theirs = net(), net()
    spec = Adam(learning_rate=0.01, weight_decay=0.5, decoupled=True)
    groups = [
        {"params": [p for p in theirs.parameters() if p.ndim >= 2], "weight_decay": 0.5},
        {"params": [p for p in theirs.parameters() if p.ndim < 2], "weight_decay": 0.0},
    ]
    reference = torch.optim.AdamW(groups, fused=False)
    for a, b in zip(descend(ours, spec.build(ours), RATES), descend(theirs, reference, RATES), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)


def test_the_first_step_has_the_length_of_the_learning_rate() -> None:
    # Kingma and Ba 2015: with both means corrected, the first update is lr g / (|g| + epsilon).
    weight = nn.Parameter(torch.tensor([1.0, -2.0, 3.0]))
    optimiser = Adam(learning_rate=0.1).build(_Holding(weight))
    weight.grad = torch.tensor([4.0, -0.5, 0.0])
    optimiser.step()
    torch.testing.assert_close(weight.detach(), torch.tensor([0.9, -1.9, 3.0]))


def test_the_learning_rate_of_every_group_is_set() -> None:
    optimiser = Adam(weight_decay=0.1, decoupled=True).build(net())
    set_learning_rate(optimiser, 0.125)
    assert [group["lr"] for group in optimiser.param_groups] == [0.125, 0.125]
    as_tensor = torch.optim.Adam([nn.Parameter(torch.zeros(1))], lr=torch.tensor(1.0), capturable=False, foreach=False)
    rate = as_tensor.param_groups[0]["lr"]
    set_learning_rate(as_tensor, 0.25)
    assert as_tensor.param_groups[0]["lr"] is rate  # a captured graph reads this very tensor
    assert rate.item() == 0.25


def test_state_of_an_optimiser_survives_saving_bitwise() -> None:
    whole, parts = net(), net()
    first = Adam(weight_decay=0.1).build(parts)
    descend(parts, first, RATES)
    again = copy.deepcopy(parts)
    second = Adam(weight_decay=0.1).build(again)
    second.load_state_dict(copy.deepcopy(first.state_dict()))
    optimiser = Adam(weight_decay=0.1).build(whole)
    descend(whole, optimiser, RATES)
    for a, b in zip(descend(whole, optimiser, RATES), descend(again, second, RATES), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("wrong", [{"learning_rate": 0}, {"betas": (1.0, 0.9)}, {"weight_decay": -1}, {"epsilon": 0}])
def test_values_out_of_range_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Adam.model_validate(wrong)


class _Holding(nn.Module):
    def __init__(self, weight: nn.Parameter) -> None:
        super().__init__()
        self.weight = weight


@pytest.mark.parametrize("decoupled", [False, True])
def test_adam_takes_the_steps_of_torch_to_the_bit(decoupled: bool) -> None:
    ours, theirs = net(), net()
    kind = torch.optim.AdamW if decoupled else torch.optim.Adam
    reference = kind(theirs.parameters(), weight_decay=0.0, fused=True)
    mine = Adam(decoupled=decoupled).build(ours)
    for a, b in zip(descend(ours, mine, RATES), descend(theirs, reference, RATES), strict=True):
        assert torch.equal(a, b)
    resumed = Adam(decoupled=decoupled).build(ours)
    resumed.load_state_dict(mine.state_dict())
    for a, b in zip(descend(ours, resumed, RATES), descend(theirs, reference, RATES), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize("spec", ["Adam()", "Adam(decoupled=True)", "Muon()"])
def test_steps_and_checkpoints_do_without_the_compiler_of_torch(spec: str) -> None:
    # Importing it takes two seconds, before the first step of every training.
    code = f"""
import sys
from torch import nn, zeros
from shoestring.optim.configs import Adam, Muon, set_learning_rate
net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
optimiser = {spec}.build(net)
for _ in range(2):
    set_learning_rate(optimiser, 0.1)
    optimiser.zero_grad(set_to_none=True)
    net(zeros(2, 3, 6, 6)).sum().backward()
    optimiser.step()
    optimiser.load_state_dict(optimiser.state_dict())
print("torch._dynamo" in sys.modules)
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False", found.stderr
