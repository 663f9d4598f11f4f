"""Runs as a training leaves them, made by hand through Run's own methods, with numbers that tests know."""

import functools
import math
from pathlib import Path
from typing import Any

import numpy as np
import torch

from shoestring.core.budget import Layer
from shoestring.core.image_grid import grid
from shoestring.core.run import Run
from shoestring.metrics.statistics import fraction

ANIMALS = ("ant", "bee", "cat", "dog", "eel", "fox", "gnu", "hen", "ibis", "jay", "kiwi", "lark", "mole", "newt", "owl",
           "pug", "quail", "rat", "seal", "toad")  # fmt: skip

CLASSIFIER: dict[str, Any] = {
    "name": "cifar100-resnet",
    "summary": "Bottleneck ResNet on CIFAR-100 under 100,000 parameters.",
    "budget": {"parameters": 100_000, "steps": 10_000, "nfe": None},
    "data": {"kind": "cifar100", "tune": 0},
    "augment": {"horizontal_flip": True, "brightness": 0.2, "crop_padding": 0},
    "net": {"kind": "bottleneck", "stem": 32, "stages": [[5, 32], [4, 64], [3, 128]]},
    "task": {"kind": "classify", "label_smoothing": 0.0},
    "optimiser": {"kind": "adam", "learning_rate": 0.002, "betas": [0.9, 0.999], "weight_decay": 0.0},
    "schedule": {"kind": "constant"},
    "batch_size": 64,
    "ema": [],
    "seed": 7,
    "cadence": {"log": 50, "evaluate": 500, "checkpoint": 500},
    "engine": {"precision": "auto"},
    "published": {
        "metric": "accuracy",
        "value": 0.494,
        "line": "train loss: 1.812, train acc: 0.521±0.065, test acc: 0.494±0.066",
        "source": "paper 2",
    },
}

GENERATOR: dict[str, Any] = CLASSIFIER | {
    "name": "cifar100-dcgan-44",
    "summary": "DCGAN on CIFAR-100 under 1,000,000 parameters.",
    "budget": {"parameters": 1_000_000, "steps": 50_000, "nfe": None},
    "net": {"kind": "refined-dcgan", "width": 44, "latent": 110},
    "task": {"kind": "adversarial", "label_noise": 0.1},
    "published": {"metric": "fid", "value": 50.283, "line": "FID 50.283 against the test set", "source": "paper 1"},
}


def layers(net: str, parameters: list[int]) -> list[Layer]:
    return [
        Layer(f"{net}.block{index}.convolution", "Conv2d 3x3 s1", (32, 16, 16), count, 1_000 * count)
        for index, count in enumerate(parameters)
    ]


def environment(steps: int) -> dict[str, Any]:
    half = steps // 2
    return {
        "versions": {"python": "3.12.1", "torch": "2.11.0", "shoestring": "0.1.0"},
        "commit": "a76c93e",
        "machine": {"device": "cpu", "processor": "EPYC", "cores": 2, "threads": 1, "precision": "float32"},
        "sessions": [
            {"started": "2026-01-02T03:04:05+00:00", "from_step": 0, "to_step": half, "seconds": 2_000.0},
            {"started": "2026-01-02T05:00:00+00:00", "from_step": half, "to_step": steps, "seconds": 1_750.0},
        ],
    }


def classifier_log(steps: int) -> list[dict[str, Any]]:
    noise = np.random.default_rng(3)
    records: list[dict[str, Any]] = []
    for step in range(50, steps + 1, 50):
        accuracy = 0.52 * (1 - math.exp(-step / 2_000)) + 0.01 * noise.normal()
        mean = {"classifier/loss": 4.6 - 5.4 * accuracy, "accuracy": accuracy}
        spread = {"classifier/loss": 0.2, "accuracy": 0.065}
        run_data = {"learning_rate": 0.002 * (1 - step / steps), "images_per_second": 1_000.0 + step, "seconds": 2.5}
        records.append({"step": step, "kind": "train", "count": 50, "mean": mean, "std": spread} | run_data)
        if step % 500 == 0:
            tune = {"loss": 4.6 - 5.3 * accuracy, "accuracy": accuracy - 0.02}
            records.append({"step": step, "kind": "tune", "n": 5_000, "mean": tune})
    return records


def confusion(classes: int, each: int = 100) -> np.ndarray:
    """Class 0 is right 10 of 100 times and taken 60 times for class 1; class k is right 30 + (k mod 60) times."""
    chance = np.random.default_rng(5)
    counts = np.zeros((classes, classes), dtype=int)
    for true in range(classes):
        right = 10 if true == 0 else 30 + true % 60
        counts[true, true] = right
        if true == 0:
            counts[0, 1], right = 60, 70
        for answer in chance.integers(0, classes - 1, each - right):
            counts[true, answer if answer < true else answer + 1] += 1
    return counts


def classifier(folder: Path, classes: int = 20, steps: int = 10_000, **recipe: Any) -> Run:
    """A finished classifier with test accuracy 0.501 (n 10,000), train accuracy 0.528 and 99,364 parameters."""
    run = Run(folder)
    run.write_recipe(CLASSIFIER | recipe, layers("classifier", [928, 5_920, 19_840, 59_776, 12_900]), {})
    run.write_json("environment.json", environment(steps))
    run.write_json(
        "classes.json", list(ANIMALS[:classes]) if classes <= 20 else [f"species {k}" for k in range(classes)]
    )
    run.append_log(classifier_log(steps))
    counts = confusion(classes)
    bins = [
        {"low": k / 10, "high": (k + 1) / 10, "n": 1_000 * (k > 0), "confidence": k / 10 + 0.05, "accuracy": 0.1 * k}
        for k in range(10)
    ]
    run.write_metrics(
        "test",
        {
            "accuracy": fraction(5_010, 10_000, "shoestring 0.1.0 measure.accuracy sha256:0123456789abcdef").to_json(),
            "top5_accuracy": {"value": 0.801, "n": 10_000, "interval": [0.793, 0.809], "std": None},
            "loss": {"value": 1.9123, "n": 10_000, "interval": [1.88, 1.94], "std": 1.5},
            "batch_accuracy": {"value": 0.5012, "n": 156, "interval": [0.491, 0.511], "std": 0.0655,
                               "note": "Over 156 full mini-batches of 64 images."},
            "calibration_error": {"value": 0.05, "n": 10_000, "interval": None, "std": None},
            "calibration": {"value": bins, "n": 9_000, "interval": None, "std": None},
            "confusion": {"value": counts.tolist(), "n": int(counts.sum()), "interval": None, "std": None},
        },
    )  # fmt: skip
    run.write_metrics(
        "train",
        {
            "classifier/loss": {"value": 1.7654, "n": 1_000, "interval": [1.75, 1.78], "std": 0.21},
            "accuracy": {"value": 0.528, "n": 1_000, "interval": [0.524, 0.532], "std": 0.0641},
        },
    )
    run.write_bytes("samples/mistakes.png", images(16))
    captions = '[{"file": "mistakes.png", "title": "Most confident mistakes", "caption": "The 16 worst."}]'
    run.write_bytes("samples/pictures.json", captions.encode())
    run.write_weights({"weight": torch.zeros(1)}, {})
    return run


def generator(folder: Path, steps: int = 50_000) -> Run:
    """A finished GAN with FID 41.25 at n 10,000, floor 3.5, and 998,553 parameters."""
    run, chance = Run(folder), np.random.default_rng(9)
    nets = layers("generator", [310_288, 248_072, 62_084, 31_108, 1_197]) + layers("discriminator", [345_804])
    run.write_recipe(GENERATOR, nets, {})
    run.write_json("environment.json", environment(steps))
    records: list[dict[str, Any]] = []
    for step in range(500, steps + 1, 500):
        near = math.exp(-step / 10_000)
        mean = {"discriminator/loss": 1.2 - 0.2 * near + 0.03 * chance.normal(), "real": 0.6 + 0.2 * near,
                "generator/loss": 1.0 + near + 0.1 * chance.normal(), "fake": 0.4 - 0.2 * near}  # fmt: skip
        run_data = {"learning_rate": 0.0002, "images_per_second": 5_000.0, "seconds": 1.0}
        spread = dict.fromkeys(mean, 0.05)
        records.append({"step": step, "kind": "train", "count": 500, "mean": mean, "std": spread} | run_data)
        if step % 5_000 == 0:
            logits = {"train": 1.5, "tune": 1.5 - step / steps, "generated": -0.5}
            records.append({"step": step, "kind": "logits", "n": 2_000, "mean": logits})
    run.append_log(records)
    features = {"features": "inception-v3", "resizing": "bicubic, antialiased"}
    run.write_metrics(
        "test",
        {
            "fid": {"value": 41.25, "n": 10_000, "std": 0.12, "real_baseline": 3.5, "gap_to_real": 37.75} | features,
            "kid": {"value": 0.0212, "n": 10_000, "interval": [0.0202, 0.0222], "gap_to_real": 0.0212} | features,
        },
    )
    for name in ("samples", "interpolations", "picked"):
        run.write_bytes(f"samples/{name}.png", images(64))
    for step in range(5_000, steps + 1, 2_500):
        run.write_bytes(f"samples/step-{step:08d}.png", images(64))
    picked = "picked by discriminator score, best 16 of 1,024"
    captions = [
        {"file": "samples.png", "title": "Samples", "caption": "64."},
        {"file": "picked.png", "caption": picked},
    ]
    run.write_json("samples/pictures.json", captions)
    run.write_weights({"weight": torch.zeros(1)}, {})
    return run


@functools.cache
def images(count: int) -> bytes:
    """A PNG grid of random smooth images."""
    noise = torch.rand(count, 3, 5, 5, generator=torch.Generator().manual_seed(count))
    smooth = torch.nn.functional.interpolate(noise, size=32, mode="bilinear")
    return grid((255 * smooth).to(torch.uint8), columns=8)
