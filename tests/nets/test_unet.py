import math

import pytest
import torch
from memory_order import out_of_order

from shoestring.core.errors import RecipeError
from shoestring.nets.summary import layer_table
from shoestring.nets.unet import Attention, ThriftyUNet, UNet, UnitConv, unit_pixels
from shoestring.recipes.generators import cifar100_flow, cifar100_flow_quick

SHAPE = (3, 32, 32)
SMALL = ThriftyUNet(width=32, depths=(2, 2, 3), embedding=16, attention=32)


def make(spec: ThriftyUNet = SMALL, num_classes: int = 5) -> UNet:
    torch.manual_seed(0)
    return spec.build(SHAPE, num_classes)["denoiser"]


def awake(net: UNet) -> UNet:
    """A net in which noise and class matter, as after training."""
    with torch.no_grad():
        net.head.strength.factor.fill_(1)
        net.modulate.gain.fill_(0.5)
    return net


@pytest.mark.parametrize(
    ("spec", "expected"),
    [(ThriftyUNet(), 998_257), (cifar100_flow().net, 996_353), (cifar100_flow_quick().net, 956_993)],
    ids=["default", "flow", "quick"],
)
def test_nets_have_the_parameters_that_were_counted(spec: ThriftyUNet, expected: int) -> None:
    table = layer_table(spec.build(SHAPE, 100), spec.examples(SHAPE))
    total = sum(layer.parameters for layer in table)
    assert total == sum(p.numel() for p in spec.build(SHAPE, 100).parameters()) == expected
    assert cifar100_flow_quick().budget.admit(table) == total


def test_flow_spends_its_budget_within_one_percent() -> None:
    recipe = cifar100_flow()
    total = sum(layer.parameters for layer in layer_table(recipe.net.build(SHAPE, 100), recipe.net.examples(SHAPE)))
    assert 990_000 <= total <= recipe.budget.parameters == 1_000_000
    assert recipe.budget.steps == 50_000


@pytest.mark.parametrize("block", ["bottleneck", "plain"])
def test_blocks_hold_the_weights_their_docstring_says(block: str) -> None:
    net = make(ThriftyUNet(width=32, depths=(2, 2, 3), block=block))
    channels, hidden = 32, 32 if block == "plain" else 16
    expected = 18 * channels**2 if block == "plain" else 2 * channels * hidden + 9 * hidden**2
    assert sum(p.numel() for p in net.up_full[0].parameters()) == expected


def test_untrained_net_gives_zeros_of_the_shape_of_the_image() -> None:
    found = make()(torch.randn(3, *SHAPE), torch.randn(3), torch.tensor([0, 4, -1]))
    assert found.shape == (3, *SHAPE)
    assert not found.any()


def test_deviation_of_activations_stays_near_one_through_the_whole_net() -> None:
    net, stds = awake(make(ThriftyUNet(width=64))), []
    for stage in (net.down_full, net.down_half, net.middle, net.middle_too, net.up_half, net.up_full):
        stage[-1].register_forward_hook(lambda *given: stds.append(given[2].std().item()))
    net(torch.randn(4, *SHAPE), torch.randn(4), torch.arange(4))
    assert len(stds) == 6
    assert min(stds) > 0.7
    assert max(stds) < 1.4


def test_filters_have_the_length_of_the_gain_whatever_the_scale_of_the_weights() -> None:
    torch.manual_seed(0)
    layer = UnitConv(4, 6, 3, gain=1.5)
    delta = torch.zeros(36, 4, 3, 3)
    for index in range(36):
        delta.view(36, 36)[index, index] = 1  # each input picks out one weight of every filter
    weights = layer(delta)[:, :, 1, 1]
    assert weights.square().sum(0).sqrt().allclose(torch.tensor(1.5), rtol=1e-3)
    x = torch.randn(2, 4, 8, 8)
    before = layer(x)
    with torch.no_grad():
        layer.weight.mul_(7)
    assert layer(x).allclose(before, atol=1e-3)


def test_label_that_is_no_class_adds_nothing_and_a_mixture_of_one_class_is_that_class() -> None:
    net = awake(make())
    x, noise = torch.randn(4, *SHAPE), torch.randn(4)
    told = net(x, noise, torch.tensor([0, 1, 2, 2]))
    untold = net(x, noise, torch.full((4,), -1))
    assert not told.allclose(untold, atol=1e-3)
    assert untold.allclose(net(x, noise, torch.zeros(4, 5)), atol=1e-5)
    rows = torch.eye(5)[[0, 1, 2, 2]]
    assert told.allclose(net(x, noise, rows), atol=1e-5)
    with torch.no_grad():
        net.embed.label.weight.normal_()
    assert untold.allclose(net(x, noise, torch.full((4,), -1)), atol=1e-5)


def test_embedding_tells_apart_all_noise_levels_of_the_sampling_grid() -> None:
    net = make()
    levels = torch.linspace(math.log(0.002), math.log(81), 60)
    found = net.embed(levels, torch.full((60,), -1))
    assert torch.pdist(found).min() > 0.05


def test_attention_is_softmax_of_products_of_unit_vectors() -> None:
    torch.manual_seed(0)
    layer, x = Attention(8, 64), torch.randn(2, 8, 3, 4)
    parts = layer.ask(x).reshape(2, 3, 2, 32, 12)  # of queries, keys and values; heads; channels; pixels
    query, key, value = unit_pixels(parts, dimension=3).unbind(1)
    weights = torch.einsum("nhdi,nhdj->nhij", query, key).div(math.sqrt(32)).softmax(-1)
    found = torch.einsum("nhij,nhdj->nhdi", weights, value).reshape(2, 64, 3, 4)
    expected = (0.7 * x + 0.3 * layer.answer(found) / (0.3 / math.hypot(0.3, 0.7))) / math.hypot(0.3, 0.7)
    assert layer(x).allclose(expected, atol=1e-5)


def test_activations_stay_in_channels_last_order() -> None:
    net = awake(make()).to(memory_format=torch.channels_last)
    wrong = out_of_order(net)
    net(torch.randn(2, *SHAPE), torch.randn(2), torch.tensor([0, 1]))
    assert not wrong


def test_patches_are_pixels_of_a_smaller_image_with_more_channels() -> None:
    patched = awake(make(SMALL.replace(patch=2)))
    plain = awake(SMALL.build((12, 16, 16), 5)["denoiser"])
    plain.load_state_dict(patched.state_dict())
    x, noise, labels = torch.randn(3, *SHAPE), torch.randn(3), torch.tensor([0, 4, -1])
    found = patched(x, noise, labels)
    # Channel 4 c + 2 i + j of the smaller image is row i, column j of each patch of channel c.
    corners = x.view(3, 3, 16, 2, 16, 2).permute(0, 1, 3, 5, 2, 4).reshape(3, 12, 16, 16)
    expected = plain(corners, noise, labels).view(3, 3, 2, 2, 16, 16).permute(0, 1, 4, 2, 5, 3).reshape(3, *SHAPE)
    torch.testing.assert_close(found, expected)
    assert found.std() > 0.1


def test_images_that_cannot_be_halved_twice_are_refused() -> None:
    with pytest.raises(RecipeError, match="30x30"):
        SMALL.build((3, 30, 30), 10)
