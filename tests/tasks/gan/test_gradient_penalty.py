import pytest
import torch
from torch import Tensor, nn
from torch.autograd import forward_ad

from shoestring.nets.conditional_dcgan import ConditionalDCGAN
from shoestring.tasks.gan.gradient_penalty import ENOUGH, logits_and_squared_gradients


def linear() -> nn.Sequential:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Flatten(), nn.Linear(48, 1), nn.Flatten(0))


def test_slope_of_a_linear_critic_is_the_squared_length_of_its_weights_everywhere() -> None:
    net, images = linear(), torch.randn(5, 3, 4, 4)
    logits, slopes = logits_and_squared_gradients(net, images)
    assert torch.allclose(logits, net(images))
    weight = net[1].weight
    assert torch.allclose(slopes, weight.detach().square().sum().expand(5))
    # Of half its mean, the gradient is the weight itself.
    (found,) = torch.autograd.grad(slopes.mean() / 2, weight)
    assert torch.allclose(found, weight)


class Quadratic(nn.Module):
    """a / 2 |x|^2, whose slope is a x."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.tensor(3.0))

    def forward(self, x: Tensor) -> Tensor:
        return self.a / 2 * x.square().flatten(1).sum(1)


def test_each_image_has_its_own_slope_and_logits_and_slopes_are_both_learnt_from() -> None:
    net, images = Quadratic(), torch.randn(4, 1, 2, 3)
    length = images.square().flatten(1).sum(1)
    logits, slopes = logits_and_squared_gradients(net, images)
    assert torch.allclose(slopes, 9 * length)
    (slopes.sum() + logits.sum()).backward()
    assert net.a.grad.item() == pytest.approx(length.sum().item() * (2 * 3 + 0.5), rel=1e-5)


def test_images_are_left_without_gradients() -> None:
    source = torch.randn(2, 3, 4, 4, requires_grad=True)
    _, slopes = logits_and_squared_gradients(linear(), source * 2)
    slopes.sum().backward()
    assert source.grad is None


def test_compiled_code_is_not_differentiated_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> Tensor:
        raise RuntimeError("does not currently support double backward")

    net, images = linear(), torch.randn(2, 3, 4, 4)
    expected = logits_and_squared_gradients(net, images)
    monkeypatch.setattr(net, "_compiled_call_impl", refuse)
    with pytest.raises(RuntimeError, match="double backward"):
        net(images)
    assert all(
        torch.equal(one, two) for one, two in zip(logits_and_squared_gradients(net, images), expected, strict=True)
    )


def awake(count: int = 4) -> tuple[nn.Module, Tensor, Tensor]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = ConditionalDCGAN(discriminator=(16, 12, 8, 8)).build((3, 32, 32), 5)["discriminator"]
        return net, torch.randn(count, 3, 32, 32), torch.arange(count) % 5


def penalty_gradient(net: nn.Module, images: Tensor, labels: Tensor) -> tuple[float, Tensor]:
    net.zero_grad()
    _, slopes = logits_and_squared_gradients(net, images, labels)
    slopes.mean().backward()
    return slopes.mean().item(), torch.cat([p.grad.flatten() for p in net.parameters() if p.grad is not None])


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")  # by torch's own forward differentiation
def test_gradient_of_the_penalty_is_that_of_the_directional_derivative() -> None:
    # Half the squared slope changes with the weights as the derivative along the slope, held fixed, does. That one
    # comes by forward differentiation, so nothing is differentiated backwards twice.
    net, images, labels = awake()
    value, found = penalty_gradient(net, images, labels)
    x = images.clone().requires_grad_()
    (slope,) = torch.autograd.grad(net(x, labels).sum(), x)
    net.zero_grad()
    with forward_ad.dual_level():
        along = forward_ad.unpack_dual(net(forward_ad.make_dual(images, slope), labels)).tangent
    along.mean().backward()
    expected = torch.cat([p.grad.flatten() for p in net.parameters() if p.grad is not None])
    assert along.mean().item() == pytest.approx(value, rel=1e-4)
    assert torch.allclose(found, 2 * expected, rtol=1e-3, atol=1e-5)
    assert found.norm() > 0.05


@pytest.mark.parametrize("count", [2, 8, 15, 16, 17, 24])
def test_in_bfloat16_the_penalty_stays_near_that_of_float32(count: int) -> None:
    net, images, labels = awake(count)
    exact, gradient = penalty_gradient(net, images, labels)
    with torch.autocast("cpu", torch.bfloat16):
        net.zero_grad()
        logits, slopes = logits_and_squared_gradients(net, images, labels)
    assert logits.dtype == slopes.dtype == torch.float32
    slopes.mean().backward()
    assert slopes.mean().item() == pytest.approx(exact, rel=0.03)
    rough = torch.cat([p.grad.flatten() for p in net.parameters() if p.grad is not None])
    assert torch.equal(rough, gradient) == (count < ENOUGH)  # too few for bfloat16 on a processor
    assert torch.cosine_similarity(rough, gradient, 0) > 0.995


def test_tiny_slopes_do_not_vanish_in_bfloat16() -> None:
    net, images = linear(), torch.randn(2, 3, 4, 4)
    with torch.no_grad():
        net[1].weight.mul_(1e-8)
    with torch.autocast("cpu", torch.bfloat16):
        _, slopes = logits_and_squared_gradients(net, images)
    assert slopes.mean().item() == pytest.approx(net[1].weight.square().sum().item(), rel=0.01)
    assert slopes.mean() > 0
