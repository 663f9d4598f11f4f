import math
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from memory_order import out_of_order
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from shoestring.core.errors import RecipeError
from shoestring.nets.conditional_dcgan import (
    GAIN,
    ClassEmbedding,
    ClassLogit,
    ConditionalDCGAN,
    filled,
    halved,
    normed,
)
from shoestring.nets.summary import layer_table
from shoestring.tasks.gan.gradient_penalty import logits_and_squared_gradients

SHAPE = (3, 32, 32)
SMALL = ConditionalDCGAN(generator=(12, 8, 6, 4), discriminator=(12, 8, 6, 4), latent=8, embedding=6)
DEEP = SMALL.replace(start=5, generator_depths=(1, 1, 2, 3), discriminator_depths=(2, 1, 3, 2))
MIRRORED = DEEP.replace(generator=(6, 4, 3, 2), discriminator=(6, 4, 3, 2), mirrored=True)
SMOOTH = DEEP.replace(upsampling="bilinear")
each_spec = pytest.mark.parametrize(
    "spec", [SMALL, DEEP, MIRRORED, SMOOTH], ids=["small", "deep", "mirrored", "smooth"]
)


def make(spec: ConditionalDCGAN = SMALL, num_classes: int = 5) -> nn.ModuleDict:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return spec.build(SHAPE, num_classes)


def awake(nets: nn.ModuleDict) -> nn.ModuleDict:
    """Nets in which the class matters in every layer, as after training; norms as in use."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        nn.init.normal_(nets["generator"].modulate.weight, 0, 0.2)
    return nets.eval()


def inputs(n: int = 4, spec: ConditionalDCGAN = SMALL) -> tuple[Tensor, Tensor, Tensor]:
    source = torch.Generator().manual_seed(2)
    return torch.randn(n, spec.latent, generator=source), torch.randn(n, *SHAPE, generator=source), torch.arange(n) % 5


def test_default_spends_a_million_parameters_within_one_percent() -> None:
    spec = ConditionalDCGAN()
    nets = spec.build(SHAPE, 100)
    counts = {name: sum(parameter.numel() for parameter in net.parameters()) for name, net in nets.items()}
    assert counts == {"generator": 534_411, "discriminator": 462_897}
    assert sum(row.parameters for row in layer_table(nets, spec.examples(SHAPE))) == sum(counts.values())


def test_a_narrower_start_leaves_parameters_for_convolutions() -> None:
    """Each channel has 16 x 99 weights, 2 x 100 of its scale and shift, and 9 x 128 of the first convolution."""
    spec = ConditionalDCGAN(start=48)
    net = spec.build(SHAPE, 100)["generator"]
    assert (net.start.out_features, net.convs[0].in_channels) == (48 * 4 * 4, 48)
    assert sum(parameter.numel() for parameter in net.parameters()) == 534_411 - 80 * (1_584 + 200 + 1_152)
    latent, _, labels = inputs(64, spec)
    assert 0.2 < net(latent, labels).std() < 0.8


def test_shapes_and_scale_of_untrained_nets() -> None:
    nets = make(ConditionalDCGAN())
    latent, images, labels = inputs(64, ConditionalDCGAN())
    made, logits = nets["generator"](latent, labels), nets["discriminator"](images, labels)
    assert made.shape == (64, *SHAPE)
    assert logits.shape == (64,)
    assert made.abs().max() <= 1
    assert 0.2 < made.std() < 0.8
    assert 0.05 < logits.std() < 5


def test_as_many_parameters_mirrored_are_half_as_many_channels_again() -> None:
    """Widths of 1.5 times the defaults; latent vectors, classes and biases do not double."""
    spec = ConditionalDCGAN(generator=(96, 48, 24, 12), discriminator=(104, 96, 48, 24), mirrored=True)
    nets = spec.build(SHAPE, 100)
    counts = {name: sum(parameter.numel() for parameter in net.parameters()) for name, net in nets.items()}
    assert counts == {"generator": 495_743, "discriminator": 491_273}
    assert sum(row.parameters for row in layer_table(nets, spec.examples(SHAPE))) == sum(counts.values())
    assert [net.convs[1].weight.shape[1] for net in nets.values()] == [192, 48]  # channels, twins and all: 128, 32


def test_swapping_quarters_of_the_latent_vector_mirrors_the_image() -> None:
    nets = awake(make(MIRRORED).double())
    generator, (latent, _, labels) = nets["generator"], inputs()
    generator.train()(latent.double(), labels)  # running statistics of each channel for itself
    generator.eval()
    kept, first, second = latent.double().split((4, 2, 2), 1)
    images, mirrored = generator(latent.double(), labels), generator(torch.cat((kept, second, first), 1), labels)
    torch.testing.assert_close(mirrored, images.flip(3))
    assert ((mirrored - images).abs().amax((1, 2, 3)) > 0.01).all(), "an image is not its own mirror image"


def test_the_mirrored_discriminator_answers_alike_for_an_image_and_its_mirror_image() -> None:
    images, labels = (part.double() if part.is_floating_point() else part for part in inputs()[1:])
    for spec, alike in ((MIRRORED, True), (DEEP, False)):
        net = make(spec).double()["discriminator"]
        assert torch.allclose(net(images.flip(3), labels), net(images, labels), atol=1e-9) is alike


def test_a_latent_vector_without_quarters_cannot_be_mirrored() -> None:
    with pytest.raises(RecipeError, match="no multiple of 4"):
        SMALL.replace(mirrored=True, latent=10)


@each_spec
def test_no_convolution_strides_or_is_transposed_and_only_the_generator_normalises(spec: ConditionalDCGAN) -> None:
    nets = make(spec)
    for module in nets.modules():
        assert not isinstance(module, nn.ConvTranspose2d)
        assert not isinstance(module, nn.Conv2d) or module.stride == (1, 1)
    assert sum(isinstance(module, nn.BatchNorm2d) for module in nets["generator"].modules()) == 1 + sum(
        spec.generator_depths
    )
    assert not any(isinstance(module, nn.BatchNorm2d) for module in nets["discriminator"].modules())


@each_spec
def test_the_discriminators_answer_to_an_image_depends_on_no_other(spec: ConditionalDCGAN) -> None:
    net, (_, images, labels) = make(spec)["discriminator"].eval(), inputs()
    together = net(images, labels)
    alone = torch.cat([net(images[[i]], labels[[i]]) for i in range(len(images))])
    torch.testing.assert_close(together, alone)


@pytest.mark.parametrize("name", ["generator", "discriminator"])
def test_classes_matter_and_a_label_that_is_no_class_says_nothing(name: str) -> None:
    net = awake(make())[name]
    latent, images, labels = inputs()
    x = latent if name == "generator" else images
    told, other, untold = net(x, labels), net(x, (labels + 1) % 5), net(x)
    assert ((told - other).reshape(4, -1).abs().amax(1) > 1e-3).all()
    assert ((told - untold).reshape(4, -1).abs().amax(1) > 1e-3).all()
    torch.testing.assert_close(net(x, torch.full((4,), -1)), untold)
    torch.testing.assert_close(net(x, torch.eye(5)[labels]), told)


@pytest.mark.parametrize("mirrored", [False, True])
def test_an_offset_of_the_first_features_moves_the_image(mirrored: bool) -> None:
    widths = {"generator": (16, 12, 8, 4), "start": 6, "mirrored": mirrored}
    net = ConditionalDCGAN(**widths).build((3, 32, 32), 5)["generator"].eval()
    latents, labels = torch.randn(2, 64), torch.tensor([0, 3])
    assert net.first_features == (12 if mirrored else 6, 4, 4)
    offset = torch.zeros(2, *net.first_features, requires_grad=True)
    images = net(latents, labels, offset)
    assert images.equal(net(latents, labels))
    (gradient,) = torch.autograd.grad(images[0].sum(), offset)
    assert gradient[0].count_nonzero() > 0
    assert gradient[1].count_nonzero() == 0
    moved = net(latents, labels, offset + torch.tensor([1.0, 0.0]).view(2, 1, 1, 1))
    assert not moved[0].allclose(images[0], atol=1e-3)
    assert moved[1].allclose(images[1], atol=1e-6)


@each_spec
def test_latent_vector_and_class_change_every_layer(spec: ConditionalDCGAN) -> None:
    generator, (latent, _, labels) = awake(make(spec)).train()["generator"], inputs(spec=spec)
    generator(latent, labels).square().mean().backward()
    rows = generator.modulate.weight.grad.abs().sum(1).split(generator.sizes)
    assert len(rows) == 1 + sum(spec.generator_depths)
    assert all((layer > 0).float().mean() > 0.5 for layer in rows)


def test_changes_scale_and_shift_what_is_normalised() -> None:
    x = torch.tensor([[[[-1.0, 2.0]], [[3.0, -4.0]]]])
    change = torch.tensor([0.5, -2.0, 0.25, 1.0]).view(1, 4, 1, 1)
    expected = torch.tensor([[[[-1.25 * 0.2, 3.25]], [[-2.0 * 0.2, 5.0]]]])
    torch.testing.assert_close(normed(x, nn.Identity(), change), expected)


@each_spec
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_answers_are_float32_and_activations_stay_in_channels_last_order(
    dtype: torch.dtype, spec: ConditionalDCGAN
) -> None:
    nets = awake(make(spec)).to(memory_format=torch.channels_last)
    wrong = out_of_order(nets)
    latent, images, labels = inputs(spec=spec)
    with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
        made, logits = nets["generator"](latent, labels), nets["discriminator"](images, labels)
    assert not wrong
    assert made.dtype == logits.dtype == torch.float32


def test_layers_after_the_first_of_a_resolution_add_to_what_they_get() -> None:
    generator, (latent, _, labels) = awake(make(DEEP))["generator"], inputs(spec=DEEP)
    seen: list[tuple[Tensor, Tensor]] = []
    for conv in generator.convs:
        conv.register_forward_hook(lambda _, given, made: seen.append((given[0], made)))
    generator(latent, labels)
    assert [made.shape[2] for _, made in seen] == [4, 8, 16, 16, 32, 32, 32]
    before = generator.convs[5].weight.clone()
    final = seen[6][0]
    with torch.no_grad():
        generator.convs[5].weight.zero_()
        generator.norms[6].running_mean.zero_()
        generator.modulate.weight[sum(generator.sizes[:6]) : sum(generator.sizes[:7])] = 0
    seen.clear()
    generator(latent, labels)
    assert before.any()
    torch.testing.assert_close(seen[6][0], seen[5][0])  # nothing is added
    assert not torch.allclose(final, seen[6][0])


def test_every_resolution_of_the_discriminator_has_its_layers_and_those_after_the_first_add() -> None:
    net, (_, images, labels) = make(DEEP)["discriminator"], inputs()
    seen: list[tuple[Tensor, Tensor]] = []
    for conv in net.convs:
        conv.register_forward_hook(lambda _, given, made: seen.append((given[0], made)))
    net(images, labels)
    assert [made.shape[1:3] for _, made in seen] == [
        (4, 32),
        (4, 32),
        (6, 16),
        (6, 16),
        (6, 16),
        (8, 8),
        (12, 4),
        (12, 4),
    ]
    act = partial(F.leaky_relu, negative_slope=0.2)
    torch.testing.assert_close(seen[2][0], halved(act(seen[0][1]) + act(seen[1][1])))
    torch.testing.assert_close(seen[4][0], act(seen[2][1]) + act(seen[3][1]))
    torch.testing.assert_close(seen[7][0], act(seen[6][1]))


def test_bilinear_upsampling_goes_in_quarters_from_pixel_to_pixel() -> None:
    generator, (latent, _, labels) = awake(make(SMOOTH))["generator"], inputs(spec=SMOOTH)
    seen: list[Tensor] = []
    generator.convs[0].register_forward_hook(lambda *given: seen.append(given[2]))
    generator.convs[1].register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    with torch.no_grad():
        generator(latent, labels)
        code = generator.code(latent, generator.label(labels))
        changes = generator.modulate(code)[:, :, None, None].split(generator.sizes, 1)
    small, large = normed(seen[0], generator.norms[1], changes[1]), seen[1]
    assert large.shape[2:] == (8, 8)
    torch.testing.assert_close(large[:, :, 2, 0], 0.75 * small[:, :, 1, 0] + 0.25 * small[:, :, 0, 0])
    torch.testing.assert_close(large[:, :, 0, 1], 0.75 * small[:, :, 0, 0] + 0.25 * small[:, :, 0, 1])


def test_halved_is_average_pooling() -> None:
    images = torch.randn(2, 5, 8, 6).to(memory_format=torch.channels_last).requires_grad_()
    found, expected = halved(images), F.avg_pool2d(images, 2)
    torch.testing.assert_close(found, expected)
    slopes = [torch.autograd.grad(each.square().sum(), images)[0] for each in (found, expected)]
    torch.testing.assert_close(*slopes)


class Watched(TorchDispatchMode):
    """Counts gradients of leaky ReLU by whether all they come from has the same memory order."""

    def __init__(self) -> None:
        super().__init__()
        self.in_order, self.out_of_order = 0, 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if function is torch.ops.aten.leaky_relu_backward.default:
            alike = all(tensor.is_contiguous(memory_format=torch.channels_last) for tensor in args[:2])
            self.in_order += alike
            self.out_of_order += not alike
        return function(*args, **(kwargs or {}))


@each_spec
def test_gradient_penalties_keep_the_memory_order(spec: ConditionalDCGAN) -> None:
    discriminator = make(spec).to(memory_format=torch.channels_last)["discriminator"]
    _, images, labels = inputs()
    with Watched() as watched:
        logits, slope = logits_and_squared_gradients(discriminator, images, labels)
        (logits.sum() + slope.sum()).backward()
    assert watched.in_order > watched.out_of_order  # the last layer's gradients come from a pattern that has no order
    assert watched.out_of_order <= 2


def test_images_of_another_size_are_refused() -> None:
    with pytest.raises(RecipeError, match="28x28"):
        SMALL.build((3, 28, 28), 10)


def test_filled_weights_keep_the_deviation_through_leaky_relu() -> None:
    torch.manual_seed(0)
    layer = nn.Linear(400, 300)
    filled(layer, GAIN)
    x = torch.randn(500, 400)
    found = layer(nn.functional.leaky_relu(x, 0.2))
    assert found.square().mean().item() == pytest.approx(1, rel=0.05)
    assert not layer.bias.any()


def test_embedding_of_a_class_is_its_column_and_of_a_mixture_the_mixture() -> None:
    torch.manual_seed(0)
    layer = ClassEmbedding(3, 4)
    assert torch.allclose(layer(torch.tensor([2, -1])), torch.stack((layer.weight[:, 2], torch.zeros(4))))
    mixed = layer(torch.tensor([[0.25, 0.75, 0]]))
    assert torch.allclose(mixed[0], layer.weight[:, 0] / 4 + layer.weight[:, 1] * 3 / 4)


def test_logit_is_that_of_the_image_plus_its_projection_on_the_class() -> None:
    torch.manual_seed(0)
    head, x, labels = ClassLogit(6, 5), torch.randn(3, 6, 4, 4), torch.tensor([0, 4, 4])
    features = torch.einsum("nchw,chw->nc", x, head.pattern)
    projected = (features * head.label.weight.T[labels]).sum(1) / math.sqrt(6)
    assert torch.allclose(head(x, labels), head.score(features)[:, 0] + projected, atol=1e-5)


@each_spec
def test_every_weight_of_the_discriminator_has_second_derivatives_but_those_that_add(spec: ConditionalDCGAN) -> None:
    net = awake(make(spec))["discriminator"]
    _, images, labels = inputs()
    images.requires_grad_()
    (slope,) = torch.autograd.grad(net(images, labels).sum(), images, create_graph=True)
    slope.square().sum().backward()
    still = {name for name, p in net.named_parameters() if p.grad is None or not p.grad.any()}
    assert {name.split(".")[-1] for name in still} <= {"bias"}


def test_bfloat16_answers_as_float32_does_up_to_rounding() -> None:
    nets = awake(make())
    latent, images, labels = inputs()
    with torch.no_grad():
        for name, x in (("generator", latent), ("discriminator", images)):
            exact = nets[name](x, labels)
            with torch.autocast("cpu", torch.bfloat16):
                rough = nets[name](x, labels)
            assert (rough - exact).norm() < 0.03 * exact.norm()
