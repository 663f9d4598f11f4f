"""Features kept on disk, a thousand images a file: none is computed twice, and an interrupted evaluation goes on."""

import hashlib
import json
import os
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from shoestring.core.atomic_files import write_atomic
from shoestring.core.progress import Progress
from shoestring.metrics.features.extractor import BATCH, Extractor, batches, check_images, identity

PART = 1000  # images a file
MOST = 4 * 2**30  # bytes; a sampling of 10,000 images takes 31 MB at 768 dimensions


def extract_once(
    extractor: Extractor, images: Tensor, folder: Path, progress: Progress, batch_size: int = BATCH
) -> Tensor:
    """Features of all images; those that the same extractor has made of the same images before are read from a cache.

    A file's name is a hash of its images' shape, pixels and order and of the extractor's identity and code. Features
    carry a checksum; a damaged file is computed anew. The files used longest ago go when the cache holds more than
    `MOST`. A cache that cannot be written is done without.

    Args:
        extractor: The frozen extractor.
        images: uint8, (n, channels, height, width).
        folder: The cache; made when missing, and free to be deleted at any time.
        progress: Reports the images done, a damaged file, and one that cannot be written.
        batch_size: As of `extractor.batches`.

    Returns:
        float32, (n, dimensions), on the CPU.

    Raises:
        DataError: As of `extractor.extract`.
    """
    check_images(images)
    parts: list[Tensor] = []
    keep = True  # until it fails, which is said once
    with progress.task(f"features of {extractor.name}", len(images), "images") as advance:
        for some in torch.split(images, PART):
            path = _path(folder, extractor, some)
            features = _read(path, progress)
            if features is None:
                features = torch.cat(list(batches(extractor, some, batch_size, advance)))
                keep = keep and _write(path, features, identity(extractor), progress)
                _forget(folder, MOST)
            else:
                advance(len(some))
            parts.append(features)
    return torch.cat(parts)


def _path(folder: Path, extractor: Extractor, images: Tensor) -> Path:
    seen = hashlib.sha256(json.dumps([identity(extractor), extractor.code, list(images.shape)]).encode())
    seen.update(images.cpu().numpy().tobytes())
    return folder / f"features-{seen.hexdigest()[:24]}.safetensors"


def _read(path: Path, progress: Progress) -> Tensor | None:
    try:
        with cast(Any, safetensors).safe_open(path, "pt") as file:
            facts, features = cast(dict[str, str], file.metadata()), cast(Tensor, file.get_tensor("features"))
        if _checksum(features) != facts["sha256"]:
            raise ValueError("its content does not match its checksum")
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, safetensors.SafetensorError) as error:
        progress.say(f"{path} is damaged ({error}); computing the features again")
        return None
    with suppress(OSError):
        os.utime(path)
    return features


def _write(path: Path, features: Tensor, extractor: str, progress: Progress) -> bool:
    facts = {"extractor": extractor, "images": str(len(features)), "sha256": _checksum(features)}
    try:
        write_atomic(path, safetensors.torch.save({"features": features}, metadata=facts))
    except OSError as error:
        progress.say(f"features are not kept for another time: {error}")
        return False
    return True


def _checksum(features: Tensor) -> str:
    return hashlib.sha256(features.numpy().tobytes()).hexdigest()


def _forget(folder: Path, most: int) -> None:
    found: list[tuple[Path, os.stat_result]] = []
    for file in folder.glob("features-*.safetensors"):
        with suppress(OSError):  # another process may have the same idea
            found.append((file, file.stat()))
    total = sum(facts.st_size for _, facts in found)
    for file, facts in sorted(found, key=lambda one: one[1].st_mtime):
        if total <= most:
            return
        with suppress(OSError):
            file.unlink()
        total -= facts.st_size
