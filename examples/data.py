"""Data by a function: shoestring train cifar100-best --data examples/data.py:stripes --data.tune 100."""

import numpy as np


def stripes(split, count: int = 600, size: int = 32):
    """Grey stripes across, down or both, in noise."""
    rng = np.random.default_rng({"train": 0, "test": 1}[split])
    labels = rng.integers(0, 3, count)
    waves = 64 * np.sign(np.sin(np.arange(size) * 0.8 + rng.uniform(0, 6, (count, 1))))
    across, down = waves[:, :, None] * (labels != 1)[:, None, None], waves[:, None, :] * (labels != 0)[:, None, None]
    images = 128 + (across + down) / 2 + rng.normal(0, 30, (count, size, size))
    return images.clip(0, 255).astype(np.uint8), labels, ("across", "down", "both")
