"""Traces of a generator in the frequencies of its images: checkerboards, missing or excessive fine detail."""

from dataclasses import dataclass

import torch
from torch import Tensor

from shoestring.metrics.statistics import Metric, computed_by, ratio

LUMA = (0.299, 0.587, 0.114)  # weights of red, green, blue (ITU-R BT.601)
TOP_BAND = 0.375  # cycles per pixel: the last quarter below the highest frequency along an axis, and the corners
PERIODS = (2, 4)  # pixels: what one and two strides of 2 leave behind
SMALLEST = 8  # pixels: height and width of the least image with a spectrum
CHUNK_PIXELS = 2**22


@dataclass(frozen=True)
class Spectrum:
    """Where the variance of images lies, by spatial frequency.

    Energy is variance of luma on the 0..1 scale; over all frequencies but 0 it sums to an image's variance.

    Attributes:
        frequencies: float64, (bins,): centres of rings, in cycles per pixel, from one cycle per image on.
        radial: float64, (bins,): mean energy of the frequencies of each ring, averaged over images.
        power: float64, (h, w): mean energy of each frequency, 0 in the middle.
        top: float64, (n,): each image's energy at `TOP_BAND` cycles per pixel and above.
        grid: By period in pixels, float64 (n,): each image's energy at the exact frequencies of such a grid.
        around: By period, float64 (n,): mean energy of the frequencies next to those.
    """

    frequencies: Tensor
    radial: Tensor
    power: Tensor
    top: Tensor
    grid: dict[int, Tensor]
    around: dict[int, Tensor]


@dataclass(frozen=True)
class Checkerboard:
    """Traces of upsampling in samples, against real images.

    Attributes:
        metrics: By name, as `checkerboard` says.
        generated: The samples' spectrum.
        real: That of real images.
    """

    metrics: dict[str, Metric]
    generated: Spectrum
    real: Spectrum


def checkerboard(generated: Tensor, real: Tensor) -> Checkerboard:
    """Energy of samples at high frequencies and at those of grids, against real images of the same size.

    Args:
        generated: uint8, (n, c, h, w).
        real: uint8, (m, c, h, w).

    Returns:
        Metrics, each a ratio to real images, 1 where alike. "high_frequency_energy": at 0.375 cycles per pixel and
        above; below 1 is blur, above 1 noise or artefacts. "grid_energy_period_2", "grid_energy_period_4": at exactly
        the frequencies of patterns that repeat every 2 (or 4 and not 2) pixels, which transposed convolutions leave
        ("Deconvolution and checkerboard artifacts", 2016). "grid_peak_period_2", "grid_peak_period_4": the same
        relative to the neighbouring frequencies, so that blur does not hide a grid.

        A grid of fixed phase shows in these; one that only scales what is there, as copying each pixel to a 2 x 2 block
        does, cancels at exactly period 2 and shows in "high_frequency_energy" alone.
    """
    fake, seen = spectrum(generated), spectrum(real)
    code = computed_by(__name__)
    metrics = {"high_frequency_energy": ratio(fake.top, seen.top, code, "Ratio to real images.")}
    for period in PERIODS:
        note = f"Ratio to real images; patterns that repeat every {period} pixels and no fewer."
        metrics[f"grid_energy_period_{period}"] = ratio(fake.grid[period], seen.grid[period], code, note)
    for period in PERIODS:
        note = f"As grid_energy_period_{period}, relative to the frequencies next to it."
        metrics[f"grid_peak_period_{period}"] = ratio(_peak(fake, period), _peak(seen, period), code, note)
    return Checkerboard(metrics, fake, seen)


def spectrum(images: Tensor) -> Spectrum:
    """Where the variance of the images' luma lies, by spatial frequency.

    Discrete Fourier transform without a window: opposite edges that differ add energy along the axes, in real and
    generated images alike. Height and width are cropped to multiples of 4, so that grids fall on exact frequencies.

    Args:
        images: uint8, (n, c, h, w), n at least 1, at least 8 pixels high and wide. Three channels are red, green and
            blue; the mean of any other number is taken.

    Raises:
        ValueError: The images are too small or none.
    """
    n, channels, height, width = images.shape
    if n < 1 or min(height, width) < SMALLEST:
        raise ValueError(
            f"a spectrum needs images of at least {SMALLEST} x {SMALLEST} pixels, got {tuple(images.shape)}"
        )
    height, width = height - height % 4, width - width % 4
    vertical, horizontal = _frequencies(height, images.device), _frequencies(width, images.device)
    radius = torch.hypot(vertical[:, None], horizontal[None])
    repeating = {period: _repeating(height, width, period, images.device) for period in (1, *PERIODS)}
    grids = {period: repeating[period] & ~repeating[period // 2] for period in PERIODS}
    arounds = {period: _beside(grids[period]) & ~repeating[max(PERIODS)] for period in PERIODS}
    weights = torch.tensor(LUMA if channels == 3 else (1 / channels,) * channels, dtype=torch.float64)
    weights = weights.to(images.device).view(-1, 1, 1) / 255
    total = torch.zeros(height, width, dtype=torch.float64, device=images.device)
    tops: list[Tensor] = []
    on: dict[int, list[Tensor]] = {period: [] for period in PERIODS}
    beside: dict[int, list[Tensor]] = {period: [] for period in PERIODS}
    for part in torch.split(images, max(1, CHUNK_PIXELS // (height * width * channels))):
        luma = (part[:, :, :height, :width] * weights).sum(1)
        power = _power(luma)
        total += power.sum(0)
        tops.append(power[:, radius >= TOP_BAND].sum(1))
        for period in PERIODS:
            on[period].append(power[:, grids[period]].sum(1))
            beside[period].append(power[:, arounds[period]].mean(1))
    mean_power = total / n
    ring = (radius * min(height, width)).round().long().flatten()
    radial = torch.bincount(ring, mean_power.flatten()) / torch.bincount(ring)
    return Spectrum(
        frequencies=torch.arange(1, len(radial), dtype=torch.float64) / min(height, width),
        radial=radial[1:].cpu(),
        power=mean_power.roll((height // 2, width // 2), (0, 1)).cpu(),
        top=torch.cat(tops).cpu(),
        grid={period: torch.cat(parts).cpu() for period, parts in on.items()},
        around={period: torch.cat(parts).cpu() for period, parts in beside.items()},
    )


def _power(luma: Tensor) -> Tensor:
    waves = torch.view_as_real(torch.fft.fft2(luma))  # pyright: ignore[reportUnknownArgumentType]
    return waves.square().sum(-1) / (luma.shape[-2] * luma.shape[-1]) ** 2


def _frequencies(size: int, device: torch.device) -> Tensor:
    return torch.fft.fftfreq(size, dtype=torch.float64, device=device)  # pyright: ignore[reportUnknownVariableType]


def _repeating(height: int, width: int, period: int, device: torch.device) -> Tensor:
    """Which frequencies an image that repeats every so many pixels can have: bool, (h, w)."""
    mask = torch.zeros(height, width, dtype=torch.bool, device=device)
    mask[:: height // period, :: width // period] = True
    return mask


def _beside(mask: Tensor) -> Tensor:
    """Which frequencies are one of the eight neighbours of a marked one, or marked themselves; the edges wrap."""
    shifts = [(i, j) for i in (-1, 0, 1) for j in (-1, 0, 1)]
    return torch.stack([mask.roll(shift, (0, 1)) for shift in shifts]).any(0)


def _peak(spectrum: Spectrum, period: int) -> Tensor:
    """Energy on a grid by energy beside it, as values whose mean is the ratio of means and whose spread its error."""
    on, beside = spectrum.grid[period], spectrum.around[period]
    peak = on.mean() / beside.mean()
    return peak + (on - peak * beside) / beside.mean()
