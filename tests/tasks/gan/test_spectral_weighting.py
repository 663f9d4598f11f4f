import pytest
import torch
from scipy.fft import dctn

from shoestring.core.rng import generator
from shoestring.tasks.gan.spectral_weighting import weight_frequencies


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
    ratio = spectrum(weight_frequencies(images, 1.5)) / spectrum(images)
    number = torch.arange(16, dtype=torch.float64)
    expected = (1 + torch.hypot(number[:, None], number)) ** 1.5
    torch.testing.assert_close(
        ratio / ratio[:, :, :1, :1], (expected / expected[0, 0]).expand(4, 3, 16, 16), rtol=1e-3, atol=0
    )


def test_order_nought_changes_nothing_and_natural_images_keep_their_mean_square() -> None:
    images = natural()
    torch.testing.assert_close(weight_frequencies(images, 0.0), images)
    for order in (0.5, 1.0, 1.5):
        found = weight_frequencies(images, order).square().mean().item()
        assert found == pytest.approx(images.square().mean().item(), rel=0.1)


def test_order_one_makes_natural_images_white() -> None:
    power = spectrum(weight_frequencies(natural(400), 1.0)).square().mean((0, 1))
    assert power[:4, :4].mean().item() == pytest.approx(power[-4:, -4:].mean().item(), rel=0.1)


def test_it_is_float32_in_channels_last_order_even_inside_autocast() -> None:
    images = noise(2, 3, 32, 32)
    with torch.autocast("cpu", torch.bfloat16):
        found = weight_frequencies(images.bfloat16(), 1.0)
    assert found.dtype == torch.float32
    assert found.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(found, weight_frequencies(images.bfloat16().float(), 1.0))
