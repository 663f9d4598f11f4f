"""Nets of torch in integers: their graphs compute the same, and int8 loses little."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from shoestring import zoo
from shoestring.core.errors import DataError, ShoestringError
from shoestring.core.rng import generator, seeded
from shoestring.core.run import Run
from shoestring.data.dataset import Signed
from shoestring.integers.graph import Graph, evaluate
from shoestring.integers.integer_graph import IMAGE, IntegerNet
from shoestring.integers.integer_graph import Convolution as IntegerConvolution
from shoestring.integers.quantization import quantize, require_accurate
from shoestring.integers.simulation import integer_logits
from shoestring.integers.tracing import graph_of
from shoestring.model.load import load
from shoestring.model.model import Model, require_classifier
from shoestring.nets.digit_sum import DigitSum
from shoestring.nets.mbconv import MBConvNet
from shoestring.nets.mixconv import MixConvNet
from shoestring.nets.resnet import BasicNet, BottleneckNet
from shoestring.nets.separable import SeparableNet

SHAPE = (3, 16, 16)


class Mixed(nn.Module):
    """What users write: several branches, reshaping by hand, functions of many kinds, a head without linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding="same")
        self.norm = nn.BatchNorm2d(8)
        self.left, self.right = nn.Conv2d(8, 6, 3, 2, 1, groups=2), nn.Conv2d(8, 6, 1, 2)
        self.pool = nn.Sequential(nn.MaxPool2d(3, 2, 1), nn.Conv2d(8, 6, 1), nn.Hardswish())
        self.scale = nn.Parameter(torch.tensor([0.5, 1.5, 1.0, 2.0, 0.7, 0.9]))
        self.last = nn.Conv2d(12, 5, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.leaky_relu(self.norm(self.first(x)), 0.1)
        both = torch.clamp(self.left(x), 0, 6) - torch.tanh(self.right(x))
        joined = torch.cat((both * self.scale.view(1, -1, 1, 1), self.pool(x) + both), dim=1)
        gate = joined.mean((2, 3), keepdim=True).sigmoid()
        return nn.functional.relu(self.last(nn.functional.avg_pool2d(gate * joined, 2) / 2 + 0.25)).mean((-1, -2))


def chain() -> nn.Module:
    return nn.Sequential(
        *(nn.BatchNorm2d(3), nn.Conv2d(3, 8, 3), nn.BatchNorm2d(8), nn.ReLU6(), nn.AvgPool2d(2), nn.Dropout(0.2)),
        *(nn.Conv2d(8, 6, 3, dilation=2), nn.GELU(), nn.Flatten(), nn.Linear(54, 20, bias=False), nn.BatchNorm1d(20)),
        *(nn.ReLU(), nn.Linear(20, 10), nn.LogSoftmax(1)),
    )


NETS: dict[str, Callable[[], nn.Module]] = {
    "basic": lambda: BasicNet(widths=(4, 6), depths=(1, 1)).build(SHAPE, 10)["classifier"],
    "silu": lambda: BasicNet(widths=(4, 6), depths=(1, 1), activation="silu").build(SHAPE, 10)["classifier"],
    "mirrored": lambda: BasicNet(widths=(3, 4), depths=(1, 1), mirrored=True).build(SHAPE, 10)["classifier"],
    "bottleneck": lambda: BottleneckNet(widths=(8, 12), depths=(1, 2)).build(SHAPE, 10)["classifier"],
    "mbconv": lambda: MBConvNet(stem=4, widths=(4, 6), depth=2).build(SHAPE, 10)["classifier"],
    "mixconv": lambda: MixConvNet(widths=(8, 8), hidden=(6, 6), depths=(1, 1)).build(SHAPE, 10)["classifier"],
    "separable": lambda: SeparableNet(widths=(6, 8), depths=(1, 2), stem_stride=2).build(SHAPE, 10)["classifier"],
    "strided": lambda: BasicNet(widths=(4, 6), depths=(1, 1), stem_stride=4).build(SHAPE, 10)["classifier"],
    "digit-sum": lambda: DigitSum(width=4, stem_stride=2).build(SHAPE, 20)["classifier"],
    "mixed": Mixed,
    "chain": chain,
}


def made(name: str) -> nn.Module:
    """A net with the statistics and scales of a trained one, in evaluation mode."""
    with seeded(0, name):
        net = NETS[name]()
        for module in net.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                assert module.running_mean is not None
                assert module.running_var is not None
                module.running_mean.normal_(0, 0.3)
                module.running_var.uniform_(0.5, 2)
                nn.init.uniform_(module.weight, 0.5, 1.5)
                nn.init.normal_(module.bias, 0, 0.3)
    return net.eval()


def images(count: int) -> Tensor:
    coarse = torch.rand(count, 3, 4, 4, generator=generator(0, "coarse"))
    return (255 * nn.functional.interpolate(coarse, SHAPE[1:], mode="bilinear")).to(torch.uint8)


def answers(graph: Graph, pixels: Tensor) -> Tensor:
    values = {IMAGE: pixels.double()}
    for node in graph.nodes:
        values[node.output] = evaluate(node, values)
    return values[graph.nodes[-1].output].flatten(1)


@pytest.mark.parametrize("name", NETS)
def test_a_graph_computes_what_the_net_does(name: str) -> None:
    net, pixels = made(name).double(), images(4)
    graph = graph_of(made(name), SHAPE, Signed(3), name)
    seen = pixels.double() / 255 * 2 - 1
    with torch.no_grad():
        if graph.reads_digits:
            pixels, seen = pixels[:, :1], seen[:, :1]
            net = net.get_submodule("reader")
        expected = net(seen).log_softmax(1)
    torch.testing.assert_close(answers(graph, pixels).log_softmax(1), expected, rtol=1e-5, atol=1e-5)


def test_batch_norms_leave_nothing_behind() -> None:
    """Not even between the mean of twins and the linear layer: a mirrored net has its own layers and no more."""
    kinds = [type(node).__name__ for node in graph_of(made("mirrored"), SHAPE, Signed(3), "mirrored").nodes]
    convolutions = sum(isinstance(module, nn.Conv2d | nn.Linear) for module in made("mirrored").modules())
    assert kinds.count("Convolution") == convolutions
    assert kinds[convolutions - 1 :] == ["Mean", "Slice", "Slice", "Add", "Convolution"]


def shipped(name: str) -> Model:
    return load(Run(zoo.FOLDER / name), "cpu")


@pytest.mark.parametrize(("name", "others"), [("cifar100-plain", 1), ("cifar100-best", 4), ("cifar100-best-small", 4)])
def test_shipped_nets_keep_their_classes_on_images_that_were_never_seen(name: str, others: int) -> None:
    """Answers to made-up images: nearly all, and each of which the float net is sure."""
    model = require_classifier(shipped(name)).with_views(1)
    coarse = torch.rand(384, 3, 5, 5, generator=generator(0, "images"))
    pixels = (255 * nn.functional.interpolate(coarse, (32, 32), mode="bilinear")).to(torch.uint8)
    # Of 96 images to choose ranges by, which were enough for plain kernels, the mirrored nets got worse ones.
    seen, unseen = pixels[:256], pixels[256:]
    net = quantize(model.nets["classifier"], model.recipe.normalisation, seen, 100, "small")
    before, after = model.logits(unseen), torch.from_numpy(integer_logits(net, unseen.numpy()))
    real = after * net.output.scale
    error = (real - before).square().mean() / before.var()
    assert error < 0.01
    assert (after.argmax(1) == before.argmax(1)).float().mean() > 0.85
    best, next_best = before.topk(2).values.unbind(1)
    sure = best - next_best > 0.2 * before.std()
    assert sure.sum() > 30
    assert torch.equal(after.argmax(1)[sure], before.argmax(1)[sure])
    assert sum(isinstance(operator, IntegerConvolution) for operator in net.operators) == len(net.operators) - others
    assert [op.residual is not None for op in net.operators if isinstance(op, IntegerConvolution)].count(True) == 3


def test_what_integers_cannot_hold_is_named() -> None:
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.GroupNorm(2, 4), nn.Flatten(), nn.Linear(4 * 14 * 14, 10)).eval()
    with pytest.raises(ShoestringError, match=r"mine: int8 has no operator for 'group_norm' in .*ONNX holds it"):
        graph_of(net, SHAPE, Signed(3), "mine")


def test_more_than_a_point_lost_is_refused() -> None:
    net = IntegerNet((1, 1, 1), {}, (), 1, None, {"largest_error_in": "conv2d_3", "largest_error": "0.412"})
    require_accurate(net, 0.633, 0.6231, 10_000)
    with pytest.raises(ShoestringError, match=r"loses 1.3 points of accuracy: 63.30 % before, 62.00 % after.*conv2d_3"):
        require_accurate(net, 0.633, 0.62, 10_000)


def test_no_images_are_refused() -> None:
    with pytest.raises(DataError, match="needs images"):
        quantize(nn.Identity(), Signed(3), torch.zeros(0, 3, 32, 32, dtype=torch.uint8), 10, "none")
