import subprocess
import sys

import pytest
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from shoestring.core.budget import Layer
from shoestring.model.build import build, count, initialise
from shoestring.nets.summary import Counter, layer_table
from shoestring.nets.summary import count as parameter_count
from shoestring.recipes import RECIPES


def table(net: nn.Module, *shape: int) -> list[Layer]:
    return layer_table(nn.ModuleDict({"net": net}), {"net": (torch.zeros(1, *shape),)})


def test_rows_of_a_net_computed_by_hand() -> None:
    net = nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 8, 5, padding=2, groups=8, bias=False),
        nn.Conv2d(8, 4, 1, groups=2, bias=False),
        nn.ConvTranspose2d(4, 2, 4, stride=2, padding=1),
        nn.Flatten(),
        nn.Linear(2 * 16 * 16, 10),
    )
    assert table(net, 3, 16, 16) == [
        # Multiply-adds: outputs times the inputs each one looks at.
        Layer("net.0", "Conv2d 3x3 s2", (8, 8, 8), 8 * 27 + 8, 8 * 64 * 27),
        Layer("net.1", "BatchNorm2d", (8, 8, 8), 16, 0),
        Layer("net.3", "Conv2d 5x5 depthwise", (8, 8, 8), 8 * 25, 8 * 64 * 25),
        Layer("net.4", "Conv2d 1x1 g2", (4, 8, 8), 4 * 4, 4 * 64 * 4),
        # A transposed one: every input goes to each of its 2 x 4 x 4 outputs.
        Layer("net.5", "ConvTranspose2d 4x4 s2", (2, 16, 16), 4 * 2 * 16 + 2, 4 * 64 * 2 * 16),
        Layer("net.7", "Linear", (10,), 512 * 10 + 10, 512 * 10),
    ]


def test_a_module_used_twice_counts_its_parameters_once_and_its_work_twice() -> None:
    conv = nn.Conv2d(4, 4, 3, padding=1, bias=False)
    rows = table(nn.Sequential(conv, nn.ReLU(), conv), 4, 8, 8)
    assert [(row.parameters, row.multiply_adds) for row in rows] == [(144, 2 * 4 * 64 * 36)]


def test_a_parameter_of_two_modules_counts_once() -> None:
    first, second = nn.Linear(6, 6), nn.Linear(6, 6)
    second.weight = first.weight
    rows = table(nn.Sequential(first, second), 6)
    assert [row.parameters for row in rows] == [42, 6]


class Hoard(nn.Module):
    """A net that keeps most of its weights in buffers."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 2, bias=False)
        self.norm = nn.BatchNorm1d(2)
        self.register_buffer("table", torch.zeros(30))
        self.register_buffer("again", self.table)  # the same tensor
        self.register_buffer("order", torch.arange(5), persistent=False)  # never saved, so never learnt

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.linear(x)) + self.table[:2]


class Disguised(nn.BatchNorm1d):
    """A norm of a user's own, whose statistics may be anything."""

    __module__ = "my_net"


def test_saved_buffers_count_once_and_those_of_batch_norms_do_not() -> None:
    rows = table(Hoard(), 4)
    assert [(row.name, row.type, row.parameters) for row in rows] == [
        ("net.linear", "Linear", 8),
        ("net.norm", "BatchNorm1d", 4),
        ("net", "Hoard, with buffers", 30),
    ]
    assert parameter_count(Hoard()) == 42
    assert sum(row.multiply_adds for row in rows) == 8  # that of the inner layer, counted there


def test_statistics_of_a_batch_norm_of_ones_own_count() -> None:
    assert parameter_count(nn.BatchNorm1d(10)) == 20
    assert parameter_count(Disguised(10)) == 40 + 1  # and its step counter, which it might read


def test_parameters_that_are_not_used_count_as_well() -> None:
    class Idle(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used = nn.Linear(2, 2)
            self.idle = nn.Linear(3, 3)
            self.scale = nn.Parameter(torch.ones(5))

        def forward(self, x: Tensor) -> Tensor:
            return self.used(x) * self.scale.mean()

    rows = {row.name: row for row in table(Idle(), 2)}
    assert {name: row.parameters for name, row in rows.items()} == {"net": 5, "net.used": 6, "net.idle": 12}
    assert rows["net.idle"].output == ()
    assert rows["net.idle"].multiply_adds == 0


def test_the_net_is_left_as_it_was() -> None:
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)).train()
    net[1].eval()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    table(net, 1, 5, 5)
    assert net.training
    assert all(torch.equal(before[name], tensor) for name, tensor in net.state_dict().items())
    assert not net[0]._forward_hooks
    assert not net[0]._forward_pre_hooks


def test_multiply_adds_of_the_published_stems() -> None:
    stems = {name: build(RECIPES[name]()).layers[0].multiply_adds for name in ("addnist-effnet", "cifar100-resnet")}
    assert stems == {"addnist-effnet": 16 * 28 * 28 * 27, "cifar100-resnet": 32 * 32 * 32 * 27}
    generator = build(RECIPES["cifar100-dcgan-44"]()).layers[0]
    assert (generator.type, generator.multiply_adds) == ("ConvTranspose2d 4x4", 110 * 176 * 16)


@pytest.mark.parametrize("name", RECIPES)
def test_contract_of_every_recipe_s_nets(name: str) -> None:
    recipe = RECIPES[name]()
    state = torch.get_rng_state()
    found = build(recipe)
    assert torch.equal(torch.get_rng_state(), state)
    assert found.parameters == count(recipe) == sum(row.parameters for row in found.layers)
    assert found.parameters <= recipe.budget.parameters
    for net, inputs in recipe.net.examples(recipe.data.shape).items():
        found.nets[net](*(tensor.repeat(2, *[1] * (tensor.ndim - 1)) for tensor in inputs)).sum().backward()
    assert [key for key, parameter in found.nets.named_parameters() if parameter.grad is None] == []
    assert len({row.name for row in found.layers}) == len(found.layers)
    fresh, again = initialise(recipe).state_dict(), initialise(recipe).state_dict()
    assert all(torch.equal(again[key], tensor) for key, tensor in fresh.items())
    other = initialise(recipe.replace(seed=1)).state_dict()
    assert any(not torch.equal(other[key], tensor) for key, tensor in fresh.items())


@pytest.mark.parametrize("name", sorted(RECIPES))
def test_multiply_adds_are_those_that_torch_counts(name: str) -> None:
    recipe = RECIPES[name]()
    nets = initialise(recipe).eval()
    for net, inputs in recipe.net.examples(recipe.data.shape).items():
        ours, torchs = Counter(), FlopCounterMode(display=False)
        with torch.no_grad(), ours:
            nets[net](*inputs)
        with torch.no_grad(), torchs:
            nets[net](*inputs)
        assert ours.multiply_adds == torchs.get_total_flops() / 2 > 0


def test_attention_and_matrix_products_are_counted() -> None:
    query, key = torch.zeros(1, 2, 6, 4), torch.zeros(1, 2, 5, 4)
    with Counter() as counter:
        nn.functional.scaled_dot_product_attention(query, key, key)
    assert counter.multiply_adds == 2 * 6 * 5 * (4 + 4)
    with Counter() as counter:
        torch.zeros(3, 6, 4) @ torch.zeros(4, 5)
    assert counter.multiply_adds == 3 * 6 * 4 * 5


def test_a_layer_table_does_not_import_the_compiler() -> None:
    script = (
        "import sys; from shoestring.recipes.papers import cifar100_resnet as r; "
        "from shoestring.model.build import build; build(r()); sys.exit('torch._dynamo' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], timeout=120).returncode == 0
