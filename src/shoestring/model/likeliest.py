"""What a classifier sees in image files, in words."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from shoestring.core.errors import RunError
from shoestring.core.progress import Progress
from shoestring.data.image_folder import ImageFolder, in_channels, read_image
from shoestring.model.classifier import Classifier

CHANNELS = ("red", "green", "blue")


def likeliest(model: Classifier, files: Sequence[Path | str], top: int, progress: Progress) -> list[dict[str, Any]]:
    """The likeliest classes of image files, and the digits that were read, if any; see `api.models.predict`.

    Args:
        model: The classifier.
        files: A batch of pictures of any size, held in memory at once.
        top: How many classes to name.
        progress: Warns of what is odd about a file.

    Raises:
        DataError: A file is missing or is no picture.
        RunError: The classifier sees images that are not square.
    """
    channels, height, width = model.recipe.data.shape
    if height != width:
        raise RunError(
            f"{model.recipe.name} sees images of {height}x{width}, and pictures are cut to squares; give arrays of "
            "that shape to `logits` of the loaded model"
        )
    data = model.recipe.data
    reduced = isinstance(data, ImageFolder) and data.reduced  # as the images that it was trained on
    read = (read_image(Path(file), height, progress, reduced=reduced) for file in files)
    images = torch.stack([torch.tensor(in_channels(image, channels)) for image in read])
    classes = model.recipe.data.classes
    with model.machine.running():
        best = model.logits(images).softmax(1).cpu().topk(min(top, len(classes)))
        digits = model.digits(images)
    found: list[dict[str, Any]] = [
        {
            "image": str(file),
            "classes": [
                {"class": classes[int(label)], "probability": round(float(p), 6)}
                for p, label in zip(values, labels, strict=True)
            ],
        }
        for file, values, labels in zip(files, best.values, best.indices, strict=True)
    ]
    if digits is not None:
        for prediction, read in zip(found, digits.cpu(), strict=True):
            prediction["digits"] = [
                {"channel": channel, "digit": int(each.argmax()), "probability": round(float(each.max()), 6)}
                for channel, each in zip(CHANNELS if channels == 3 else ("grey",), read, strict=True)
            ]
    return found
