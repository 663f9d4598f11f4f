"""Randomness as a function of (seed, purpose, step): nothing to save, nothing to restore."""

import hashlib
from collections.abc import Callable, Generator
from contextlib import contextmanager

import torch
from torch import Tensor

BLOCK = 500  # random numbers that share a generator; another value would make other images of every seed


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


@contextmanager
def seeded(seed: int, *path: str | int, device: torch.device | str = "cpu") -> Generator[None]:
    """Inside, torch's own random numbers, such as those of dropout, are a function of the path; outside, as before."""
    with torch.random.fork_rng(devices=[device] if torch.device(device).type == "cuda" else []):
        torch.manual_seed(derive(seed, *path))
        yield


def in_blocks(draw: Callable[..., Tensor], count: int, shape: tuple[int, ...], seed: int, *path: str | int) -> Tensor:
    """Random numbers (count, *shape), on the CPU, of which the first do not depend on how many are asked for.

    Args:
        draw: torch.rand, torch.randn or alike.
        count: How many.
        shape: Shape of each.
        seed: The recipe's seed, or a sampling's.
        path: What the numbers are for.
    """
    blocks = [draw(BLOCK, *shape, generator=generator(seed, *path, i)) for i in range(-(-count // BLOCK))]
    return torch.cat(blocks)[:count]
