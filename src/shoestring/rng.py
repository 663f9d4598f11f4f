"""Randomness as a function of (seed, purpose, step): nothing to save, nothing to restore."""

import hashlib

import torch


def derive(seed: int, *path: str | int) -> int:
    """A 63-bit seed that depends on every part of the path.

    Args:
        seed: The recipe's seed.
        path: What the numbers are for, such as "augment" and a step.
    """
    text = "/".join(str(part) for part in (seed, *path))
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def generator(seed: int, *path: str | int, device: torch.device | str = "cpu") -> torch.Generator:
    """A fresh generator on a device, seeded from the path."""
    return torch.Generator(device=device).manual_seed(derive(seed, *path))
