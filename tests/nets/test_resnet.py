import pytest
import torch
from pydantic import ValidationError

from shoestring.nets.resnet import BasicBlock, BasicNet
from shoestring.nets.summary import layer_table

SHAPE = (3, 32, 32)


@pytest.mark.parametrize(
    ("spec", "num_classes", "parameters"),
    [
        (BasicNet(), 100, 97_732),
        (BasicNet(widths=(8, 16, 25)), 100, 24_922),
        # Stem 3*9*4 + 8; block 2*(4*9*4 + 8); step 4*9*6 + 12; 2 blocks of 2*(6*9*6 + 12); norm 12; head 6*5 + 5.
        (BasicNet(widths=(4, 6), depths=(1, 2)), 5, 116 + 304 + 228 + 1344 + 12 + 35),
    ],
)
def test_parameters(spec: BasicNet, num_classes: int, parameters: int) -> None:
    table = layer_table(spec.build(SHAPE, num_classes), spec.examples(SHAPE))
    assert sum(layer.parameters for layer in table) == parameters


def test_every_stage_but_the_first_halves_the_resolution() -> None:
    spec = BasicNet(widths=(4, 6, 8), depths=(1, 1, 2))
    outputs = [
        layer.output for layer in layer_table(spec.build(SHAPE, 5), spec.examples(SHAPE)) if "Conv" in layer.type
    ]
    assert outputs == [(4, 32, 32)] * 3 + [(6, 16, 16)] * 3 + [(8, 8, 8)] * 5


def test_block_starts_as_the_identity_and_learns_both_convolutions_after_its_norm() -> None:
    torch.manual_seed(0)
    block, images = BasicBlock(4), torch.rand(2, 4, 8, 8)
    assert torch.equal(block(images), images)
    torch.nn.init.ones_(block.residual[1][1].weight)
    block(images).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in block.parameters() if p.ndim == 4)


def test_silu_follows_what_relu_would() -> None:
    """Every convolution but the second of a block, and every sum: so its least output is SiLU's, not 0."""
    spec = BasicNet(widths=(4, 6), depths=(1, 2), features=5)
    calls = {}
    for name in ("relu", "silu"):
        net = spec.replace(activation=name).build(SHAPE, 5)["classifier"]
        kinds = (torch.nn.ReLU, torch.nn.SiLU)
        seen = [type(module) for module in net.modules() if isinstance(module, kinds)]
        assert set(seen) == {kinds[name == "silu"]}, "one module, called again and again"
        made: list[torch.Tensor] = []
        activation = next(module for module in net.modules() if isinstance(module, kinds))
        activation.register_forward_hook(lambda _, __, output, made=made: made.append(output))
        with torch.random.fork_rng():
            torch.manual_seed(0)
            net.eval()(torch.randn(2, *SHAPE))
        calls[name] = made
    assert len(calls["relu"]) == len(calls["silu"]) == 9  # stem, 2 of each block, the stride, the 1x1
    assert min(output.min() for output in calls["relu"]) == 0
    assert -0.2785 < min(output.min() for output in calls["silu"]) < 0


def test_stages_must_agree() -> None:
    with pytest.raises(ValidationError, match="one number per stage, got 3 and 2"):
        BasicNet(depths=(1, 1))
