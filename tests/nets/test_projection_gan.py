import math

import pytest
import torch
from torch import Tensor, nn

from shoestring.errors import RecipeError
from shoestring.nets.layers import layer_table
from shoestring.nets.projection_gan import GAIN, Bottleneck, ClassEmbedding, Judge, ProjectionGAN, filled
from shoestring.recipes.generators import cifar100_gan_best

SHAPE = (3, 32, 32)
SMALL = ProjectionGAN(width=32, depth=1, latent=8, embedding=12)


def make(spec: ProjectionGAN = SMALL, num_classes: int = 5) -> nn.ModuleDict:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return spec.build(SHAPE, num_classes)


def awake(nets: nn.ModuleDict) -> nn.ModuleDict:
    """Nets in which every weight matters, as after training."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        for parameter in nets.parameters():
            if not parameter.any():
                nn.init.normal_(parameter, 0, 0.2)
    return nets


def inputs(n: int = 4, latent: int = 8) -> tuple[Tensor, Tensor, Tensor]:
    source = torch.Generator().manual_seed(2)
    return torch.randn(n, latent, generator=source), torch.randn(n, *SHAPE, generator=source), torch.arange(n) % 5


def test_default_spends_the_budget_of_a_million_parameters_within_one_percent() -> None:
    recipe = cifar100_gan_best()
    nets = recipe.net.build(SHAPE, 100)
    counts = {name: sum(parameter.numel() for parameter in net.parameters()) for name, net in nets.items()}
    assert counts == {"generator": 511_327, "discriminator": 487_249}
    assert recipe.budget.admit(layer_table(nets, recipe.net.examples(SHAPE))) == sum(counts.values())
    assert 990_000 <= sum(counts.values()) <= recipe.budget.parameters == 1_000_000


@pytest.mark.parametrize("width", [16, 48, 96])
def test_width_is_one_dial_for_both_nets(width: int) -> None:
    spec = ProjectionGAN(width=width)
    assert spec.channels[-1] == width
    assert all(channels % 16 == 0 for channels in spec.channels)
    nets = spec.build(SHAPE, 5)
    assert nets["generator"].stages[-1].blocks[0].first.in_channels == width
    assert nets["discriminator"].stages[0].blocks[0].first.in_channels == width


def test_blocks_hold_thirteen_quarters_of_their_channels_squared() -> None:
    block = Bottleneck(32, 16, 8)
    assert sum(p.numel() for p in block.parameters() if p.ndim == 4) == 13 / 4 * 32**2


def test_nets_have_no_norm_no_transposed_and_no_grouped_convolution() -> None:
    for module in make().modules():
        assert not isinstance(module, nn.ConvTranspose2d | nn.modules.batchnorm._BatchNorm | nn.GroupNorm)
        assert not (isinstance(module, nn.Conv2d) and module.groups > 1)


def test_shapes_and_scale_of_untrained_nets() -> None:
    nets = make(ProjectionGAN())
    latent, images, labels = inputs(64, 64)
    made, logits = nets["generator"](latent, labels), nets["discriminator"](images, labels)
    assert made.shape == (64, *SHAPE)
    assert logits.shape == (64,)
    assert 0.3 < made.std() < 3
    assert 0.1 < logits.std() < 5


def test_a_block_adds_nothing_before_training_and_its_hidden_channels_are_scaled() -> None:
    torch.manual_seed(0)
    block, x = Bottleneck(8, 4, 2), torch.randn(2, 8, 5, 5)
    assert torch.equal(block(x), x)
    nn.init.normal_(block.last.weight)
    assert torch.allclose(block(x, torch.ones(2, 4, 1, 1)), block(x))
    assert torch.allclose(block(x, torch.zeros(2, 4, 1, 1)), x + block.last(nn.functional.leaky_relu(
        block.middle(torch.zeros(2, 4, 5, 5)), 0.2)))  # fmt: skip


def test_filled_weights_keep_the_deviation_through_leaky_relu() -> None:
    torch.manual_seed(0)
    layer = nn.Linear(400, 300)
    filled(layer, GAIN)
    x = torch.randn(500, 400)
    found = layer(nn.functional.leaky_relu(x, 0.2))
    assert found.square().mean().item() == pytest.approx(1, rel=0.05)
    assert not layer.bias.any()


@pytest.mark.parametrize("name", ["generator", "discriminator"])
def test_classes_matter_and_a_label_that_is_no_class_says_nothing(name: str) -> None:
    net = awake(make())[name]
    latent, images, labels = inputs()
    x = latent if name == "generator" else images
    told, other = net(x, labels), net(x, (labels + 1) % 5)
    assert ((told - other).reshape(4, -1).abs().amax(1) > 1e-3).all()
    untold = net(x, torch.full((4,), -1))
    assert torch.allclose(untold, net(x), atol=1e-5)
    assert torch.allclose(untold, net(x, torch.zeros(4, 5)), atol=1e-5)
    assert torch.allclose(told, net(x, torch.eye(5)[labels]), atol=1e-5)
    with torch.no_grad():
        (net.label if name == "generator" else net.judge.label).weight.normal_()
    assert torch.allclose(untold, net(x), atol=1e-5)
    assert not torch.allclose(told, net(x, labels), atol=1e-3)


def test_embedding_of_a_class_is_its_column_and_of_a_mixture_the_mixture() -> None:
    torch.manual_seed(0)
    layer = ClassEmbedding(3, 4)
    assert torch.allclose(layer(torch.tensor([2, -1])), torch.stack((layer.weight[:, 2], torch.zeros(4))))
    mixed = layer(torch.tensor([[0.25, 0.75, 0]]))
    assert torch.allclose(mixed[0], layer.weight[:, 0] / 4 + layer.weight[:, 1] * 3 / 4)


def test_logit_is_that_of_the_image_plus_its_projection_on_the_class() -> None:
    torch.manual_seed(0)
    judge, x, labels = Judge(6, 5), torch.randn(3, 6, 4, 4), torch.tensor([0, 4, 4])
    features = torch.einsum("nchw,chw->nc", x, judge.pattern)
    projected = (features * judge.label.weight.T[labels]).sum(1) / math.sqrt(6)
    assert torch.allclose(judge(x, labels), judge.score(features)[:, 0] + projected, atol=1e-5)


def test_latent_vectors_matter_in_every_stage() -> None:
    generator = awake(make())["generator"]
    latent, _, labels = inputs()
    generator(latent, labels).square().mean().backward()
    rows = generator.modulate.weight.grad.abs().sum(1).split(generator.hidden)
    assert len(rows) == 4
    assert all((stage > 0).all() for stage in rows)


def test_every_weight_of_the_discriminator_has_second_derivatives_but_those_that_add() -> None:
    net = awake(make())["discriminator"]
    _, images, labels = inputs()
    images.requires_grad_()
    (slope,) = torch.autograd.grad(net(images, labels).sum(), images, create_graph=True)
    slope.square().sum().backward()
    still = {name for name, p in net.named_parameters() if p.grad is None or not p.grad.any()}
    assert {name.split(".")[-1] for name in still} <= {"bias"}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_activations_stay_in_channels_last_order_and_answers_are_float32(dtype: torch.dtype) -> None:
    nets, wrong = awake(make()).to(memory_format=torch.channels_last), []
    for name, module in nets.named_modules():
        module.register_forward_hook(
            lambda _, __, found, name=name: (
                wrong.append(name)
                if found.ndim == 4 and not found.is_contiguous(memory_format=torch.channels_last)
                else None
            )
        )
    latent, images, labels = inputs()
    with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
        made, logits = nets["generator"](latent, labels), nets["discriminator"](images, labels)
    assert not wrong
    assert made.dtype == logits.dtype == torch.float32


def test_bfloat16_answers_as_float32_does_up_to_rounding() -> None:
    nets = awake(make())
    latent, images, labels = inputs()
    with torch.no_grad():
        for name, x in (("generator", latent), ("discriminator", images)):
            exact = nets[name](x, labels)
            with torch.autocast("cpu", torch.bfloat16):
                rough = nets[name](x, labels)
            assert (rough - exact).norm() < 0.03 * exact.norm()


def test_images_of_another_size_are_refused() -> None:
    with pytest.raises(RecipeError, match="28x28"):
        SMALL.build((3, 28, 28), 10)
