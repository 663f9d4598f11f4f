"""Images to measure from a NumPy file."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from shoestring.errors import DataError

_PREFERRED = ("images", "samples", "arr_0")  # names of arrays in .npz files, as they are commonly written


def read_array(path: Path) -> Tensor:
    """The images in a .npy or .npz file.

    Args:
        path: Holds uint8, (n, c, h, w), (n, h, w, c) or (n, h, w), c 1 or 3. Of a .npz file the array "images",
            "samples" or "arr_0" is taken, or the only one.

    Returns:
        uint8, (n, 3, h, w); grey images as RGB.

    Raises:
        DataError: The file cannot be read, or the array is of another type or shape; NaN is named.
    """
    array = _load(path)
    if array.dtype != np.uint8:
        numbers = array.dtype.kind == "f"
        extra = f", {int(np.isnan(array).sum()):,} of its values NaN" if numbers and bool(np.isnan(array).any()) else ""
        raise DataError(
            f"{path} holds {array.dtype}{extra}; images must be uint8 in 0..255: scale, round and clip them"
        )
    if array.ndim == 3:
        array = array[:, None]
    if array.ndim == 4 and array.shape[1] not in (1, 3) and array.shape[3] in (1, 3):
        array = array.transpose(0, 3, 1, 2)
    if array.ndim != 4 or array.shape[1] not in (1, 3) or 0 in array.shape:
        raise DataError(
            f"{path} holds an array of shape {array.shape}; images must be (n, c, h, w), (n, h, w, c) or (n, h, w), "
            "with 1 or 3 channels"
        )
    images = torch.from_numpy(np.ascontiguousarray(array))
    return images.repeat(1, 3, 1, 1) if images.shape[1] == 1 else images


def _load(path: Path) -> np.ndarray[Any, np.dtype[Any]]:
    try:
        with path.open("rb") as file:
            content: Any = np.load(file, allow_pickle=False)
            if isinstance(content, np.ndarray):
                return content  # pyright: ignore[reportUnknownVariableType]
            names: list[str] = list(content.files)
            chosen = next((name for name in _PREFERRED if name in names), names[0] if len(names) == 1 else None)
            if chosen is not None:
                return content[chosen]
    except Exception as error:  # whatever a damaged file makes NumPy, zipfile and zlib raise
        raise DataError(
            f"{path} cannot be read as a NumPy file ({str(error) or type(error).__name__}); save it again with "
            "numpy.save"
        ) from error
    raise DataError(f"{path} holds the arrays {', '.join(names)}; name the one with the images 'images'")
