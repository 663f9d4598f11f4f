"""What a split holds, by hashes of its pixels: how one tells later whether it is still the same, and what changed."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from shoestring.data.dataset import Images
from shoestring.data.splits import content_hashes


@dataclass(frozen=True)
class Manifest:
    """What a split held when it was loaded.

    Attributes:
        count: Images.
        digest: A hash over the images and their labels, in whatever order; 32 hex digits.
        images: "HASH LABEL" of each image, sorted, where it is to be known later what changed; else empty.
    """

    count: int
    digest: str
    images: tuple[str, ...] = ()

    @property
    def pixels(self) -> set[str]:
        """The hashes of the images' pixels."""
        return {image.split()[0] for image in self.images}

    def to_json(self) -> dict[str, Any]:
        """Plain values, of which it can be made again."""
        return asdict(self) | {"images": list(self.images)}


def manifest(images: Images, listed: bool) -> Manifest:
    """The manifest of a split, of the pixels as a net gets them, before any augmentation.

    Args:
        images: The split.
        listed: Whether it shall name every image; of many images that takes 40 bytes each.
    """
    pixels = content_hashes(images.images.numpy())
    entries = np.column_stack([pixels, images.labels.numpy().astype(np.uint64)])
    entries = entries[np.lexsort(entries.T[::-1])]
    whole = content_hashes([entries.astype(">u8").tobytes()])[0]
    names = (f"{high:016x}{low:016x} {label}" for high, low, label in entries.tolist()) if listed else ()
    return Manifest(len(images), "".join(f"{half:016x}" for half in whole.tolist()), tuple(names))


def changes(before: Mapping[str, Manifest], now: Mapping[str, Manifest]) -> str:
    """What became of the images of some splits, in a few words; empty where they are the same.

    Args:
        before: Manifests by split.
        now: Later ones of the same splits.
    """
    if all(before[split].digest == now[split].digest for split in before):
        return ""
    if not any(manifest.images for manifest in before.values()):
        return "; ".join(
            f"{split} has {now[split].count:,} images and had {before[split].count:,}"
            if now[split].count != before[split].count
            else f"{split} has other images or labels, as many as before"
            for split in before
            if now[split].digest != before[split].digest
        )
    old, new = _places(before), _places(now)
    found: Counter[str] = Counter()
    for pixels in old.keys() | new.keys():
        was, has = old.get(pixels, Counter()), new.get(pixels, Counter())
        left, came = was - has, has - was
        kept = min(left.total(), came.total())
        found["added"] += came.total() - kept
        found["removed"] += left.total() - kept
        moved = {split for split, _ in left} != {split for split, _ in came}
        found["moved between splits" if moved else "labelled otherwise"] += kept
    return ", ".join(f"{count:,} {what}" for what, count in found.items() if count)


def _places(manifests: Mapping[str, Manifest]) -> dict[str, Counter[tuple[str, str]]]:
    """By the hash of its pixels, in which splits an image is with which labels, and how often."""
    found: dict[str, Counter[tuple[str, str]]] = {}
    for split, one in manifests.items():
        for image in one.images:
            pixels, label = image.split()
            found.setdefault(pixels, Counter())[split, label] += 1
    return found
