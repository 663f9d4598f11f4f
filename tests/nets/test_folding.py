import pytest
import torch
from torch import nn

from shoestring.nets.folding import folded
from shoestring.recipes import RECIPES
from shoestring.training.build import initialise


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
        fewer = folded(whole)
        inputs = torch.randn(3, *example.shape[1:], generator=torch.Generator().manual_seed(1))
        expected = whole(inputs)
        assert torch.allclose(fewer(inputs), expected, rtol=1e-4, atol=1e-5 * float(expected.abs().max()))
        assert not any(isinstance(module, nn.BatchNorm2d) for module in fewer.modules())
        assert any(isinstance(module, nn.BatchNorm2d) for module in whole.modules())


def test_norms_that_follow_something_else_stay() -> None:
    net = stirred(nn.Sequential(nn.BatchNorm2d(2), nn.Conv2d(2, 3, 1), nn.ReLU(), nn.BatchNorm2d(3)))
    assert folded(net) is net
    mixed = stirred(nn.Sequential(nn.Conv2d(2, 3, 1), nn.BatchNorm2d(3), nn.ReLU(), nn.BatchNorm2d(3)))
    assert [type(layer) for layer in folded(mixed)] == [nn.Conv2d, nn.Identity, nn.ReLU, nn.BatchNorm2d]


def test_a_net_in_training_is_refused() -> None:
    with pytest.raises(AssertionError):
        folded(nn.Sequential(nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1)).train())
