from collections.abc import Generator

import pytest
import torch
from torch import Tensor, nn

from shoestring.nets.mirrored import (
    MirroredBatchNorm2d,
    MirroredConv2d,
    MirroredToImage,
    TwinMean,
    mirrored_conv_norm,
    mirrored_head,
)
from shoestring.nets.resnet import BasicNet
from shoestring.nets.summary import layer_table


@pytest.fixture(autouse=True)
def seeded() -> Generator[None]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def moved(net: nn.Module) -> nn.Module:
    """The net in float64, with statistics, scales and shifts that tell every channel from every other."""
    net = net.double()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            for tensor in (module.weight, module.bias, module.running_mean, module.running_var):
                assert tensor is not None
                tensor.data.uniform_(0.5, 1.5)
    return net


def twins_of(x: Tensor) -> Tensor:
    """What a mirrored image makes of features and twins: halves swapped, each mirrored."""
    return x.roll(x.shape[1] // 2, 1).flip(-1)


@pytest.mark.parametrize("kernel_size", [1, 3, 5])
def test_mirroring_the_image_swaps_features_and_twins(kernel_size: int) -> None:
    net = moved(nn.Sequential(
        mirrored_conv_norm(3, 4, 3, 1, nn.ReLU(), of_image=True), mirrored_conv_norm(4, 5, kernel_size)
    )).eval()  # fmt: skip
    images = torch.rand(2, 3, 9, 8).double()
    torch.testing.assert_close(net(images.flip(-1)), twins_of(net(images)))
    assert net(images).shape == (2, 10, 9, 8)
    assert not torch.allclose(net(images)[:, :5], net(images)[:, 5:], atol=1e-3), "twins are not copies"


def test_a_classifier_answers_alike_for_an_image_and_its_mirror_image() -> None:
    spec = BasicNet(widths=(4,), depths=(2,), mirrored=True, features=7)
    net = moved(spec.build((3, 12, 12), 5)["classifier"]).eval()
    images = torch.rand(3, 3, 12, 12).double()
    torch.testing.assert_close(net(images.flip(-1)), net(images))
    plain = moved(BasicNet(widths=(4,), depths=(2,), features=7).build((3, 12, 12), 5)["classifier"]).eval()
    assert not torch.allclose(plain(images.flip(-1)), plain(images), atol=1e-4)


def test_gradients_are_those_of_a_plain_net_built_of_the_same_kernels() -> None:
    """Each kernel's gradient is the sum of those of its two copies in the plain net, brought back to its place."""
    first, second = MirroredConv2d(3, 4, 3, of_image=True).double(), MirroredConv2d(8, 5, 3).double()
    plain = nn.Sequential(first.plain(), nn.Tanh(), second.plain())
    images, weights = torch.rand(2, 3, 6, 6).double(), torch.rand(2, 10, 6, 6).double()
    out = nn.Sequential(first, nn.Tanh(), second)(images)
    torch.testing.assert_close(out, plain(images))
    (out * weights).sum().backward()
    (plain(images) * weights).sum().backward()
    for conv, layer in ((first, plain[0]), (second, plain[2])):
        whole = layer.get_parameter("weight").grad
        assert whole is not None
        as_seen, twin = whole.chunk(2)
        twin = twin.flip(-1) if conv.of_image else twin.flip(-1).roll(conv.in_channels // 2, 1)
        torch.testing.assert_close(conv.weight.grad, as_seen + twin)


def test_features_to_an_image_and_back_mirror_with_what_they_get() -> None:
    """With biases, which twins share; gradients too are those of plain convolutions with the whole kernels."""
    layers = nn.Sequential(MirroredConv2d(3, 4, 3, of_image=True, bias=True), nn.Tanh(), MirroredToImage(8, 2, 3))
    layers = layers.double()
    plain = nn.Sequential(layers[0].plain(), nn.Tanh(), layers[2].plain())
    images, weights = torch.rand(2, 3, 6, 5).double(), torch.rand(2, 2, 6, 5).double()
    torch.testing.assert_close(layers(images.flip(-1)), layers(images).flip(-1))
    for net in (layers, plain):
        (net(images) * weights).sum().backward()
    torch.testing.assert_close(layers(images), plain(images))
    whole = {name: parameter.grad for name, parameter in plain.named_parameters()}
    features, twins = whole["2.weight"].chunk(2, 1)
    torch.testing.assert_close(layers[2].weight.grad, features + twins.flip(-1))
    torch.testing.assert_close(layers[2].bias.grad, whole["2.bias"])
    torch.testing.assert_close(layers[0].bias.grad, sum(whole["0.bias"].chunk(2)))


@pytest.mark.parametrize("affine", [True, False])
def test_the_plain_norm_computes_the_same_in_evaluation_mode(affine: bool) -> None:
    norm = MirroredBatchNorm2d(3, affine=affine)
    for _ in range(3):
        norm(torch.randn(8, 6, 4, 4) * torch.arange(1, 7).view(6, 1, 1))
    moved_norm = norm.eval()
    x = torch.randn(2, 6, 4, 4)
    torch.testing.assert_close(moved_norm.plain()(x), moved_norm(x))
    mean, variance = moved_norm.statistics()
    assert torch.equal(mean[:3], mean[3:])
    assert torch.equal(variance[:3], variance[3:])


def test_statistics_of_training_are_those_of_batch_norm() -> None:
    norm, usual = MirroredBatchNorm2d(3), nn.BatchNorm2d(6)
    x = torch.randn(8, 6, 4, 4)
    torch.testing.assert_close(norm(x), usual(x))
    torch.testing.assert_close(norm.running_mean, usual.running_mean)
    torch.testing.assert_close(norm.running_var, usual.running_var)


def test_the_mean_of_twins() -> None:
    assert TwinMean()(torch.tensor([[1.0, 2.0, 5.0, 10.0]])).tolist() == [[3.0, 6.0]]


def test_counts_are_exact_and_work_is_that_of_the_whole_kernels() -> None:
    """Summed by hand, layer by layer; multiply-adds of two layers."""
    spec = BasicNet(widths=(11, 22, 36), mirrored=True, features=60)
    nets = spec.build((3, 32, 32), 100)
    stem = 11 * 3 * 9 + 22
    stages = [2 * (w * 2 * w * 9 + 2 * w) for w in (11, 22, 36)]
    joints = [22 * 22 * 9 + 44, 36 * 44 * 9 + 72]
    head = 60 * 72 + 120 + 120 + 60 * 100 + 100
    assert sum(p.numel() for p in nets.parameters()) == stem + sum(stages) + sum(joints) + head == 98_419
    rows = layer_table(nets, spec.examples((3, 32, 32)))
    convs = [row for row in rows if row.type.startswith("MirroredConv2d")]
    assert convs[0].multiply_adds == 22 * 32 * 32 * 27
    assert convs[1].multiply_adds == 22 * 32 * 32 * 22 * 9


def test_head_has_the_layers_of_a_plain_one_but_for_twins() -> None:
    x = torch.rand(4, 6, 3, 3)
    assert nn.Sequential(*mirrored_head(3, 5))(x).shape == (4, 5)
