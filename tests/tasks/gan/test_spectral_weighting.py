import pytest
import torch
from scipy.fft import dctn

from shoestring.core.rng import generator
from shoestring.tasks.gan.gradient_penalty import judge_with_slope
from shoestring.tasks.gan.spectral_weighting import whitened
from shoestring.tasks.gan.task import Adversarial


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=generator(0, "whitening"))


def spectrum(images: torch.Tensor) -> torch.Tensor:
    return torch.from_numpy(dctn(images.double().numpy(), axes=(2, 3), norm="ortho"))


def natural(n: int = 64, side: int = 32) -> torch.Tensor:
    """Images whose amplitudes fall like 1 / (1 + f)."""
    number = torch.arange(side)
    amplitude = 1 / (1 + torch.hypot(number[:, None].double(), number.double()))
    return torch.from_numpy(
        dctn((noise(n, 3, side, side) * amplitude).numpy(), type=3, axes=(2, 3), norm="ortho")
    ).float()


def test_every_frequency_is_multiplied_by_its_power_up_to_one_factor() -> None:
    images = noise(4, 3, 16, 16)
    ratio = spectrum(whitened(images, 1.5)) / spectrum(images)
    number = torch.arange(16, dtype=torch.float64)
    expected = (1 + torch.hypot(number[:, None], number)) ** 1.5
    torch.testing.assert_close(
        ratio / ratio[:, :, :1, :1], (expected / expected[0, 0]).expand(4, 3, 16, 16), rtol=1e-3, atol=0
    )


def test_order_nought_changes_nothing_and_natural_images_keep_their_mean_square() -> None:
    images = natural()
    torch.testing.assert_close(whitened(images, 0.0), images)
    for order in (0.5, 1.0, 1.5):
        found = whitened(images, order).square().mean().item()
        assert found == pytest.approx(images.square().mean().item(), rel=0.1)


def test_order_one_makes_natural_images_white() -> None:
    power = spectrum(whitened(natural(400), 1.0)).square().mean((0, 1))
    assert power[:4, :4].mean().item() == pytest.approx(power[-4:, -4:].mean().item(), rel=0.1)


def test_it_is_float32_in_channels_last_order_even_inside_autocast() -> None:
    images = noise(2, 3, 32, 32)
    with torch.autocast("cpu", torch.bfloat16):
        found = whitened(images.bfloat16(), 1.0)
    assert found.dtype == torch.float32
    assert found.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(found, whitened(images.bfloat16().float(), 1.0))


def test_a_penalty_at_whitened_images_lets_a_critic_be_steep_along_fine_detail() -> None:
    checkerboard = torch.tensor([[1.0, -1.0], [-1.0, 1.0]]).repeat(16, 16) / 32
    light = torch.full((32, 32), 1 / 32)

    def steepness(direction: torch.Tensor) -> float:
        """Squared slope, at whitened images, of a critic whose logit is an image's component along a direction."""
        shown = whitened(direction.expand(1, 1, 32, 32), 1.0)
        critic = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(1024, 1, bias=False), torch.nn.Flatten(0))
        with torch.no_grad():
            critic[1].weight.copy_(shown.flatten(1) / shown.square().sum())
        assert critic(shown).item() == pytest.approx(1, rel=1e-4)
        return judge_with_slope(critic, shown)[1].item()

    assert steepness(light) > 100 * steepness(checkerboard)


def test_the_task_shows_both_kinds_of_images_whitened_and_gradients_reach_the_pixels() -> None:
    task, images = Adversarial(whitening=1.0), noise(2, 3, 32, 32).requires_grad_()
    shown = task.shown(images)
    torch.testing.assert_close(shown, whitened(images, 1.0))
    seen: list[torch.Tensor] = []

    class Discriminator(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            seen.append(x.detach())
            return x.mean((1, 2, 3))

    nets = torch.nn.ModuleDict({"generator": torch.nn.Identity(), "discriminator": Discriminator()})
    latent = noise(2, 3, 32, 32).tanh()
    task.loss("discriminator", nets, {"images": images.detach(), "labels": torch.zeros(2), "latent": latent})
    torch.testing.assert_close(seen[0], shown.detach())
    torch.testing.assert_close(seen[1], whitened(latent, 1.0))
    (slope,) = torch.autograd.grad((shown * noise(2, 3, 32, 32)).sum(), images)
    assert slope.isfinite().all()
    assert (slope != 0).all()
