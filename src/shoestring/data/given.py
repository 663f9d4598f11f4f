"""Images as users have them, in arrays, torch data sets or Hugging Face data sets: all become one kind of tensors."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, cast

import numpy as np
import torch
from PIL import Image
from pydantic import Field, NonNegativeInt, PositiveInt
from torch import Tensor

from shoestring.core.config import Spec
from shoestring.core.errors import DataError
from shoestring.core.progress import Progress
from shoestring.data.dataset import Images, Split
from shoestring.data.splits import content_order, hold_out

IMAGE_KEYS = ("image", "img", "images", "pixel_values", "x")
LABEL_KEYS = ("label", "labels", "fine_label", "target", "y")

Shape = tuple[PositiveInt, PositiveInt, PositiveInt]


@dataclass(frozen=True)
class Labelled:
    """Images with labels and what is known of the names of these.

    Attributes:
        images: uint8, (n, c, h, w).
        labels: int64, (n,).
        names: Class names by label; empty when unknown.
    """

    images: Tensor
    labels: Tensor
    names: tuple[str, ...]


class GivenSpec(Spec):
    """What data that a program or a user's code gives have in common."""

    image_shape: Shape | None = None
    """Channels, height and width of an image; read from the data when not given."""
    names: tuple[str, ...] = ()
    """Class names by label; by default as the data say, or else the numbers from 0."""
    tune: NonNegativeInt = 0
    """Images held out of train."""
    test_fraction: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """Part of the images that is the test set when the data have none of their own."""

    def whole(self, split: Literal["train", "test"]) -> Labelled:
        """All images of train, or of test."""
        raise NotImplementedError

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of an image."""
        return self.image_shape or cast(Shape, tuple(self.whole("train").images.shape[1:]))

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names by label."""
        if self.names:
            return self.names
        train = self.whole("train")
        return train.names or tuple(str(label) for label in range(int(train.labels.max()) + 1))

    @property
    def mean(self) -> tuple[float, ...]:
        """0.5 per channel: fixed, as of a folder of images."""
        return (0.5,) * self.shape[0]

    @property
    def std(self) -> tuple[float, ...]:
        """0.25 per channel, near that of photographs."""
        return (0.25,) * self.shape[0]

    def load(self, split: Split, folder: object, progress: Progress) -> Images:
        """One split, ordered by a hash of the pixels.

        Args:
            split: "train", "tune" or "test".
            folder: Not needed.
            progress: Not used.

        Raises:
            DataError: There are no images, or ones of other shapes or classes than the recipe says.
        """
        found = self.whole("test" if split == "test" else "train")
        shape, classes = self.shape, self.classes
        if tuple(found.images.shape[1:]) != shape:
            raise DataError(f"{split} images are {tuple(found.images.shape[1:])}, not {shape}, as those to train on")
        if len(found.labels) and not 0 <= int(found.labels.min()) <= int(found.labels.max()) < len(classes):
            raise DataError(f"{split} has labels up to {int(found.labels.max())}, but there are {len(classes)} classes")
        labels = found.labels.numpy()
        order = content_order(np.ascontiguousarray(found.images.numpy()), labels)
        if split != "test":
            in_tune = hold_out(labels[order], self.tune, len(classes))
            order = order[in_tune if split == "tune" else ~in_tune]
        kind = getattr(self, "kind", "")
        return Images(found.images[torch.from_numpy(order)], found.labels[torch.from_numpy(order)], f"data {kind}")


_given: dict[str, dict[str, Labelled]] = {}


class GivenData(GivenSpec):
    """Images that a program gave as arrays or data sets; to train on, they must be given again."""

    kind: Literal["given"] = "given"
    content: str
    """The sha256 of all images and labels."""

    def whole(self, split: Literal["train", "test"]) -> Labelled:
        """All images of train, or of test.

        Raises:
            DataError: This program was not given them.
        """
        if self.content not in _given:
            raise DataError(
                "this recipe's images were given by a program and are not kept: give them again, with "
                "shoestring.recipe(…, data=…)"
            )
        return _given[self.content][split]


def given_data(given: Any) -> GivenData:
    """The spec of images that a program has.

    Args:
        given: {"train": …, "test": …}, or one set from which a fifth becomes the test set. Each is as `labelled` takes.

    Raises:
        DataError: They are no images with labels.
    """
    splits = divided(given, "data", GivenSpec.model_fields["test_fraction"].default)
    digest = hashlib.sha256()
    for split in ("train", "test"):
        digest.update(splits[split].images.numpy().tobytes())
        digest.update(splits[split].labels.numpy().tobytes())
    _given[digest.hexdigest()] = splits
    spec = GivenData(content=digest.hexdigest())
    return GivenData(content=spec.content, image_shape=spec.shape, names=spec.classes)


def is_data(given: object) -> bool:
    """Whether it is a data set or a mapping of some, and not the fields of a spec."""
    if isinstance(given, Mapping):
        return "train" in given and "kind" not in given
    if isinstance(given, str | bytes | type):
        return False
    return _is_arrays(given) or (hasattr(given, "__getitem__") and hasattr(given, "__len__"))


def divided(given: Any, what: str, test_fraction: float) -> dict[str, Labelled]:
    """The sets to train and to test on, of one set or two.

    Raises:
        DataError: They are no images with labels.
    """
    parts = cast(Mapping[str, Any], given) if isinstance(given, Mapping) else {"train": given}
    if "train" not in parts:
        raise DataError(f"{what} has no 'train', but {', '.join(map(str, parts))}")
    train = labelled(parts["train"], f"train of {what}")
    if "test" in parts:
        return {"train": train, "test": labelled(parts["test"], f"test of {what}")}
    labels = train.labels.numpy()
    order = content_order(np.ascontiguousarray(train.images.numpy()), labels)
    count = max(1, round(len(labels) * test_fraction))
    in_test = hold_out(labels[order], count, int(labels.max()) + 1)
    chosen = {"train": torch.from_numpy(order[~in_test]), "test": torch.from_numpy(order[in_test])}
    return {key: Labelled(train.images[i], train.labels[i], train.names) for key, i in chosen.items()}


def labelled(given: Any, what: str) -> Labelled:
    """Images with labels.

    Args:
        given: (images, labels) or (images, labels, class names) of arrays or tensors: uint8 (n, c, h, w), (n, h, w, c)
            or (n, h, w); labels of whole numbers (n,), or None of images without classes. Or a data set of torch or
            Hugging Face: `len` of items (image, label) or {"image": image, "label": label}, images of Pillow, uint8, or
            floats in 0..1.
        what: What to call it in messages.

    Raises:
        DataError: It is nothing of these.
    """
    names: Sequence[Any] = ()
    if _is_arrays(given):
        images, labels, *more = cast(Sequence[Any], given)
        names = more[0] if more else ()
        pixels = np.asarray(images)
    elif is_data(given) and not isinstance(given, Mapping):
        pixels, labels, names = _collected(given, what)
    else:
        kind = type(cast(object, given)).__name__
        raise DataError(f"{what} is a {kind}, not (images, labels) or a data set of such items")
    if pixels.dtype != np.uint8 or not len(pixels):
        raise DataError(f"{what}: images must be uint8 and at least one, got {pixels.dtype} {pixels.shape}")
    pixels = np.ascontiguousarray(_channels_first(pixels, what))
    numbers: Any = np.zeros(len(pixels), np.int64) if labels is None else np.asarray(labels)
    if numbers.dtype.kind not in "iu" or numbers.shape != (len(pixels),) or numbers.min() < 0:
        raise DataError(
            f"{what}: labels must be {len(pixels)} whole numbers from 0, got {numbers.dtype} {numbers.shape}"
        )
    return Labelled(
        torch.from_numpy(pixels), torch.from_numpy(numbers.astype(np.int64)), tuple(str(name) for name in names)
    )


def _channels_first(pixels: Any, what: str) -> Any:
    """Images as (n, c, h, w) with 1 or 3 channels."""
    if pixels.ndim == 3:
        return pixels[:, None]
    if pixels.ndim == 4 and pixels.shape[1] in (1, 3):
        return pixels
    if pixels.ndim == 4 and pixels.shape[3] in (1, 3):
        return pixels.transpose(0, 3, 1, 2)
    raise DataError(
        f"{what}: images must be (n, c, h, w) or (n, h, w, c) with 1 or 3 channels, or (n, h, w), got {pixels.shape}"
    )


def _collected(given: Any, what: str) -> tuple[Any, Any, Sequence[Any]]:
    """All images and labels of a data set, and its class names."""
    names: Sequence[Any] = getattr(given, "classes", None) or ()
    images: list[Any] = []
    labels: list[int] = []
    for index in range(len(given)):  # iterating over a torch data set need not end
        item: Any = given[index]
        image, label = _keys(item, what)
        features: Any = getattr(given, "features", None) or {}
        names = names or getattr(features.get(label), "names", None) or ()
        images.append(_pixels(item[image], what))
        labels.append(int(item[label]))
        if images[-1].shape != images[0].shape:
            raise DataError(
                f"{what}: image {len(images) - 1} is {images[-1].shape}, the first {images[0].shape}; resize them to "
                "one size in the data set"
            )
    return np.stack(images) if images else np.empty((0, 3, 1, 1), np.uint8), np.array(labels), names


def _keys(item: Any, what: str) -> tuple[Any, Any]:
    """Under what an item of a data set has its image and its label."""
    if not isinstance(item, Mapping):
        return 0, 1
    found = [next((key for key in known if key in item), None) for known in (IMAGE_KEYS, LABEL_KEYS)]
    if None in found:
        there, known = ", ".join(map(str, cast(Mapping[str, Any], item))), ", ".join((*IMAGE_KEYS, *LABEL_KEYS))
        raise DataError(f"{what} has items with {there}; an image and a label are looked for under {known}")
    return found[0], found[1]


def _pixels(image: Any, what: str) -> Any:
    """One image as uint8."""
    if isinstance(image, Image.Image):
        return np.asarray(image.convert("L" if image.mode in ("1", "L") else "RGB"))
    pixels = np.asarray(image)
    if pixels.dtype == np.uint8:
        return pixels
    if pixels.dtype.kind != "f" or not (pixels.min() >= 0 and pixels.max() <= 1):
        raise DataError(f"{what}: images must be uint8, of Pillow, or floats in 0..1, got {pixels.dtype}")
    return np.rint(pixels * 255).astype(np.uint8)


def _is_arrays(given: object) -> bool:
    if not isinstance(given, tuple | list) or len(cast(Sequence[Any], given)) not in (2, 3):
        return False
    return hasattr(cast(Sequence[Any], given)[0], "shape") and getattr(cast(Sequence[Any], given)[0], "ndim", 0) > 2
