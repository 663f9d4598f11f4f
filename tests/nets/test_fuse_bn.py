import pytest
import torch
from torch import nn

from shoestring.model.build import initialise
from shoestring.nets.fuse_bn import fuse_conv_bn
from shoestring.nets.mirrored import MirroredBatchNorm2d, MirroredConv2d
from shoestring.nets.resnet import BasicNet
from shoestring.recipes import RECIPES


def stirred(net: nn.Module) -> nn.Module:
    """The net with batch norms as after a training: statistics, scales and shifts of no particular value."""
    generator = torch.Generator().manual_seed(0)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            for tensor, low, high in (
                (module.weight, 0.5, 1.5), (module.bias, -0.5, 0.5),
                (module.running_mean, -0.5, 0.5), (module.running_var, 0.5, 2.0),
            ):  # fmt: skip
                tensor.data.uniform_(low, high, generator=generator)
    return net.eval()


@pytest.mark.parametrize("name", ["cifar100-dcgan-44", "cifar100-dcgan-64", "cifar100-resnet"])
@torch.no_grad()
def test_a_folded_net_computes_the_same_without_batch_norms(name: str) -> None:
    recipe = RECIPES[name]()
    nets = initialise(recipe).to(memory_format=torch.channels_last)
    for net, (example,) in recipe.net.examples(recipe.data.shape).items():
        whole = stirred(nets[net])
        fewer = fuse_conv_bn(whole)
        inputs = torch.randn(3, *example.shape[1:], generator=torch.Generator().manual_seed(1))
        expected = whole(inputs)
        assert torch.allclose(fewer(inputs), expected, rtol=1e-4, atol=1e-5 * float(expected.abs().max()))
        assert not any(isinstance(module, nn.BatchNorm2d) for module in fewer.modules())
        assert any(isinstance(module, nn.BatchNorm2d) for module in whole.modules())


def test_a_mirrored_net_becomes_a_plain_one_that_computes_the_same() -> None:
    net = BasicNet(widths=(4, 6), depths=(1, 1), mirrored=True, features=7).build((3, 12, 12), 5)["classifier"]
    whole = stirred(net)
    fewer = fuse_conv_bn(whole)
    images = torch.randn(3, 3, 12, 12, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(fewer(images), whole(images), rtol=1e-4, atol=1e-5)
    kinds = [type(module) for module in fewer.modules()]
    assert not {MirroredConv2d, MirroredBatchNorm2d, nn.BatchNorm2d} & set(kinds)
    work = [sum(kind is not nn.Identity for kind in map(type, each.modules())) for each in (whole, fewer)]
    assert work[1] == work[0] - 7  # one for each batch norm
    assert any(isinstance(module, MirroredConv2d) for module in whole.modules())


class Doubled(nn.Conv2d):
    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return 2 * super().forward(input)


class Shifted(nn.BatchNorm2d):
    def forward(self, input: torch.Tensor) -> torch.Tensor:
        return super().forward(input) + 1


@pytest.mark.parametrize("layers", [(Doubled(2, 3, 1), nn.BatchNorm2d(3)), (nn.Conv2d(2, 3, 1), Shifted(3))])
@torch.no_grad()
def test_subclasses_that_compute_something_else_are_not_folded(layers: tuple[nn.Module, nn.Module]) -> None:
    net = stirred(nn.Sequential(*layers))
    inputs = torch.randn(2, 2, 5, 5, generator=torch.Generator().manual_seed(0))
    assert torch.equal(fuse_conv_bn(net)(inputs), net(inputs))


def test_norms_that_follow_something_else_stay() -> None:
    net = stirred(nn.Sequential(nn.BatchNorm2d(2), nn.Conv2d(2, 3, 1), nn.ReLU(), nn.BatchNorm2d(3)))
    assert fuse_conv_bn(net) is net
    mixed = stirred(nn.Sequential(nn.Conv2d(2, 3, 1), nn.BatchNorm2d(3), nn.ReLU(), nn.BatchNorm2d(3)))
    assert [type(layer) for layer in fuse_conv_bn(mixed)] == [nn.Conv2d, nn.Identity, nn.ReLU, nn.BatchNorm2d]


def test_a_net_in_training_is_refused() -> None:
    with pytest.raises(AssertionError):
        fuse_conv_bn(nn.Sequential(nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1)).train())
