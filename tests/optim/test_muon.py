import copy
import io
import math

import pytest
import torch
from torch import nn

from shoestring.nets.mixconv import MixConvNet
from shoestring.optim.configs import Adam, Muon, set_learning_rate
from shoestring.optim.muon import orthogonalised


def net() -> nn.Module:
    torch.manual_seed(0)
    return MixConvNet(widths=(8, 16), hidden=(8, 8), depths=(1, 1)).build((3, 8, 8), 5)["classifier"]


def give_gradients(module: nn.Module, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    for parameter in module.parameters():
        parameter.grad = torch.randn(parameter.shape, generator=generator)


@pytest.mark.parametrize("shape", [(3, 20, 12), (3, 12, 20), (3, 16, 16)])
def test_orthogonalised_keeps_directions_and_levels_singular_values(shape: tuple[int, int, int]) -> None:
    matrices = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    found = orthogonalised(matrices, 6)
    values = torch.linalg.svdvals(found)
    assert values.min() > 0.6
    assert values.max() < 1.25
    u, _, v = torch.linalg.svd(matrices, full_matrices=False)
    inside = u.mT @ found @ v.mT  # diagonal exactly where the singular vectors are those of the matrices
    off = inside - torch.diag_embed(inside.diagonal(dim1=1, dim2=2))
    assert off.abs().max() < 1e-3


def test_inside_autocast_all_of_it_is_in_bfloat16_and_a_hundredth_off() -> None:
    matrices = torch.randn(2, 40, 96, generator=torch.Generator().manual_seed(0))
    exact = orthogonalised(matrices, 5)
    with torch.autocast("cpu", torch.bfloat16):
        found = orthogonalised(matrices, 5)
    assert found.dtype == torch.float32
    assert 1e-4 < (found - exact).norm() / exact.norm() < 0.02


def test_updates_have_the_size_that_adam_gives_them() -> None:
    torch.manual_seed(0)
    module = nn.Conv2d(48, 96, 1, bias=False)
    before = module.weight.detach().clone()
    optimiser = Muon(learning_rate=0.01).build(module)
    give_gradients(module, 0)
    optimiser.step()
    assert (module.weight - before).square().mean().sqrt().item() == pytest.approx(0.2 * 0.01, rel=0.15)


def test_momentum_is_that_of_nesterov() -> None:
    module = nn.Conv2d(6, 4, 1, bias=False)
    weight = module.weight.detach().clone()
    optimiser = Muon(learning_rate=0.1, momentum=0.9, weight_decay=0.5).build(module)
    mean = torch.zeros(4, 6)
    for step in range(3):
        give_gradients(module, step)
        gradient = module.weight.grad.flatten(1).clone()
        mean = 0.9 * mean + 0.1 * gradient
        update = orthogonalised((0.9 * mean + 0.1 * gradient)[None], 5)[0] * 0.2 * 6**0.5
        weight = (1 - 0.1 * 0.5) * weight - 0.1 * update.view(weight.shape)
        optimiser.step()
    torch.testing.assert_close(module.weight.detach(), weight)


def test_all_but_ungrouped_kernels_take_the_steps_of_adamw() -> None:
    found, expected = net(), net()
    kernels = {name for name, m in found.named_modules() if isinstance(m, nn.Conv2d) and m.groups == 1}
    ours, theirs = Muon(learning_rate=0.01).build(found), Adam(learning_rate=0.01, decoupled=True).build(expected)
    for step in range(3):
        for module, optimiser in ((found, ours), (expected, theirs)):
            give_gradients(module, step)
            optimiser.step()
    reference = dict(expected.named_parameters())
    for name, parameter in found.named_parameters():
        same = torch.equal(parameter, reference[name])
        assert same != (name.removesuffix(".weight") in kernels), name


def test_adam_rate_is_the_learning_rate_of_all_else_over_that_of_the_kernels() -> None:
    module = nn.Sequential(nn.Conv2d(2, 3, 3), nn.Flatten(), nn.Linear(3, 2))
    before = {name: parameter.detach().clone() for name, parameter in module.named_parameters()}
    optimiser = Muon(learning_rate=1.0, adam_rate=0.25, betas=(0.0, 0.99)).build(module)
    set_learning_rate(optimiser, 0.01)
    module(torch.ones(1, 2, 3, 3)).sum().backward()
    optimiser.step()
    moved = {name: (parameter - before[name]).detach() for name, parameter in module.named_parameters()}
    for name in ("0.bias", "2.weight", "2.bias"):  # a first step of Adam has the length of the learning rate
        torch.testing.assert_close(moved[name].abs(), torch.full_like(moved[name], 0.0025), rtol=1e-3, atol=0)
    assert 0 < moved["0.weight"].norm() <= 0.01 * 0.2 * math.sqrt(18 * 3) * 1.3
    other = nn.Sequential(nn.Conv2d(2, 3, 3), nn.Flatten(), nn.Linear(3, 2))
    again = Muon(learning_rate=1.0, adam_rate=0.25).build(other)
    again.load_state_dict(optimiser.state_dict())
    set_learning_rate(again, 0.02)
    assert [group["lr"] for group in again.param_groups] == [0.02, 0.005, 0.005]


def test_only_kernels_that_mix_and_linear_layers_decay() -> None:
    module = net()
    optimiser = Muon(weight_decay=0.3).build(module)
    decayed = {id(p) for group in optimiser.param_groups if group["weight_decay"] for p in group["params"]}
    for name, parameter in module.named_parameters():
        depthwise = "looks" in name
        assert (id(parameter) in decayed) == (parameter.ndim > 1 and not depthwise), name
    assert sum(len(group["params"]) for group in optimiser.param_groups) == len(list(module.parameters()))


def test_saved_state_goes_on_exactly() -> None:
    first = net()
    optimiser = Muon(learning_rate=0.02, weight_decay=0.1).build(first)
    for step in range(4):
        if step == 2:
            file = io.BytesIO()
            torch.save(optimiser.state_dict(), file)
            file.seek(0)
            second = copy.deepcopy(first)
            resumed = Muon(learning_rate=0.02, weight_decay=0.1).build(second)
            resumed.load_state_dict(torch.load(file, weights_only=True))
        set_learning_rate(optimiser, 0.01 * (step + 1))
        give_gradients(first, step)
        optimiser.step()
        if step >= 2:
            set_learning_rate(resumed, 0.01 * (step + 1))
            give_gradients(second, step)
            resumed.step()
    for a, b in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(a, b)
