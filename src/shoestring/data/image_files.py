"""Which files of a folder are images, and all of them as one set."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from shoestring.core.errors import DataError
from shoestring.core.progress import Progress
from shoestring.data.decode import Decoder, read, register_heif

_NAMED_ONLY = {"BUFR", "GRIB", "HDF5", "MPEG", "WMF"}  # Pillow knows them, and has nothing to read them with


def list_images(folder: Path) -> tuple[list[Path], list[Path]]:
    """The image files directly in a folder, by their endings, and what else is there; both sorted, without hidden ones.

    Formats that Pillow can only write, or only names, such as PDF and HDF5, are none.
    """
    known = image_endings()
    found = sorted(item for item in folder.glob("*") if not item.name.startswith("."))
    images = [item for item in found if item.suffix.lower() in known and item.is_file()]
    return images, sorted(set(found) - set(images))


def image_endings() -> frozenset[str]:
    """The endings, in lower case, of all formats that can be read here; HEIC's where pillow-heif is installed."""
    Image.init()
    register_heif()
    return frozenset(
        end for end, form in Image.EXTENSION.items() if end and form in Image.OPEN and form not in _NAMED_ONLY
    )


def passed_over(others: list[Path], progress: Progress) -> None:
    """Says how many files or folders are taken for no images, if any."""
    if others:
        more = f" and {len(others) - 1:,} more files or folders" if len(others) > 1 else ""
        progress.say(f"passed over {others[0]}{more}: no images, by their endings")


def read_folder(folder: Path, progress: Progress) -> Tensor:
    """All images directly in a folder, or else in the folders in it, such as those of classes; sorted by path.

    Args:
        folder: The folder.
        progress: Reports the files read, and what is passed over.

    Returns:
        uint8, (n, 3, height, width).

    Raises:
        DataError: There is no folder or no image in it; one is damaged, or of another size than the first.
    """
    if not folder.is_dir():
        raise DataError(f"{folder} is not a folder; give one that holds images")
    files, others = list_images(folder)
    if not files:
        inner = [list_images(item) for item in others if item.is_dir()]
        files = [file for images, _ in inner for file in images]
        others = [item for item in others if not item.is_dir()] + [item for _, rest in inner for item in rest]
    if not files:
        nearer = next((item for item in others if item.is_dir()), None)
        hint = f", such as {nearer.parent}" if nearer else ""
        raise DataError(f"{folder} holds no images, nor folders of images; give one that does{hint}")
    passed_over(others, progress)
    images: list[Tensor] = []
    decoder = Decoder()
    with progress.task(f"reading {folder.name}", len(files), "images") as advance:
        for file in files:
            image = torch.from_numpy(np.array(decoder.decode(file, read(file)))).permute(2, 0, 1)
            if images and image.shape != images[0].shape:
                first, size = (f"{each.shape[2]}x{each.shape[1]}" for each in (images[0], image))
                raise DataError(
                    f"{file} is {size}, but {files[0]} is {first} (width x height); all images of a set must have one "
                    "size: resize them before, all in the same way, or name a recipe file of this folder with its "
                    "split, such as mine.toml:test"
                )
            images.append(image)
            advance()
    decoder.tell(progress)
    return torch.stack(images)


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
