"""Which files of a folder are images, and all of them as one set."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from shoestring.data.decode import Decoder, read
from shoestring.errors import DataError
from shoestring.progress import Progress

_NAMED_ONLY = {"BUFR", "GRIB", "HDF5", "MPEG", "WMF"}  # Pillow knows them, and has nothing to read them with


def list_images(folder: Path) -> tuple[list[Path], list[Path]]:
    """The image files directly in a folder, by their endings, and what else is there; both sorted, without hidden ones.

    Formats that Pillow can only write, or only names, such as PDF and HDF5, are none.
    """
    Image.init()
    known = {ending for ending, form in Image.EXTENSION.items() if form in Image.OPEN and form not in _NAMED_ONLY}
    found = sorted(item for item in folder.glob("*") if not item.name.startswith("."))
    images = [item for item in found if item.suffix.lower() in known and item.is_file()]
    return images, sorted(set(found) - set(images))


def passed_over(others: list[Path], progress: Progress) -> None:
    """Says how many files or folders are taken for no images, if any."""
    if others:
        more = f" and {len(others) - 1:,} more files or folders" if len(others) > 1 else ""
        progress.say(f"passed over {others[0]}{more}: no images, by their endings")


def read_folder(folder: Path, progress: Progress) -> Tensor:
    """All images directly in a folder, or else in the folders in it, such as those of classes; sorted by path.

    Args:
        folder: The folder.
        progress: Told of the files read, and of what is passed over.

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
