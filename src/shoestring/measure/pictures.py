"""Images to measure from a folder of PNG files."""

import warnings
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from shoestring.errors import DataError
from shoestring.progress import Progress

_MODES = {"RGB", "L", "P", "1"}  # those that become 8-bit RGB without a choice to make


def read_folder(folder: Path, progress: Progress) -> Tensor:
    """All PNG files directly in a folder, in the order of their names.

    Args:
        folder: The folder; files whose names do not end in .png are left out.
        progress: Told of the files read.

    Returns:
        uint8, (n, 3, height, width); grey and palette images as RGB.

    Raises:
        DataError: There is no folder or no PNG file in it; one is damaged, no PNG, of another size than the first, or
            has transparency or 16 bits.
    """
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder; give one that holds the images as PNG files")
    files = sorted(file for file in folder.iterdir() if file.suffix.lower() == ".png")
    if not files:
        raise DataError(f"{folder} holds no PNG files; give a folder that holds them directly, not in folders below it")
    images: list[Tensor] = []
    with progress.task(f"reading {folder.name}", len(files), "images") as advance:
        for file in files:
            image = _read(file)
            if images and image.shape != images[0].shape:
                first, size = (f"{each.shape[2]}x{each.shape[1]}" for each in (images[0], image))
                raise DataError(
                    f"{file} is {size}, but {files[0].name} is {first} (width x height); all images of a set must have "
                    "one size: resize them before, all in the same way"
                )
            images.append(image)
            advance()
    return torch.stack(images)


def _read(file: Path) -> Tensor:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(file, formats=["PNG"]) as picture:
                mode, transparent = picture.mode, "transparency" in picture.info
                depth = _bit_depth(file)
                pixels = np.array(picture.convert("RGB"))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise DataError(f"{file} cannot be read as a PNG image ({error}); replace or remove it") from error
    if mode not in _MODES or transparent or depth > 8:
        raise DataError(
            f"{file} is a PNG of mode {mode} and {depth} bits{' with transparency' if transparent else ''}; save it as "
            "8-bit RGB without transparency"
        )
    return torch.from_numpy(pixels).permute(2, 0, 1).contiguous()


def _bit_depth(file: Path) -> int:
    """The bits of a sample, which Pillow does not tell: it drops the lower 8 of 16 without a word."""
    with file.open("rb") as content:
        return content.read(25)[24]  # after the signature of 8 bytes, IHDR's length, name, width and height
