import pytest
import torch
import torch.nn.functional as F
from pydantic import ValidationError
from torch import nn

from shoestring.nets.mixconv import Depthwise, MixBlock, MixConvNet, MixedDepthwise
from shoestring.nets.summary import layer_table

SHAPE = (3, 32, 32)
SMALL = MixConvNet(widths=(8, 16), hidden=(8, 8), depths=(1, 2))


def count(spec: MixConvNet, num_classes: int = 100) -> int:
    table = layer_table(spec.build(SHAPE, num_classes), spec.examples(SHAPE))
    total = sum(layer.parameters for layer in table)
    assert total == sum(p.numel() for p in spec.build(SHAPE, num_classes).parameters())
    return total


def closed_form(spec: MixConvNet, num_classes: int = 100) -> int:
    """Stem, blocks, steps down, head; every norm has two parameters a channel."""
    total, before = 3 * 9 * spec.widths[0] + 2 * spec.widths[0], spec.widths[0]
    for stage, (width, hidden, depth) in enumerate(zip(spec.widths, spec.hidden, spec.depths, strict=True)):
        if stage:
            total += before * width + 2 * width
        look = width // 4 * (9 + 49 + 49) + 2 * width + width
        total += depth * (spec.repeats * look + 3 * width * hidden)
        before = width
    return total + 2 * before + (before + 1) * num_classes


@pytest.mark.parametrize(
    ("spec", "parameters"),
    [
        (MixConvNet(), 97_652),
        (MixConvNet(hidden=(40, 64), repeats=2), 99_860),
        (MixConvNet(widths=(24, 40), hidden=(24, 32), depths=(3, 2)), 23_302),
    ],
)
def test_parameters_are_those_of_the_closed_form(spec: MixConvNet, parameters: int) -> None:
    assert count(spec) == closed_form(spec) == parameters


def test_full_kernel_is_the_same_convolution() -> None:
    torch.manual_seed(0)
    for size, dilation in ((3, 1), (7, 1), (7, 3)):
        layer, images = Depthwise(5, size, dilation).double(), torch.randn(2, 5, 16, 16, dtype=torch.float64)
        full = F.conv2d(images, layer.full_kernel(), padding=layer.padding, dilation=layer.dilation)
        torch.testing.assert_close(full, layer(images))
        assert torch.equal(layer.full_kernel().count_nonzero(), torch.tensor(layer.weight.numel()))


@pytest.mark.parametrize(("channels", "size", "dilation"), [(2, 7, 3), (12, 7, 3), (12, 7, 1), (12, 3, 1)])
def test_gradients_under_autocast_are_those_of_float64(channels: int, size: int, dilation: int) -> None:
    torch.manual_seed(0)
    layer = Depthwise(channels, size, dilation).to(memory_format=torch.channels_last)
    images, downstream = torch.randn(2, 4, channels, 32, 32).to(torch.bfloat16)
    expected = layer.weight.detach().double().requires_grad_()
    padding, groups = layer.padding, layer.groups
    F.conv2d(images.double(), expected, padding=padding, dilation=dilation, groups=groups).backward(downstream.double())
    with torch.autocast("cpu", torch.bfloat16):
        found = layer(images.contiguous(memory_format=torch.channels_last))
    assert found.dtype == torch.bfloat16
    found.backward(downstream)
    torch.testing.assert_close(layer.weight.grad.double(), expected.grad, rtol=1e-3, atol=1e-2)


def test_each_quarter_of_the_channels_sees_its_own_distance() -> None:
    layer = MixedDepthwise(8)
    for convolution in (m for m in layer.modules() if isinstance(m, Depthwise)):
        nn.init.ones_(convolution.weight)
    point = torch.zeros(1, 8, 25, 25)
    point[:, :, 12, 12] = 1
    seen = layer(point)[0].count_nonzero((1, 2))
    assert seen.tolist() == [1, 1, 9, 9, 49, 49, 21 * 21, 21 * 21]


def test_block_adds_its_scaled_input() -> None:
    torch.manual_seed(0)
    block, images = MixBlock(8, 4, repeats=1).eval(), torch.randn(2, 8, 6, 6)
    with torch.no_grad():
        block.scales[0].copy_(torch.arange(8))
        found = block(images)
        gate, value = block.expand(block.looks[0](images)).split(4, 1)
        added = block.project(gate * gate.sigmoid() * value)
    torch.testing.assert_close(found, added + images * torch.arange(8).view(1, 8, 1, 1))


def test_repeated_block_is_two_blocks_that_share_their_gated_layer() -> None:
    torch.manual_seed(0)
    twice, images = MixBlock(8, 4, repeats=2).eval(), torch.randn(2, 8, 6, 6)
    first, second = MixBlock(8, 4, repeats=1).eval(), MixBlock(8, 4, repeats=1).eval()
    for index, once in enumerate((first, second)):
        once.looks[0].load_state_dict(twice.looks[index].state_dict())
        once.expand.load_state_dict(twice.expand.state_dict())
        once.project.load_state_dict(twice.project.state_dict())
    torch.testing.assert_close(twice(images), second(first(images)))


def test_every_parameter_receives_a_gradient() -> None:
    torch.manual_seed(0)
    net = MixConvNet(widths=(8, 16), hidden=(8, 8), depths=(1, 1), repeats=2).build(SHAPE, 7)["classifier"]
    net(torch.randn(4, *SHAPE)).square().sum().backward()
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().max() > 0, name


def test_half_precision_stays_half_between_the_blocks() -> None:
    net = SMALL.build(SHAPE, 10)["classifier"]
    kinds: list[torch.dtype] = []
    for block in (m for m in net.modules() if isinstance(m, MixBlock)):
        block.register_forward_hook(lambda *given: kinds.append(given[2].dtype))
    with torch.autocast("cpu", torch.bfloat16):
        net(torch.randn(2, *SHAPE))
    assert kinds == [torch.bfloat16] * 3


def test_later_stages_halve_the_resolution() -> None:
    table = layer_table(SMALL.build(SHAPE, 10), SMALL.examples(SHAPE))
    sides = [layer.output[1] for layer in table if "expand" in layer.name]
    assert sides == [32, 16, 16]


def test_stages_of_different_counts_are_refused() -> None:
    with pytest.raises(ValidationError, match="one number per stage, got 2, 3 and 2"):
        MixConvNet(hidden=(48, 72, 72))
