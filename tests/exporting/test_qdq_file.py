"""Int8 in ONNX: its arithmetic in floats, and what onnxruntime makes of it, beside the simulation."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from shoestring.core.rng import generator, seeded
from shoestring.data.dataset import Signed
from shoestring.exporting.onnx_file import run_onnx
from shoestring.exporting.qdq_file import write_qdq
from shoestring.integers.integer_graph import Convolution, IntegerNet
from shoestring.integers.quantization import quantize
from shoestring.integers.simulation import integer_logits
from shoestring.nets.digit_sum import DigitSum
from shoestring.nets.mbconv import MBConvNet
from shoestring.nets.resnet import BasicNet, BottleneckNet

pytest.importorskip("onnxruntime", reason="the extra is not installed: pip install 'shoestring[onnx]'")
SHAPE = (3, 16, 16)


class Branches(nn.Module):
    """What shipped nets do not do: pools, slices, cat through tables, products of maps, differences."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.left, self.right = nn.Conv2d(8, 6, 3, 2, 1, groups=2), nn.Conv2d(8, 6, 1, 2)
        self.last = nn.Conv2d(12, 5, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.silu(self.first(x))
        left, right = self.left(x).relu(), torch.tanh(self.right(x))
        joined = torch.cat((left - right, nn.functional.max_pool2d(x, 3, 2, 1)[:, :6] * right), 1)
        return self.last(joined * joined.mean((2, 3), keepdim=True).sigmoid()).mean((2, 3))


NETS: dict[str, Callable[[], nn.Module]] = {
    "basic": lambda: BasicNet(widths=(4, 6), depths=(1, 1)).build(SHAPE, 10)["classifier"],
    "bottleneck": lambda: BottleneckNet(widths=(4, 6), depths=(1, 1)).build(SHAPE, 10)["classifier"],
    "mirrored": lambda: BasicNet(widths=(3, 4), depths=(1, 1), mirrored=True).build(SHAPE, 10)["classifier"],
    "mbconv": lambda: MBConvNet(stem=4, widths=(4, 6), depth=1).build(SHAPE, 10)["classifier"],
    "digits": lambda: DigitSum(width=4, depth=1).build(SHAPE, 20)["classifier"],
    "branches": Branches,
}


def quantised(name: str) -> tuple[IntegerNet, Tensor]:
    """A net of random weights in integers, and images unlike those it was calibrated with."""
    with seeded(0, name):
        net = NETS[name]().eval()
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d):
                assert module.running_mean is not None
                module.running_mean.normal_(0, 0.3)
    coarse = torch.rand(72, 3, 4, 4, generator=generator(0, name))
    images = (255 * nn.functional.interpolate(coarse, SHAPE[1:], mode="bilinear")).to(torch.uint8)
    classes = net(torch.zeros(1, *SHAPE)).shape[1]
    return quantize(net, Signed(3), images[:32], classes, name), images[32:]


@pytest.mark.parametrize("name", NETS)
def test_answers_are_those_of_the_simulation_but_for_a_step_now_and_then(name: str, tmp_path: Path) -> None:
    net, images = quantised(name)
    file = tmp_path / "net.onnx"
    write_qdq(net, file, {})
    found = run_onnx(file, ("images",))((images,)).numpy()
    expected = integer_logits(net, images.numpy()) * net.output.scale
    found, expected = (each - each.mean(1, keepdims=True) for each in (found, expected))
    assert found.shape == expected.shape
    # A net that is wrong in one scale or zero point is off by as much as logits vary.
    assert np.sqrt(((found - expected) ** 2).mean()) < 0.03 * expected.std()


@pytest.mark.parametrize("name", ["basic", "mirrored"])
def test_weights_are_there_once_in_int8(name: str, tmp_path: Path) -> None:
    import onnx

    net, _ = quantised(name)
    write_qdq(net, tmp_path / "net.onnx", {"classes": ["a"]})
    model = onnx.load(tmp_path / "net.onnx")
    sizes = [np.prod(each.dims) for each in model.graph.initializer if each.data_type == onnx.TensorProto.INT8]
    weights = [operator.weight.size for operator in net.operators if isinstance(operator, Convolution)]
    assert sorted(size for size in sizes if size > 256) == sorted(size for size in weights if size > 256)
    assert model.metadata_props[0].value == '{"classes":["a"]}'
