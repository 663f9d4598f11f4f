"""Images as PNG: single, and in grids."""

import io

import torch
from PIL import Image
from torch import Tensor


def to_pil(image: Tensor) -> Image.Image:
    """A picture from a uint8 image (c, h, w) of one or three channels."""
    if image.dtype != torch.uint8 or image.ndim != 3 or image.shape[0] not in (1, 3):
        raise ValueError(f"expected a uint8 image (1 or 3, h, w), got {image.dtype} {tuple(image.shape)}")
    array = image.permute(1, 2, 0).contiguous().cpu().numpy()
    return Image.fromarray(array[:, :, 0] if image.shape[0] == 1 else array)


def grid(images: Tensor, columns: int, gap: int = 2, zoom: int = 2) -> bytes:
    """A PNG with the images in rows.

    Args:
        images: uint8, (n, 1 or 3, h, w).
        columns: Images in a row.
        gap: White pixels between images, before zooming.
        zoom: Screen pixels per image pixel; whole, so that pixels stay sharp.
    """
    return png(sheet(images, columns, gap).repeat_interleave(zoom, 1).repeat_interleave(zoom, 2))


def sheet(images: Tensor, columns: int, gap: int = 2) -> Tensor:
    """One white image, uint8 (1 or 3, h', w'), with the images (n, 1 or 3, h, w) in rows, `gap` pixels apart."""
    n, channels, height, width = images.shape
    rows = -(-n // columns)
    whole = torch.full((channels, rows * (height + gap) - gap, columns * (width + gap) - gap), 255, dtype=torch.uint8)
    for index, image in enumerate(images.cpu()):
        top, left = index // columns * (height + gap), index % columns * (width + gap)
        whole[:, top : top + height, left : left + width] = image
    return whole


def png(image: Tensor) -> bytes:
    """The PNG file of a uint8 image (c, h, w)."""
    buffer = io.BytesIO()
    to_pil(image).save(buffer, format="PNG", optimize=True)
    return buffer.getvalue()
