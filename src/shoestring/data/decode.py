"""Image files as 8-bit RGB, upright: the one place that decides what the numbers in a file mean."""

import io
import warnings
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, UnidentifiedImageError

from shoestring.core.errors import DataError
from shoestring.core.progress import Progress

_ORIENTATION = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SIDEWAYS = {_UPRIGHT[number] for number in (5, 6, 7, 8)}
HEIF_BRANDS = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1")
HEIF_REMEDY = "to read those: pip install 'shoestring[heic]'"
_BITS_PER_SAMPLE, _SAMPLE_FORMAT, _SIGNED = 258, 339, 2  # TIFF's tags
_TOLERANCE = 1e-3  # how far floats may pass black and white, by rounding


def read(path: Path) -> bytes:
    """The bytes of an image file.

    Raises:
        DataError: There is no such file, or it cannot be read.
    """
    if path.is_dir():
        raise DataError(f"{path} is a folder, not an image; name the files in it, such as {path / '*'}")
    if not path.is_file():
        raise DataError(f"there is no image {path}")
    try:
        return path.read_bytes()
    except OSError as error:
        reason = f"cannot be read: {error.strerror or error}"
        raise ImageError(path, reason, f"{path} {reason}") from error


class ImageError(DataError):
    """An image file that cannot be used.

    Attributes:
        path: The file.
        reason: Why, without its path.
    """

    def __init__(self, path: Path, reason: str, sentence: str) -> None:
        super().__init__(sentence)
        self.path = path
        self.reason = reason


@dataclass(frozen=True)
class Decoded:
    """What a file holds.

    Attributes:
        image: RGB, upright, transparency shown on white; of a large JPEG perhaps smaller than in the file.
        width: In the file, upright.
        height: In the file, upright.
        form: The file's format, such as "JPEG".
        bits: Of a sample in the file.
    """

    image: Image.Image
    width: int
    height: int
    form: str
    bits: int

    @property
    def reduced(self) -> bool:
        """Whether the image has fewer pixels than the file."""
        return self.image.size != (self.width, self.height)


def decode(path: Path, content: bytes, least: int | None = None) -> Decoded:
    """The image in a file. Pillow's warnings are the caller's to silence; they name no file.

    16-bit greys are scaled by the bits that the file says it uses, floats in 0..1 or 0..255 by their range. Of an
    animation the first frame is taken. Metadata that cannot be read is passed over.

    Args:
        path: The file.
        content: Its bytes, as `read` gives them.
        least: Of a JPEG, height and width that are enough: it is decoded to a half, a quarter or an eighth of its size
            where neither becomes less, which is several times faster (the DCT coefficients that count are fewer). By
            default all of it is decoded.

    Raises:
        ImageError: The file is damaged or no image, or does not say which of its numbers is white.
    """
    register_heif()
    try:
        with Image.open(io.BytesIO(content)) as file:
            width, height = file.size
            if least is not None and file.format in ("JPEG", "MPO"):
                file.draft(None, (least, least))
            file.load()
            turn = _UPRIGHT.get(_orientation(file))
            image = _with_8_bits(file, path)
            if image.has_transparency_data:
                white = Image.new("RGBA", image.size, "white")
                image = Image.alpha_composite(white, image.convert("RGBA"))
            image = image.convert("RGB")
            form, bits = file.format or "", _depth(file, content)
    except DataError:
        raise
    except Exception as error:  # whatever a damaged file makes a decoder raise
        reason = _unknown(content) if isinstance(error, UnidentifiedImageError) else str(error).rstrip(".")
        reason = reason or type(error).__name__
        raise ImageError(path, reason, f"{path} cannot be read as an image: {reason}. Repair or remove it.") from error
    if turn in _SIDEWAYS:
        width, height = height, width
    return Decoded(image if turn is None else image.transpose(turn), width, height, form, bits)


class Decoder:
    """Decodes image files, and says once what is odd about those with more than 8 bits."""

    def __init__(self) -> None:
        """Nothing is decoded yet."""
        self._deep = 0
        self._brightest = 0
        self._first: Path | None = None

    def decode(self, path: Path, content: bytes) -> Image.Image:
        """The image in a file, all of it, as `decode` gives it.

        Raises:
            ImageError: As of `decode`.
        """
        with warnings.catch_warnings(action="ignore"):
            found = decode(path, content)
        if found.bits > 8:
            self.note(path, found.bits, int(np.asarray(found.image).max()))
        return found.image

    def note(self, path: Path, bits: int, brightest: int) -> None:
        """Counts an image of so many bits whose brightest sample became `brightest`, in 0..255."""
        if bits > 8:
            self._deep += 1
            self._first = self._first or path
            self._brightest = max(self._brightest, brightest)

    @property
    def dark(self) -> str:
        """What to say if none of the images with more than 8 bits so far is half as bright as it could be; else ""."""
        if self._first is None or self._brightest >= 128:
            return ""
        others = f" and {self._deep - 1:,} others" if self._deep > 1 else ""
        return (
            f"{self._first}{others} with 16 bits reach only {self._brightest / 255:.1%} of white, so they look nearly "
            "black. If their numbers have fewer bits, such as 12, multiply them to fill 0..65535, or save them with 8"
        )

    def tell(self, progress: Progress) -> None:
        """Says `dark`, if there is anything to say."""
        if self.dark:
            progress.say(self.dark)


@cache
def register_heif() -> bool:
    """Lets Pillow read HEIC photos, if pillow-heif is there; gives whether it is."""
    try:
        import_module("pillow_heif").register_heif_opener()
    except ImportError:
        return False
    return True


def _unknown(content: bytes) -> str:
    """Why Pillow knows no format for a file."""
    if content[4:8] == b"ftyp" and content[8:12] in HEIF_BRANDS:
        return f"it is a HEIC photo by its content; {HEIF_REMEDY}"
    return "it is of no known format" if content else "it is empty"


def _orientation(file: Image.Image) -> int:
    """How the camera was held, 1..8; 1, upright, where that cannot be read."""
    try:
        return int(file.getexif().get(_ORIENTATION, 1))
    except Exception:  # whatever odd metadata make Pillow raise: the pixels are sound
        return 1


def _depth(file: Image.Image, content: bytes) -> int:
    """The bits of a sample in the file, of whose lower ones Pillow may have dropped 8 without a word; 8 if unknown."""
    if file.mode.startswith("I"):
        return 16
    if file.format == "PNG":
        return content[24]  # after the signature of 8 bytes, IHDR's length, name, width and height
    return _tags(file).get(_BITS_PER_SAMPLE, (8,))[0]


def _tags(file: Image.Image) -> dict[int, Any]:
    return getattr(file, "tag_v2", {}) if file.format == "TIFF" else {}


def _with_8_bits(file: Image.Image, path: Path) -> Image.Image:
    """Grey images of more than 8 bits scaled to 0..255; all others as they are."""
    if not file.mode.startswith(("I", "F")):
        return file
    values = np.asarray(file)
    if not np.all(np.isfinite(values)):
        reason = "holds numbers that are NaN or infinite; replace them, or save it with 8 bits"
        raise ImageError(path, reason, f"{path} {reason}")
    low, high = float(values.min()), float(values.max())
    if file.mode == "F":
        white = 255.0 if high > 2 else 1.0
        grey = np.rint(np.clip(values / white, 0, 1) * 255)
        slack = _TOLERANCE * white
    else:
        white, slack = _white(file), 0.0
        grey = values.astype(np.int64) * 256 // (white + 1)
    if low < -slack or high > white + slack:
        reason = (
            f"holds numbers from {low:g} to {high:g} and does not say which of them are black and white; save it with "
            "8 bits, with 16 bits in 0..65535, or as floats in 0..1"
        )
        raise ImageError(path, reason, f"{path} {reason}")
    clear = file.info.get("transparency")
    if isinstance(clear, int):
        grey = np.where(values == clear, 255, grey)
    return Image.fromarray(grey.astype(np.uint8))


def _white(file: Image.Image) -> int:
    """The whole number that is white: the largest of the bits that a TIFF says it uses, else 65,535."""
    tags = _tags(file)
    bits = tags.get(_BITS_PER_SAMPLE, (16,))[0]
    if bits == 16 and tags.get(_SAMPLE_FORMAT, (1,))[0] == _SIGNED:
        return 32_767
    return (1 << min(bits, 16)) - 1
