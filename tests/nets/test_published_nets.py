"""The four published systems, to the parameter: every number here is typed from the papers' tables as reconstructed."""

import pytest
import tiny
import torch
from torch import nn

from shoestring.model.build import build, count
from shoestring.nets.dcgan import RefinedDCGAN
from shoestring.recipes import RECIPES

PUBLISHED = {
    "addnist-effnet": 98_720,
    "cifar100-resnet": 99_364,
    "cifar100-dcgan-44": 998_553,
    "cifar100-dcgan-64": 929_472,
}

# By system and net, for each row of its table: parameters and output shape.
ROWS = {
    ("addnist-effnet", "classifier"): [
        (464, (16, 28, 28)),
        (5_304, (20, 28, 28)),
        (7_580, (20, 28, 28)),
        (7_580, (20, 28, 28)),
        (7_908, (24, 14, 14)),
        (10_632, (24, 14, 14)),
        (10_632, (24, 14, 14)),
        (11_416, (32, 7, 7)),
        (18_272, (32, 7, 7)),
        (18_272, (32, 7, 7)),
        (660, (20,)),
    ],
    ("cifar100-resnet", "classifier"): [
        (928, (32, 32, 32)),
        *(5 * [(1_184, (32, 32, 32))]),
        (6_208, (64, 16, 16)),
        *(3 * [(4_544, (64, 16, 16))]),
        (24_192, (128, 8, 8)),
        (17_792, (128, 8, 8)),
        (17_792, (128, 8, 8)),
        (12_900, (100,)),
    ],
    ("cifar100-dcgan-44", "generator"): [
        (310_288, (176, 4, 4)),
        (248_072, (88, 8, 8)),
        (62_084, (44, 16, 16)),
        (31_108, (44, 32, 32)),
        (1_197, (3, 32, 32)),
    ],
    ("cifar100-dcgan-44", "discriminator"): [
        (1_320, (44, 32, 32)),
        (31_108, (44, 16, 16)),
        (62_216, (88, 8, 8)),
        (248_336, (176, 4, 4)),
        (2_819, (1, 2, 2)),
        (5, (1,)),
    ],
    ("cifar100-dcgan-64", "generator"): [
        (20_480, (128, 4, 4)),
        (147_456, (128, 4, 4)),
        (147_712, (128, 4, 4)),
        (131_072, (64, 8, 8)),
        (36_864, (64, 8, 8)),
        (36_992, (64, 8, 8)),
        (65_536, (64, 16, 16)),
        (36_864, (64, 16, 16)),
        (36_992, (64, 16, 16)),
        (65_664, (64, 32, 32)),
        (1_728, (3, 32, 32)),
    ],
    ("cifar100-dcgan-64 as published", "generator"): [
        (20_736, (128, 4, 4)),
        (147_456, (128, 4, 4)),
        (147_456, (128, 4, 4)),
        (131_200, (64, 8, 8)),
        (36_864, (64, 8, 8)),
        (36_864, (64, 8, 8)),
        (65_664, (64, 16, 16)),
        (36_864, (64, 16, 16)),
        (36_864, (64, 16, 16)),
        (65_664, (64, 32, 32)),
        (1_728, (3, 32, 32)),
    ],
    ("cifar100-dcgan-64", "discriminator"): [
        (3_072, (64, 16, 16)),
        (65_664, (64, 8, 8)),
        (131_328, (128, 4, 4)),
        (2_048, (1, 1, 1)),
    ],
}
SUMS = {
    ("cifar100-dcgan-44", "generator"): 652_749,
    ("cifar100-dcgan-44", "discriminator"): 345_804,
    ("cifar100-dcgan-64", "generator"): 727_360,
    ("cifar100-dcgan-64 as published", "generator"): 727_360,
    ("cifar100-dcgan-64", "discriminator"): 202_112,
}


@pytest.fixture(scope="module")
def built():
    literal = RECIPES["cifar100-dcgan-64"]().replace(**tiny.AS_PUBLISHED)
    return {name: build(RECIPES[name]()) for name in PUBLISHED} | {"cifar100-dcgan-64 as published": build(literal)}


@pytest.mark.parametrize("name", PUBLISHED)
def test_parameters_are_exactly_the_published_ones(name, built) -> None:
    found = built[name]
    assert found.parameters == PUBLISHED[name]
    assert sum(layer.parameters for layer in found.layers) == PUBLISHED[name]
    assert sum(p.numel() for p in found.nets.parameters()) == PUBLISHED[name]
    assert count(RECIPES[name]()) == PUBLISHED[name]


@pytest.mark.parametrize(("name", "net"), ROWS)
def test_every_row_of_the_layer_table(name, net, built) -> None:
    rows: list[tuple[int, tuple[int, ...]]] = []
    last = None
    for layer in built[name].layers:
        if layer.name.split(".")[0] != net:
            continue
        # A block of a classifier is a row; in a GAN each layer is, together with its batch norm.
        place = layer.name.split(".")[1]
        joins = place == last if net == "classifier" else layer.type == "BatchNorm2d"
        rows.append((layer.parameters + rows.pop()[0] if joins else layer.parameters, layer.output))
        last = place
    assert [row[0] for row in rows] == [row[0] for row in ROWS[name, net]]
    assert [row[1] for row in rows][-1] == ROWS[name, net][-1][1]
    if net != "classifier":
        assert rows == ROWS[name, net]
    assert sum(row[0] for row in rows) == (SUMS.get((name, net)) or PUBLISHED[name])


@pytest.mark.parametrize("name", ["addnist-effnet", "cifar100-resnet"])
def test_shapes_between_the_blocks_of_classifiers(name, built) -> None:
    recipe, x = RECIPES[name](), torch.zeros(2, *RECIPES[name]().data.shape)
    for block, (_, output) in zip(built[name].nets["classifier"].eval(), ROWS[name, "classifier"], strict=True):
        x = block(x)
        assert x.shape == (2, *output)
    assert x.shape[1] == len(recipe.data.classes)


@pytest.mark.parametrize("name", ["cifar100-dcgan-44", "cifar100-dcgan-64"])
def test_generators_make_images_in_range_and_discriminators_one_logit_each(name, built) -> None:
    nets = built[name].nets
    latent = {"cifar100-dcgan-44": 110, "cifar100-dcgan-64": 10}[name]
    images = nets["generator"](torch.randn(5, latent))
    assert images.shape == (5, 3, 32, 32)
    assert images.abs().max() <= 1
    assert nets["discriminator"](images).shape == (5,)


@pytest.mark.parametrize("name", ["cifar100-dcgan-44", "cifar100-dcgan-64 as published"])
def test_dcgan_initialisation(name, built) -> None:
    for module in built[name].nets.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d) and module.weight.numel() > 1_000:
            assert module.weight.mean().item() == pytest.approx(0, abs=0.003)
            assert module.weight.std().item() == pytest.approx(0.02, rel=0.1)
        if isinstance(module, nn.BatchNorm2d) and module.num_features > 40:
            assert module.weight.mean().item() == pytest.approx(1, abs=0.01)
            assert module.weight.std().item() == pytest.approx(0.02, rel=0.4)
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.BatchNorm2d) and module.bias is not None:
            assert not module.bias.any()


def test_torchs_own_initialisation_is_left_as_it_is() -> None:
    torch.manual_seed(0)
    nets = RefinedDCGAN(initialisation="torch").build((3, 32, 32), 100)
    for module in nets.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.weight.eq(1).all()
        if isinstance(module, nn.Conv2d):  # uniform in ± sqrt(1 / fan-in)
            bound = (module.weight[0].numel()) ** -0.5
            assert 0.9 * bound < module.weight.abs().max() <= bound


@pytest.mark.parametrize(
    ("order", "stage"),
    [("norm-first", "TNACLCL"), ("norm-between", "TCNACL"), ("norm-last", "TCLCNA")],
)
def test_a_stage_of_the_refined_dcgan_has_its_norm_where_the_order_says_and_costs_the_same(order, stage) -> None:
    letters = {"ConvTranspose2d": "T", "BatchNorm2d": "N", "ReLU": "A", "Conv2d": "C", "LeakyReLU": "L"}
    nets = RefinedDCGAN(order=order, refinement="leaky-relu").build((3, 32, 32), 100)
    types = "".join(letters.get(type(module).__name__, "-") for module in nets["generator"])
    assert types == f"-{3 * stage}TNAC-"
    assert sum(p.numel() for p in nets.parameters()) == PUBLISHED["cifar100-dcgan-64"]


def test_only_the_refined_dcgan_is_without_biases(built) -> None:
    convolutions = {
        name: [m for m in built[name].nets.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
        for name in ("cifar100-dcgan-44", "cifar100-dcgan-64")
    }
    assert all(m.bias is not None for m in convolutions["cifar100-dcgan-44"])
    assert all(m.bias is None for m in convolutions["cifar100-dcgan-64"])


def test_activations_of_the_systems(built) -> None:
    kinds = {
        name: {type(m) for m in built[name].nets.modules() if type(m).__module__ == "torch.nn.modules.activation"}
        for name in PUBLISHED
    }
    assert kinds["addnist-effnet"] == {nn.SiLU, nn.Sigmoid}
    assert kinds["cifar100-resnet"] == {nn.SiLU}
    assert kinds["cifar100-dcgan-44"] == kinds["cifar100-dcgan-64"] == {nn.ReLU, nn.LeakyReLU, nn.Tanh}


def test_residual_connections_of_mbconv_only_where_the_shape_is_kept(built) -> None:
    blocks = list(built["addnist-effnet"].nets["classifier"])[1:10]
    assert [block.residual for block in blocks] == [False, True, True] * 3
    block, x = blocks[1].eval(), torch.randn(1, 20, 6, 6)
    inner = block.project(block.excite(block.depthwise(block.expand(x))))
    assert torch.equal(block(x), x + inner)


def test_squeeze_and_excitation_scales_channels_by_gates_of_their_means(built) -> None:
    excite = built["addnist-effnet"].nets["classifier"][1].excite
    first, second = (m for m in excite.gate if isinstance(m, nn.Conv2d))
    assert (first.in_channels, first.out_channels) == (64, 16)  # hidden / 4
    x = torch.randn(2, 64, 5, 5)
    hidden = torch.nn.functional.silu(x.mean((2, 3)) @ first.weight.flatten(1).T + first.bias)
    gates = torch.sigmoid(hidden @ second.weight.flatten(1).T + second.bias)
    torch.testing.assert_close(excite(x), x * gates[:, :, None, None])


def test_bottlenecks_add_their_input_before_the_last_activation(built) -> None:
    blocks = built["cifar100-resnet"].nets["classifier"]
    same, changed = blocks[1].eval(), blocks[6].eval()
    x = torch.randn(1, 32, 8, 8)
    torch.testing.assert_close(same(x), torch.nn.functional.silu(same.residual(x) + x))
    assert isinstance(changed.shortcut[0], nn.Conv2d)
    assert changed(x).shape == (1, 64, 4, 4)


def test_dcgans_refuse_images_they_cannot_make() -> None:
    from shoestring.core.errors import RecipeError

    for name in ("cifar100-dcgan-44", "cifar100-dcgan-64"):
        with pytest.raises(RecipeError, match="makes 32x32 images, the data has 28x28"):
            RECIPES[name]().net.build((3, 28, 28), 20)
