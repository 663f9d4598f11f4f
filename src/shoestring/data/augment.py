"""Augmentation of whole batches: one random tensor per parameter, no loop over images, no wait for the device."""

import math
from typing import Annotated, Literal, Self

import torch
from pydantic import Field, NonNegativeInt, PositiveFloat, model_validator
from torch import Tensor

from shoestring.core.config import Spec
from shoestring.core.errors import RecipeError
from shoestring.core.rng import generator as seeded
from shoestring.data.affine import affine, smooth_displacement

Strength = Annotated[float, Field(ge=0)]
Fraction = Annotated[float, Field(ge=0, le=1)]

STRENGTHS = (
    "rotation_degrees",
    "translation",
    "shear_degrees",
    "elastic",
    "brightness",
    "contrast",
    "saturation",
    "hue",
)
"""The changes that are drawn between minus and plus a number."""
VIEW_STRENGTH = 0.25  # of the changes that make a view, as part of those in training


class Augment(Spec):
    """What is drawn at random for every image of a batch; all off by default.

    Applied in the order flip, crop, affine, brightness, contrast, saturation, hue, cutout. The order is fixed, unlike
    torchvision's ColorJitter, which shuffles the four colour changes.
    """

    rotation_degrees: Annotated[float, Field(ge=0, le=180)] = 0.0
    """Rotate by an angle uniform in plus or minus this."""
    translation: Fraction = 0.0
    """Translate along each axis by a fraction of the side uniform in plus or minus this; not rounded to pixels."""
    scale: tuple[PositiveFloat, PositiveFloat] = (1.0, 1.0)
    """Enlarge by a factor uniform between these two."""
    shear_degrees: Annotated[float, Field(ge=0, lt=90)] = 0.0
    """Shear along x by an angle uniform in plus or minus this."""
    elastic: Fraction = 0.0
    """Read every pixel from a place displaced along each axis by a smooth random field of this standard deviation, as a
    fraction of the side (Simard et al. 2003, whose choice comes to 0.05)."""
    elastic_smoothness: Annotated[float, Field(gt=0, le=1)] = 0.14
    """Standard deviation of the Gaussian that smooths this field, as a fraction of the side."""
    per_channel: bool = False
    """Draw rotation, translation, scale, shear and elastic field for every channel on its own."""
    horizontal_flip: bool = False
    """Mirror every other image, on average."""
    crop_padding: NonNegativeInt = 0
    """Shift by a whole number of pixels uniform in plus or minus this, as a random crop of the padded image does."""
    crop_fill: Literal["zero", "reflect"] = "reflect"
    """What the crop's padding holds."""
    brightness: Strength = 0.0
    """Multiply pixels by a factor uniform in 1 plus or minus this (at least 0)."""
    contrast: Strength = 0.0
    """Scale distances from the image's mean grey by a factor uniform in 1 plus or minus this (at least 0)."""
    saturation: Strength = 0.0
    """Scale distances from each pixel's grey by a factor uniform in 1 plus or minus this (at least 0)."""
    hue: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    """Turn the hue by a fraction of a full turn uniform in plus or minus this."""
    cutout: NonNegativeInt = 0
    """Side in pixels of a square set to 0, centred on a random pixel; it may reach over the edge."""
    strength: Fraction = 1.0
    """What all of these but flips are multiplied by: ranges, pixels and angles."""

    @model_validator(mode="after")
    def _scale_is_ordered(self) -> Self:
        if self.scale[0] > self.scale[1]:
            raise ValueError(f"scale must be (smallest, largest), got {self.scale}")
        return self

    def weakened(self) -> "Augment":
        """These changes with their strength as part of their ranges, pixels and angles."""
        if self.strength == 1:
            return self
        low, high = (1 + self.strength * (bound - 1) for bound in self.scale)
        scaled = {name: self.strength * getattr(self, name) for name in STRENGTHS}
        whole = {name: round(self.strength * getattr(self, name)) for name in ("crop_padding", "cutout")}
        return self.replace(**scaled, **whole, scale=(low, high), strength=1.0)

    def apply(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """The batch, each image changed by its own random draw, as `augment` does."""
        return augment(images, self.weakened(), generator)

    def view(self, images: Tensor, number: int) -> Tensor:
        """Images seen in another way, for test-time augmentation: all changed alike, so that no batch matters.

        Each view is one draw of these changes at a quarter of their strength; where training mirrors, every other view
        is mirrored, the first one too.

        Args:
            images: As of `apply`.
            number: Which view, from 1.
        """
        changes = self.replace(strength=VIEW_STRENGTH * self.strength, horizontal_flip=False, cutout=0)
        seen = augment(images, changes.weakened(), seeded(0, "view", number), alike=True)
        return seen.flip(-1) if self.horizontal_flip and number % 2 else seen

    @property
    def warps(self) -> bool:
        """True where pixels are interpolated: any of rotation, translation, scale, shear and elastic is on."""
        moved = (self.rotation_degrees, self.translation, self.shear_degrees, self.elastic)
        return any(moved) or self.scale != (1.0, 1.0)


def augment(images: Tensor, spec: Augment, generator: torch.Generator, *, alike: bool = False) -> Tensor:
    """The batch, each image changed by its own random draw.

    Args:
        images: (n, c, h, w), uint8 0..255 or float 0..1; left as they are.
        spec: What to draw, at full strength.
        generator: Source of all random numbers, on the device of the images.
        alike: Draw once for all images, on any device.

    Returns:
        float32 0..1, same shape and device; exactly the images where the spec is all off.

    Raises:
        RecipeError: Colour jitter on images with neither 1 nor 3 channels, or reflection by more than the image holds.
    """
    n, channels, height, width = images.shape
    drawn = min(n, 1) if alike else n
    each = (drawn, 1, 1, 1)

    def uniform(shape: tuple[int, ...], bounds: tuple[float, float]) -> Tensor:
        found = torch.rand(shape, generator=generator, device=generator.device) * (bounds[1] - bounds[0]) + bounds[0]
        return found.to(images.device)

    def integers(low: int, high: int, count: int) -> Tensor:
        found = torch.randint(low, high, (count, drawn), generator=generator, device=generator.device)
        return found.to(images.device).expand(count, n)

    if spec.horizontal_flip:
        images = flip(images, uniform(each, (0, 1)) < 0.5)
    if spec.crop_padding:
        reach = spec.crop_padding
        if spec.crop_fill == "reflect" and reach >= min(height, width):
            raise RecipeError(
                f"crop_padding {reach} reflects more than a {height}x{width} image holds; "
                f"use at most {min(height, width) - 1}, or crop_fill zero"
            )
        right, down = integers(-reach, reach + 1, 2)
        images = shifted(images, right, down, spec.crop_fill)
    images = images.float().div_(255) if images.dtype == torch.uint8 else images.float()
    if spec.warps:
        planes = images.reshape(n * channels, 1, height, width) if spec.per_channel else images
        count, copies = drawn * (channels if spec.per_channel else 1), n // max(drawn, 1)
        field = None
        if spec.elastic:
            field = smooth_displacement((count, height, width), spec.elastic, spec.elastic_smoothness, generator)
            field = field.to(images.device).repeat(copies, 1, 1, 1)
        images = affine(
            planes,
            degrees=uniform((count,), _around(0, spec.rotation_degrees)).repeat(copies),
            shift=uniform((count, 2), _around(0, spec.translation)).repeat(copies, 1),
            scale=uniform((count,), spec.scale).repeat(copies),
            shear_degrees=uniform((count,), _around(0, spec.shear_degrees)).repeat(copies),
            displacement=field,
        ).view(n, channels, height, width)
    if spec.brightness:
        images = brightened(images, uniform(each, _factor(spec.brightness)))
    if spec.contrast:
        images = contrasted(images, uniform(each, _factor(spec.contrast)))
    if spec.saturation:
        images = saturated(images, uniform(each, _factor(spec.saturation)))
    if spec.hue:
        images = hue_turned(images, uniform(each, _around(0, spec.hue)))
    if spec.cutout:
        (row,), (column,) = integers(0, height, 1), integers(0, width, 1)
        images = cut_out(images, row, column, spec.cutout)
    return images


def flip(images: Tensor, where: Tensor) -> Tensor:
    """The images, mirrored left to right where `where` (n, 1, 1, 1) is true."""
    return torch.where(where, images.flip(-1), images)


def shifted(images: Tensor, right: Tensor, down: Tensor, fill: Literal["zero", "reflect"]) -> Tensor:
    """The images moved by whole pixels, every pixel kept bit for bit: a crop of the padded image.

    Args:
        images: (n, c, h, w), any dtype.
        right: int64, (n,): pixels to move to the right.
        down: int64, (n,): pixels to move down.
        fill: What comes in from outside: 0, or the image mirrored about its edge pixels (the edge is not repeated;
            shifts must be smaller than the sides).
    """
    n, channels, height, width = images.shape
    rows = torch.arange(height, device=images.device) - down[:, None]
    columns = torch.arange(width, device=images.device) - right[:, None]
    inside_rows, inside_columns = (rows >= 0) & (rows < height), (columns >= 0) & (columns < width)
    if fill == "reflect":
        rows = height - 1 - (height - 1 - rows.abs()).abs()
        columns = width - 1 - (width - 1 - columns.abs()).abs()
    rows, columns = rows.clamp(0, height - 1), columns.clamp(0, width - 1)
    places = (rows[:, :, None] * width + columns[:, None, :]).view(n, 1, height * width)
    moved = images.reshape(n, channels, -1).gather(2, places.expand(-1, channels, -1)).view(images.shape)
    if fill == "zero":
        moved = moved * (inside_rows[:, None, :, None] & inside_columns[:, None, None, :])
    return moved


def grey(images: Tensor) -> Tensor:
    """Luma of ITU-R BT.601, 0.299 R + 0.587 G + 0.114 B, as (n, 1, h, w); one-channel images are their own grey.

    Raises:
        RecipeError: The images have neither 1 nor 3 channels.
    """
    if images.shape[1] == 1:
        return images
    if images.shape[1] != 3:
        raise RecipeError(
            f"contrast, saturation and hue need 1 or 3 channels, these images have {images.shape[1]}; set them to 0"
        )
    return 0.299 * images[:, 0:1] + 0.587 * images[:, 1:2] + 0.114 * images[:, 2:3]


def brightened(images: Tensor, factor: Tensor) -> Tensor:
    """Pixels times factor (n, 1, 1, 1), clipped to 0..1."""
    return (images * factor).clamp_(0, 1)


def contrasted(images: Tensor, factor: Tensor) -> Tensor:
    """Distances from the mean of the image's grey times factor (n, 1, 1, 1), clipped to 0..1."""
    mean = grey(images).mean((1, 2, 3), keepdim=True)
    return torch.lerp(mean, images, factor).clamp_(0, 1)


def saturated(images: Tensor, factor: Tensor) -> Tensor:
    """Distances from each pixel's grey times factor (n, 1, 1, 1), clipped to 0..1; grey pixels stay."""
    return torch.lerp(grey(images), images, factor).clamp_(0, 1)


def hue_turned(images: Tensor, turn: Tensor) -> Tensor:
    """Colours rotated about the grey axis, luma kept, clipped to 0..1; grey pixels stay.

    A linear rotation (Rodrigues) instead of a detour through HSV: a third of a turn takes the hue of red to that of
    green and green to blue, and unlike HSV's hue it has no branches and does not change how bright a pixel looks,
    clipping apart.

    Args:
        images: float 0..1, (n, 1 or 3, h, w).
        turn: (n, 1, 1, 1), fractions of a full turn.
    """
    luma = grey(images)
    if images.shape[1] == 1:
        return images
    angle = turn * (2 * math.pi)
    across = images.roll(1, dims=1) - images.roll(-1, dims=1)  # (1, 1, 1) x pixel
    rotated = images * angle.cos() + across * (angle.sin() / math.sqrt(3))
    return (rotated + (luma - grey(rotated))).clamp_(0, 1)


def cut_out(images: Tensor, row: Tensor, column: Tensor, side: int) -> Tensor:
    """The images with a square set to 0 (arXiv 1708.04552), so black rather than the data's mean.

    Args:
        images: (n, c, h, w).
        row: int64, (n,): centre row; of an even side, the first row below the middle.
        column: int64, (n,): centre column.
        side: Pixels; parts beyond the edge are lost.
    """
    rows = torch.arange(images.shape[2], device=images.device) - (row[:, None] - side // 2)
    columns = torch.arange(images.shape[3], device=images.device) - (column[:, None] - side // 2)
    in_rows, in_columns = (rows >= 0) & (rows < side), (columns >= 0) & (columns < side)
    return images.masked_fill(in_rows[:, None, :, None] & in_columns[:, None, None, :], 0)


def _around(centre: float, reach: float) -> tuple[float, float]:
    return centre - reach, centre + reach


def _factor(strength: float) -> tuple[float, float]:
    return max(0.0, 1 - strength), 1 + strength
