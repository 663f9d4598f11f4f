"""Images as a tensor that a notebook shows as a picture."""

import math
from typing import Any

import torch
from torch import Tensor

from shoestring.core.image_grid import grid

SHOWN = 256  # images at most
WIDEST = 600  # pixels that the picture is at most scaled up to


class ImageBatch(Tensor):
    """A uint8 tensor (n, c, h, w) or (rows, n, c, h, w); a notebook shows its first images as one picture.

    Whatever is computed from it is a plain tensor; a part of it by index is a batch again.
    """

    @classmethod
    def __torch_function__(
        cls, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """What torch does with plain tensors."""
        with torch._C.DisableTorchFunctionSubclass():  # pyright: ignore[reportPrivateUsage, reportPrivateImportUsage]
            return func(*args, **(kwargs or {}))

    def __getitem__(self, index: Any) -> Tensor:
        """The part; still images to be seen where it has their dimensions."""
        part = super().__getitem__(index)
        return part.as_subclass(ImageBatch) if part.ndim in (4, 5) else part

    def _repr_png_(self) -> bytes | None:
        images = self.flatten(0, -4)
        if not images.numel() or images.shape[-3] not in (1, 3):
            return None  # no picture; the notebook shows the numbers
        columns = self.shape[1] if self.ndim == 5 else math.ceil(math.sqrt(min(len(images), SHOWN)))
        zoom = max(1, WIDEST // (columns * (images.shape[-1] + 2)))
        return grid(images[:SHOWN], columns, zoom=zoom)


def image_batch(images: Tensor) -> ImageBatch:
    """The same images as an `ImageBatch`; nothing is copied.

    Args:
        images: uint8 (n, 1 or 3, h, w), or (rows, n, 1 or 3, h, w).
    """
    return images.as_subclass(ImageBatch)
