"""Which images are held out of train: a function of their content, whatever order their files list them in."""

import hashlib
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shoestring.core.errors import DataError


def content_hashes(contents: Iterable[Any], key: str = "") -> NDArray[np.uint64]:
    """A hash of each item's content, in two halves: uint64, (n, 2).

    Args:
        contents: One bytes-like object per item, such as the rows of a uint8 array.
        key: Another key gives other hashes; at most 64 bytes.
    """
    salt = key.encode()
    digests = b"".join(hashlib.blake2b(content, digest_size=16, key=salt).digest() for content in contents)
    return np.frombuffer(digests, dtype=">u8").astype(np.uint64).reshape(-1, 2)


def content_order(contents: Iterable[Any], labels: NDArray[np.int64], key: str = "") -> NDArray[np.int64]:
    """The indices that sort items by a hash of their content: a shuffle that is the same for every row order.

    Items of equal content are ordered by label; those equal in both are interchangeable.

    Args:
        contents: As of `content_hashes`.
        labels: int64, (n,).
        key: As of `content_hashes`.

    Returns:
        int64, (n,).
    """
    hashes = content_hashes(contents, key)
    return np.lexsort((labels, hashes[:, 1], hashes[:, 0]))


def content_below(contents: Iterable[Any], fraction: float, key: str = "") -> NDArray[np.bool_]:
    """A mask of the items whose hash is below a fraction of all hashes; whether one is depends on no other item.

    Args:
        contents: As of `content_hashes`.
        fraction: 0..1; about that part of many different items is below.
        key: As of `content_hashes`.
    """
    return content_hashes(contents, key)[:, 0] < np.float64(fraction * 2.0**64)


def hold_out(labels: NDArray[np.int64], count: int, num_classes: int, *, leave_some: bool = True) -> NDArray[np.bool_]:
    """A mask of `count` items, in each class its first ones.

    Each class gives in proportion to its size, equal classes equally; the images that do not divide come one each from
    the classes with the largest remainders, the lower label first among equals.

    Args:
        labels: int64, (n,), in 0..num_classes-1, in the order in which items are to be taken.
        count: How many to hold out.
        num_classes: Number of classes.
        leave_some: Whether every class must keep an item.

    Raises:
        DataError: A class would keep none although it must.
    """
    sizes = np.bincount(labels, minlength=num_classes)
    shares = sizes * count // max(len(labels), 1)
    remainders = sizes * count % max(len(labels), 1)
    shares[np.argsort(-remainders, kind="stable")[: count - int(shares.sum())]] += 1
    emptied = sizes[(shares >= sizes) & (sizes > 0)]
    if leave_some and count and len(emptied):
        raise DataError(
            f"{count:,} of {len(labels):,} images held out would leave a class with none of its {emptied.min():,}; "
            "add images to it, or hold out fewer"
        )
    mask = np.zeros(len(labels), dtype=np.bool_)
    for label in range(num_classes):
        mask[np.flatnonzero(labels == label)[: shares[label]]] = True
    return mask
