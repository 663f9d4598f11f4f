import pytest
import torch
from pydantic import ValidationError

from shoestring.data.dataset import Signed
from shoestring.integers.limits import limits_of
from shoestring.nets.resnet import BasicNet
from shoestring.nets.separable import SeparableBlock, SeparableNet
from shoestring.nets.summary import layer_table


def test_parameters_and_multiply_adds() -> None:
    spec = SeparableNet()
    table = layer_table(spec.build((3, 32, 32), 100), spec.examples((3, 32, 32)))
    assert sum(layer.parameters for layer in table) == 77_588
    assert sum(layer.multiply_adds for layer in table) == 2_426_048
    # Stem 3*9*4 + 8; a block of 4: 4*9 + 8 + 4*4 + 8; one of 4 to 6: 4*9 + 8 + 4*6 + 12; head 6*5 + 5.
    small = SeparableNet(widths=(4, 6), depths=(1, 1))
    counted = sum(p.numel() for p in small.build((3, 8, 8), 5).parameters())
    assert counted == 116 + 68 + 80 + 35


@pytest.mark.parametrize("spec", [SeparableNet(stem_stride=4), BasicNet(stem_stride=4)])
def test_strided_stems_take_large_images(spec: SeparableNet | BasicNet) -> None:
    table = layer_table(spec.build((3, 128, 128), 5), spec.examples((3, 128, 128)))
    assert table[0].type == "Conv2d 5x5 s4"
    assert table[0].output == (spec.widths[0], 32, 32)


def test_a_block_starts_as_the_identity_where_it_keeps_the_shape() -> None:
    images = torch.rand(2, 4, 8, 8)
    assert torch.equal(SeparableBlock(4, 4, 1, 3)(images), images)
    assert SeparableBlock(4, 6, 2, 3)(images).shape == (2, 6, 4, 4)


def test_what_a_device_needs_is_known_before_training() -> None:
    """Weights and norms that start at zero do not hide anything: the same numbers as of weights that are not."""
    net = SeparableNet(widths=(8, 12), depths=(2, 2)).build((3, 16, 16), 5)["classifier"]
    fresh = limits_of(net, (3, 16, 16), Signed(3), 5, "fresh")
    for parameter in net.parameters():
        torch.nn.init.normal_(parameter)
    assert limits_of(net, (3, 16, 16), Signed(3), 5, "trained") == fresh
    assert fresh.multiply_adds == sum(
        layer.multiply_adds
        for layer in layer_table(torch.nn.ModuleDict({"classifier": net}), {"classifier": (torch.zeros(1, 3, 16, 16),)})
    )


def test_what_makes_no_sense_is_refused() -> None:
    with pytest.raises(ValidationError, match="no centre"):
        SeparableNet(kernel_size=4)
    with pytest.raises(ValidationError, match="one number per stage"):
        SeparableNet(depths=(1, 1))
