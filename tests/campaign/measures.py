"""Every measure against a formula written out independently, on random sets, the awkward ones too."""

import json
import math
import random
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import scipy.special
import scipy.stats
import torch
from numpy.typing import NDArray
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from campaign.trials import Trial, drawn, where
from shoestring.metrics.classification import Predictions, classification_metrics
from shoestring.metrics.features.extractor import FeatureSet
from shoestring.metrics.generative.diversity import diversity
from shoestring.metrics.generative.fid import extrapolated_frechet_distance, frechet_distance
from shoestring.metrics.generative.kid import kernel_distance
from shoestring.metrics.generative.memorization import memorisation
from shoestring.metrics.generative.mode_collapse import class_collapse
from shoestring.metrics.generative.path_smoothness import smoothness
from shoestring.metrics.generative.power_spectrum import checkerboard
from shoestring.metrics.generative.prdc import prdc
from shoestring.metrics.statistics import mean_interval, paired_difference, ratio, student_quantile, wilson_interval

PROMISE = "measures agree with independent formulas"
ASKED = 1000
Array = NDArray[np.float64]
RELATIVE = 1e-6


def trials(folder: Path, seed: int, numbers: Iterable[int]) -> Iterator[Trial]:
    """A trial is a set of one kind with all measures that there are of it; its error is that of the worst."""
    del folder  # nothing is written
    for number in numbers:
        draw = drawn(seed, number)
        rng = np.random.default_rng([seed, number])
        check = CHECKS[number % len(CHECKS)]
        try:
            what, errors = check(draw, rng)
            wrong = {name: error for name, error in errors.items() if not error <= RELATIVE}
            broken = ", ".join(f"{name} differs by {error:.2g}" for name, error in wrong.items())
            yield Trial(
                number, f"{check.__name__}: {what}", broken, {"relative error": max(errors.values(), default=0)}
            )
        except Exception as error:
            yield Trial(number, f"{check.__name__}: unknown", where(error))


def error(found: Any, expected: Any, scale: float | None = None) -> float:
    """The largest difference, relative to the expected value or to a scale; infinite where only one is a number."""
    if found is None or expected is None:
        return 0.0 if found is expected else math.inf
    a, b = np.asarray(found, float), np.asarray(expected, float)
    if a.shape != b.shape or not np.isfinite(a).all():
        return math.inf
    return float(
        (np.abs(a - b) / (np.maximum(np.abs(b), 1e-9) if scale is None else max(scale, 1e-300))).max(initial=0)
    )


def _classified(draw: random.Random, rng: np.random.Generator) -> tuple[str, dict[str, float]]:
    n, k = draw.choice((1, 2, 5, 40, 300)), draw.choice((2, 3, 6, 20))
    scale = draw.choice((0.0, 1.0, 3.0, 60.0))
    logits = (rng.normal(0, 1, (n, k)) * scale).astype(np.float32)
    if draw.random() < 0.3:
        logits = logits.round()  # ties
    labels = rng.integers(0, draw.choice((1, k, k)), n)
    sizes = [1] * (n % 3) + [3] * (n // 3) if n >= 3 and draw.random() < 0.5 else [n]
    sizes = sorted(sizes, reverse=True)
    found = classification_metrics(Predictions(torch.tensor(logits), torch.tensor(labels), tuple(sizes)), k)
    wide = logits.astype(float)
    ranks = np.argsort(-wide, 1, kind="stable")
    right = ranks[:, 0] == labels
    chances = np.exp(wide - scipy.special.logsumexp(wide, 1, keepdims=True))
    losses = scipy.special.logsumexp(wide, 1) - wide[np.arange(n), labels]
    confidence = chances.max(1)
    ece = 0.0
    for low in range(15):
        inside = (confidence > low / 15) & (confidence <= (low + 1) / 15)
        ece += inside.mean() * abs(right[inside].mean() - confidence[inside].mean()) if inside.any() else 0
    parts = [part.mean() for part in np.split(right, np.cumsum(sizes)[:-1]) if len(part) == sizes[0]]
    errors = {
        "accuracy": error(found["accuracy"].value, right.mean()),
        "accuracy's interval": error(found["accuracy"].interval, _wilson(int(right.sum()), n), 1),
        "loss": error(found["loss"].value, losses.mean(), max(losses.mean(), 1e-3)),
        "calibration": error(found["calibration_error"].value, ece, 1) if _off_edges(confidence) else 0,
        "batch accuracy": error(found["batch_accuracy"].value, np.mean(parts)),
        "confusion": error(np.sum(found["confusion"].value), n),
        "confusion's diagonal": error(np.trace(np.array(found["confusion"].value)), right.sum(), 1),
    }
    if k > 5:
        errors["top 5"] = error(found["top5_accuracy"].value, (ranks[:, :5] == labels[:, None]).any(1).mean())
    if "balanced_accuracy" in found:
        with np.errstate(all="ignore"):
            import warnings

            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                expected = balanced_accuracy_score(labels, ranks[:, 0])
        errors["balanced accuracy"] = error(found["balanced_accuracy"].value, expected)
    json.dumps({name: metric.to_json() for name, metric in found.items()}, allow_nan=False)
    return f"{n} of {k} classes, scale {scale:g}", errors


def _off_edges(confidence: Array) -> bool:
    """Whether no confidence is so near the edge of a bin that rounding decides."""
    return bool((np.abs(confidence * 15 - (confidence * 15).round()) > 1e-9).all())


def _intervals(draw: random.Random, rng: np.random.Generator) -> tuple[str, dict[str, float]]:
    n = draw.choice((1, 2, 10, 1000, 10_000))
    hits = draw.choice((0, n, rng.integers(0, n + 1)))
    degrees, chance = draw.choice((1, 2, 7, 200, 201, 5000)), draw.choice((0.6, 0.975, 0.9995))
    values = rng.normal(draw.choice((0, 100)), draw.choice((0, 1)), max(n, 2))
    half = scipy.stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / math.sqrt(len(values))
    tops, bottoms = rng.gamma(2, 1, n + 1), rng.gamma(3, 1, 50)
    quotient = tops.mean() / bottoms.mean()
    spread = tops.var(ddof=1) / len(tops) / tops.mean() ** 2 + bottoms.var(ddof=1) / 50 / bottoms.mean() ** 2
    before, after = rng.random(n) < 0.5, rng.random(n) < 0.7
    found = ratio(torch.tensor(tops), torch.tensor(bottoms), "")
    factor = math.exp(scipy.stats.norm.ppf(0.975) * math.sqrt(spread))
    errors = {
        "Wilson's interval": error(wilson_interval(int(hits), n), _wilson(int(hits), n), 1),
        "Student's quantile": error(student_quantile(chance, degrees), scipy.stats.t.ppf(chance, degrees)),
        "interval of a mean": error(
            mean_interval(torch.tensor(values)),
            (values.mean() - half, values.mean() + half),
            max(abs(values.mean()), 1),
        ),
        "ratio": error(found.value, quotient),
        "interval of a ratio": error(found.interval, (quotient / factor, quotient * factor)),
        "paired difference": error(
            paired_difference(torch.tensor(before), torch.tensor(after), "").value, after.mean() - before.mean(), 1
        ),
    }
    return f"{hits} of {n}, t of {degrees}", errors


def _wilson(hits: int, n: int) -> tuple[float, float]:
    found = scipy.stats.binomtest(hits, n).proportion_ci(method="wilson")
    return found.low, found.high


def _features(draw: random.Random, rng: np.random.Generator) -> tuple[str, Array, Array]:
    """Two sets of features of some kind, as float32 holds them."""
    n, m, d = draw.randrange(6, 60), draw.randrange(6, 60), draw.choice((1, 2, 8, 24))
    kinds: dict[str, Callable[[int, int], Array]] = {
        "plain": lambda n, shift: rng.normal(0.3 * shift, 1 + 0.2 * shift, (n, d)),
        "fewest": lambda n, shift: rng.normal(shift, 1, (6, d)),
        "offset": lambda n, shift: rng.normal(1000, 1, (n, d)),
        "tiny": lambda n, shift: rng.normal(0, 1e-3, (n, d)),
        "duplicates": lambda n, shift: np.repeat(rng.normal(0, 1, (3, d)), 4, 0),
        "ties": lambda n, shift: rng.integers(0, 3, (n, d)).astype(float),
        "collapsed": lambda n, shift: np.ones((n, d)) if shift else rng.normal(0, 1, (n, d)),
        "constant": lambda n, shift: np.full((n, d), 2.0),
        "apart": lambda n, shift: rng.normal(100 * shift, 1, (n, d)),
        "outlier": lambda n, shift: np.r_[rng.normal(0, 1, (n, d)), np.full((1, d), 50.0)],
        "rank one": lambda n, shift: rng.normal(0, 1, (n, 1)) * np.ones(d),
    }
    kind = draw.choice(list(kinds))
    real, made = (kinds[kind](count, shift).astype(np.float32).astype(float) for count, shift in ((n, 0), (m, 1)))
    return f"{kind}, {len(real)} and {len(made)} of {d}", real, made


def _distances(draw: random.Random, rng: np.random.Generator) -> tuple[str, dict[str, float]]:
    what, real, made = _features(draw, rng)
    ours, theirs = _set(real), _set(made)
    d = real.shape[1]
    # tr (C1 C2)^(1/2) is the nuclear norm of X1 X2' / sqrt((n-1)(m-1)), of centred sets.
    x, y = ((s - s.mean(0)) / math.sqrt(len(s) - 1) for s in (real, made))
    size = float((x**2).sum() + (y**2).sum() + ((real.mean(0) - made.mean(0)) ** 2).sum())
    fid = size - 2 * np.linalg.svd(x @ y.T, compute_uv=False).sum()
    n, m = len(real), len(made)
    aa, bb, ab = ((a @ b.T / d + 1) ** 3 for a, b in ((real, real), (made, made), (real, made)))
    kid = (aa.sum() - np.trace(aa)) / (n * (n - 1)) + (bb.sum() - np.trace(bb)) / (m * (m - 1)) - 2 * ab.mean()
    found = kernel_distance(ours, theirs, subsets=5)
    errors = {
        "Fréchet distance": error(frechet_distance(ours.moments, theirs.moments), max(fid, 0), max(size, 1e-12)),
        "kernel distance": error(found.value, kid, float(np.abs(ab).mean() + aa.mean() + bb.mean())),
    }
    if m >= 40:
        line = extrapolated_frechet_distance(ours.moments, theirs, points=5)
        fitted = np.polyfit(1 / np.array(line.counts), line.distances, 1)[1]
        errors["extrapolated distance"] = error(line.value, fitted, max(size, 1e-12))
    return what, errors


def _neighbours(draw: random.Random, rng: np.random.Generator) -> tuple[str, dict[str, float]]:
    what, real, made = _features(draw, rng)
    rr, ff, rf = _between(real, real), _between(made, made), _between(real, made)
    third, own_third, fifth = np.sort(rr, 1)[:, 3], np.sort(ff, 1)[:, 3], np.sort(rr, 1)[:, 5]
    expected = {
        "precision": (rf <= third[:, None]).any(0).mean(),
        "recall": (rf <= own_third[None]).any(1).mean(),
        "density": (rf <= fifth[:, None]).sum(0).mean() / 5,
        "coverage": (rf.min(1) <= fifth).mean(),
    }
    found = prdc(_set(real), _set(made))
    errors = {name: error(found[name].value, value, 1) for name, value in expected.items()}
    train = real[: max(2, len(real) // 2)]
    copies = memorisation(*(torch.tensor(s, dtype=torch.float32) for s in (made, real, train)))
    near, usual = (np.sqrt(_between(s, train).min(1)) for s in (made, real))
    limit = np.quantile(usual, 0.01, method="lower")
    auc = roc_auc_score([1] * len(near) + [0] * len(usual), -np.r_[near, usual])
    errors |= {
        "memorised": error(copies.metrics["memorised"].value, (near <= limit).mean(), 1),
        "memorised of held out": error(copies.metrics["memorised_held_out"].value, (usual <= limit).mean(), 1),
        "nearer than held out": error(copies.metrics["nearer_than_held_out"].value, auc, 1),
        "nearest distance": error(copies.generated.distances.numpy(), near, max(float(near.max()), 1e-12)),
    }
    spread = diversity(*(torch.tensor(s, dtype=torch.float32) for s in (made, real))).metrics
    pairs = {name: np.sqrt(square)[np.triu_indices(len(square), 1)].mean() for name, square in (("f", ff), ("r", rr))}
    size = float(max(np.abs(made - made[0]).max(), np.abs(real - real[0]).max()))  # distances come from products
    errors |= {
        "pairwise distance": error(spread["pairwise_distance"].value, pairs["f"], max(size, 1e-9)),
        "pairwise distance of real": error(spread["pairwise_distance_real"].value, pairs["r"], max(size, 1e-9)),
        "diversity": error(spread["diversity"].value, pairs["f"] / pairs["r"], 1 + pairs["f"] / pairs["r"])
        if pairs["r"] > 1e-6 * size > 0
        else 0.0,
    }
    return what, errors


def _classes(draw: random.Random, rng: np.random.Generator) -> tuple[str, dict[str, float]]:
    k, n = draw.choice((1, 2, 10, 100)), draw.choice((2, 5, 300))
    made = rng.integers(0, draw.choice((1, k)), n)
    real = rng.integers(0, k, draw.choice((2, n)))
    found = class_collapse(torch.tensor(made), torch.tensor(real), k).metrics
    shares = np.bincount(made, minlength=k) / len(made)
    entropy = scipy.stats.entropy(shares)
    missing = len(set(real.tolist()) - set(made.tolist()))
    errors = {
        "class entropy": error(found["class_entropy"].value, entropy, 1),
        "effective classes": error(found["effective_classes"].value, math.exp(entropy)),
        "classes missing": error(found["classes_missing"].value, missing, 1),
        "class entropy of real": error(
            found["class_entropy_real"].value, scipy.stats.entropy(np.bincount(real, minlength=k) / len(real)), 1
        ),
    }
    return f"{n} of {k} classes", errors


def _pictures(draw: random.Random, rng: np.random.Generator) -> tuple[str, dict[str, float]]:
    size, channels = draw.choice((8, 12, 17)), draw.choice((1, 3))
    made, real = (rng.integers(0, 256, (draw.randrange(2, 9), channels, size, size), dtype=np.uint8) for _ in range(2))
    if draw.random() < 0.2:
        made = np.repeat(made[:1], 3, 0)
    found = checkerboard(torch.tensor(made), torch.tensor(real)).metrics
    paths = rng.normal(0, 1, (4, draw.choice((3, 8)), 5))
    paths[0] = draw.choice((0, 1)) * paths[0]
    steps = np.sqrt((np.diff(paths, axis=1) ** 2).sum(2))
    moving = steps[steps.sum(1) > 0]
    even = smoothness(torch.tensor(paths)).metrics
    errors = {
        "high frequency energy": error(found["high_frequency_energy"].value, _top(made) / _top(real)),
        "grid energy": error(found["grid_energy_period_2"].value, _grid(made) / _grid(real)),
        "longest by mean step": error(even["max_over_mean_step"].value, (moving.max(1) / moving.mean(1)).mean()),
        "constant paths": error(even["frac_constant_paths"].value, 1 - len(moving) / 4, 1),
    }
    return f"{len(made)} and {len(real)} of {channels}x{size}x{size}", errors


def _luma(images: NDArray[np.uint8]) -> Array:
    size = images.shape[-1] - images.shape[-1] % 4
    weights = np.array((0.299, 0.587, 0.114) if images.shape[1] == 3 else (1.0,))
    return np.tensordot(images[..., :size, :size] / 255, weights, axes=(1, 0))


def _top(images: NDArray[np.uint8]) -> float:
    luma = _luma(images)
    frequencies = np.fft.fftfreq(luma.shape[-1])
    high = np.sqrt(frequencies[:, None] ** 2 + frequencies[None] ** 2) >= 0.375
    return float((np.abs(np.fft.fft2(luma)) ** 2)[:, high].sum(1).mean()) / luma.shape[-1] ** 4


def _grid(images: NDArray[np.uint8]) -> float:
    """Energy at the frequencies of period 2: half a cycle per pixel along either axis or both."""
    luma = _luma(images)
    half = luma.shape[-1] // 2
    power = np.abs(np.fft.fft2(luma)) ** 2
    return float((power[:, 0, half] + power[:, half, 0] + power[:, half, half]).mean()) / luma.shape[-1] ** 4


def _between(a: Array, b: Array) -> Array:
    """Squared distances, from differences."""
    return ((a[:, None] - b[None]) ** 2).sum(-1)


def _set(values: Array) -> FeatureSet:
    return FeatureSet(torch.tensor(values, dtype=torch.float32), "e 1 none 0")


CHECKS = (_classified, _intervals, _distances, _neighbours, _classes, _pictures)
