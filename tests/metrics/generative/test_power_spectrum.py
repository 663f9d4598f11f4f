import math

import pytest
import torch

from shoestring.metrics.generative import power_spectrum as module
from shoestring.metrics.generative.power_spectrum import checkerboard, spectrum

torch.set_num_threads(1)
SIZE = 32
ROW, COLUMN = torch.meshgrid(torch.arange(SIZE), torch.arange(SIZE), indexing="ij")


def grey(pattern, n=2):
    """uint8 images, three equal channels, 100 plus the pattern."""
    return (100 + pattern).round().to(torch.uint8).expand(n, 3, SIZE, SIZE)


def noise(n, seed, std=20):
    generator = torch.Generator().manual_seed(seed)
    return (128 + std * torch.randn(n, 3, SIZE, SIZE, generator=generator)).clamp(0, 255).to(torch.uint8)


def test_constant_images_have_no_energy():
    found = spectrum(grey(torch.zeros(SIZE, SIZE)))
    assert float(found.power.sum()) == pytest.approx((100 / 255) ** 2)  # the mean alone
    assert float(found.radial.abs().max()) < 1e-25
    assert float(found.top.abs().max()) < 1e-25


@pytest.mark.parametrize("pattern", [(-1) ** (ROW + COLUMN), (-1) ** ROW, (-1) ** COLUMN])
def test_a_checkerboard_and_stripes_have_all_their_variance_at_period_2(pattern):
    found = spectrum(grey(20 * pattern))
    variance = (20 / 255) ** 2
    assert found.grid[2].tolist() == pytest.approx([variance] * 2)
    assert found.top.tolist() == pytest.approx([variance] * 2)
    assert float(found.grid[4].max()) < 1e-25
    assert float(found.around[2].max()) < 1e-25


def test_blocks_of_four_have_their_variance_at_periods_2_and_4():
    tile = torch.tensor([[40, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]])
    found = spectrum(grey(tile.repeat(8, 8)))
    # A single dot in a 4 x 4 tile has all 16 frequencies alike: 3 of period 2, 12 of period 4.
    single = (40 / 16 / 255) ** 2
    assert float(found.grid[2][0]) == pytest.approx(3 * single)
    assert float(found.grid[4][0]) == pytest.approx(12 * single)


def test_energy_sums_to_the_variance_of_luma():
    images = noise(3, 0)
    luma = (images.double() * torch.tensor([0.299, 0.587, 0.114]).double().view(3, 1, 1)).sum(1) / 255
    power = spectrum(images).power.clone()
    power[SIZE // 2, SIZE // 2] = 0  # the mean sits in the middle
    assert float(power.sum()) == pytest.approx(float(luma.var(dim=(1, 2), correction=0).mean()), rel=1e-6)


def test_a_wave_lies_in_the_ring_of_its_frequency():
    found = spectrum(grey(50 * torch.sin(2 * math.pi * 5 * COLUMN / SIZE)))
    ring = int(found.radial.argmax())
    assert float(found.frequencies[ring]) == 5 / SIZE
    assert float(found.frequencies[0]) == 1 / SIZE
    assert len(found.frequencies) == len(found.radial) == 23  # out to the corner, 16 sqrt(2)


def test_chunks_and_sizes_that_are_no_multiple_of_four(monkeypatch):
    whole = spectrum(noise(7, 1))
    monkeypatch.setattr(module, "CHUNK_PIXELS", 2 * 3 * SIZE * SIZE)
    parts = spectrum(noise(7, 1))
    assert torch.allclose(whole.radial, parts.radial, rtol=1e-12)
    assert torch.equal(whole.grid[2], parts.grid[2])
    images = noise(2, 2)
    assert torch.equal(spectrum(images[:, :, :30, :31]).power, spectrum(images[:, :, :28, :28]).power)
    with pytest.raises(ValueError, match="8 x 8"):
        spectrum(images[:, :, :7])


def test_one_channel_is_its_own_luma():
    pattern = grey(20 * (-1) ** COLUMN)
    assert torch.allclose(spectrum(pattern[:, :1]).grid[2], spectrum(pattern).grid[2])


def test_images_like_the_real_ones_measure_one():
    metrics = checkerboard(noise(300, 3), noise(300, 4)).metrics
    assert set(metrics) == {
        "high_frequency_energy",
        "grid_energy_period_2",
        "grid_energy_period_4",
        "grid_peak_period_2",
        "grid_peak_period_4",
    }
    for metric in metrics.values():
        assert metric.interval[0] < 1 < metric.interval[1]
        assert metric.interval[1] / metric.interval[0] < 1.5


def test_a_faint_checkerboard_shows_at_its_period_and_through_blur():
    real = noise(200, 5)
    faint = (real.int() + 10 * (-1) ** (ROW + COLUMN)).clamp(0, 255).to(torch.uint8)
    metrics = checkerboard(faint, real).metrics
    assert metrics["grid_energy_period_2"].interval[0] > 10
    assert metrics["grid_peak_period_2"].interval[0] > 10
    assert metrics["grid_peak_period_4"].interval[0] < 1.1
    quartered = ((faint.float() - 128) / 4 + 128).round().to(torch.uint8)  # a sixteenth of the energy hides the grid
    metrics = checkerboard(quartered, real).metrics
    # Of white noise, the band has the share of the frequency plane outside its circle, the grid 3 frequencies.
    variance = 400 * (0.299**2 + 0.587**2 + 0.114**2)
    band, grid = variance * (1 - math.pi * 0.375**2), variance * 3 / SIZE**2
    assert metrics["high_frequency_energy"].value == pytest.approx((1 + 100 / band) / 16, rel=0.03)
    assert metrics["grid_energy_period_2"].value == pytest.approx((1 + 100 / grid) / 16, rel=0.15)
    assert metrics["grid_peak_period_2"].value == pytest.approx(1 + 100 / grid, rel=0.15)


def test_against_images_without_energy_there_is_no_ratio():
    flat = torch.full((3, 3, SIZE, SIZE), 0, dtype=torch.uint8)
    assert all(metric.value is None for metric in checkerboard(noise(3, 6), flat).metrics.values())


def test_pixels_copied_to_blocks_cancel_at_period_2_and_add_high_frequencies():
    smooth = torch.nn.functional.avg_pool2d(noise(100, 7, 60).float(), 2).round()
    blocks = torch.nn.functional.interpolate(smooth, scale_factor=2.0).to(torch.uint8)
    bilinear = torch.nn.functional.interpolate(smooth, scale_factor=2.0, mode="bilinear").round().to(torch.uint8)
    metrics = checkerboard(blocks, bilinear).metrics
    assert metrics["grid_energy_period_2"].value == pytest.approx(0, abs=1e-20)
    assert metrics["grid_peak_period_2"].value == pytest.approx(0, abs=1e-20)
    assert metrics["high_frequency_energy"].interval[0] > 2
