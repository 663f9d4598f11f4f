"""Many image files read at once: by threads, decoded once, with everything that is wrong found in one go."""

import hashlib
import time
import warnings
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from os import stat_result
from pathlib import Path
from typing import Protocol

import numpy as np
import PIL
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps

from shoestring.core.errors import DataError
from shoestring.core.parallel import each
from shoestring.core.progress import Progress
from shoestring.data.decode import ImageError, decode, read
from shoestring.data.image_cache import ImageCache, ImageFacts, ReadImage, cache_file, identity, opened
from shoestring.data.paths import own_cache_folder

DETAIL = 256  # pixels of height and width that a large JPEG is decoded to at least, to tell images apart
COMMIT_SECONDS = 1.0  # of work that a kill may cost
LISTED = 10  # bad files that a message names


@dataclass(frozen=True)
class BadFile:
    """A file that cannot be used.

    Attributes:
        path: Which.
        reason: Why.
        message: Both, and what to do, in a sentence.
    """

    path: Path
    reason: str
    message: str


class Fetch(Protocol):
    """Where the bytes of images come from."""

    def stat(self, path: Path) -> stat_result:
        """The facts of the file that an image is or lies in; they change whenever the image does."""
        ...

    def read(self, path: Path) -> bytes:
        """The bytes of an image."""
        ...


class Files:
    """Each image is a file."""

    def stat(self, path: Path) -> stat_result:
        """The facts of the file."""
        return path.stat()

    def read(self, path: Path) -> bytes:
        """The bytes of the file."""
        return read(path)


FILES = Files()


@dataclass(frozen=True)
class _Read:
    """What a worker made of a file; without `image` it is in the cache already or bad."""

    result: ReadImage | BadFile
    key: bytes
    facts: stat_result | None = None
    content: bytes = b""
    decoded: bool = False


def read_images(
    paths: Sequence[Path], size: int, reduced: bool, title: str, progress: Progress, fetch: Fetch = FILES
) -> list[ReadImage | BadFile]:
    """Every file as an image, or why it is none, in order.

    The pixels are the same whether they come from the cache or not.

    Args:
        paths: Image files.
        size: Height and width: the shorter side is resized to it, with antialiasing, and the centre kept.
        reduced: Whether large JPEGs are decoded to an eighth, a quarter or a half of their size: to no less than 256
            pixels, and twice `size`. Several times faster; the pixels are other ones than without.
        title: What is read, for the progress bar.
        progress: Reports every file.
        fetch: Where the bytes come from.
    """
    found: dict[int, ReadImage | BadFile] = {}
    with (
        progress.task(f"reading {title}", len(paths), "images") as advance,
        warnings.catch_warnings(action="ignore"),  # Pillow's name no file; around the threads, which share the filters
        opened(own_cache_folder(), progress) as cache,
    ):
        for index, path in enumerate(paths):
            if known := _known(path, size, reduced, cache, fetch):
                found[index] = known
                advance()
        missing = [index for index in range(len(paths)) if index not in found]

        def work(index: int) -> _Read:
            return _read(paths[index], size, reduced, cache, fetch)

        fresh: list[tuple[Path, _Read]] = []
        last = time.monotonic()
        try:
            for index, one in zip(missing, each(torch.device("cpu"), work, missing), strict=True):
                found[index] = one.result
                fresh.append((paths[index], one))
                advance()
                if time.monotonic() > last + COMMIT_SECONDS:
                    _keep(cache, fresh)
                    fresh, last = [], time.monotonic()
        finally:
            _keep(cache, fresh)
    return [found[index] for index in range(len(paths))]


def cache_size() -> tuple[Path, int]:
    """The file that decoded images are kept in, which may be deleted at any time, and its bytes; 0 without one."""
    file = cache_file(own_cache_folder())
    return file, file.stat().st_size if file.is_file() else 0


def require_sound(read: Sequence[ReadImage | BadFile], skip_bad: bool, progress: Progress) -> list[BadFile]:
    """The bad files among what was read.

    Args:
        read: What `read_images` gave.
        skip_bad: Go on without bad files, which is said.
        progress: Reports bad files that are left out.

    Raises:
        DataError: There are bad files; names them.
    """
    bad = [one for one in read if isinstance(one, BadFile)]
    if bad and not skip_bad:
        raise DataError(_refusal(bad, len(read)))
    if bad:
        progress.say(f"left out {len(bad):,} of {len(read):,} files that cannot be read, the first: {bad[0].message}")
    return bad


def _refusal(bad: Sequence[BadFile], count: int) -> str:
    """The message that names the bad ones of so many files, and the remedy."""
    if len(bad) == 1:
        return f"{bad[0].message} Or go on without it: data.skip_bad, --skip-bad."
    shown = [f"  {one.path}: {one.reason}" for one in bad[:LISTED]]
    more = [f"  and {len(bad) - LISTED:,} more: shoestring inspect FOLDER lists them all"] if len(bad) > LISTED else []
    first = f"{len(bad):,} of {count:,} files cannot be read as an image. Repair them, or go on without: "
    first += "data.skip_bad, --skip-bad"
    return "\n".join([first, *shown, *more])


def fitted(image: Image.Image, size: int) -> NDArray[np.uint8]:
    """An RGB image as (3, size, size): the shorter side is resized, with antialiasing, and the centre kept."""
    return np.asarray(ImageOps.fit(image, (size, size), Image.Resampling.BICUBIC)).transpose(2, 0, 1)


def _known(path: Path, size: int, reduced: bool, cache: ImageCache, fetch: Fetch) -> ReadImage | None:
    facts = _stat(path, fetch)
    content = cache.content(path, facts) if facts else None
    return cache.image(_key(content, size, reduced), size) if content else None


def _read(path: Path, size: int, reduced: bool, cache: ImageCache, fetch: Fetch) -> _Read:
    try:
        before = _stat(path, fetch)
        content = fetch.read(path)  # says what is wrong with the path
        after = fetch.stat(path)
        digest = hashlib.blake2b(content, digest_size=16).digest()
        key = _key(digest, size, reduced)
        known = cache.image(key, size)
        image = known or _decoded(path, content, size, reduced)
    except OSError as error:
        reason = f"cannot be read: {error.strerror or error}"
        return _Read(BadFile(path, reason, f"{path} {reason}"), b"")
    except ImageError as error:
        return _Read(BadFile(path, error.reason, str(error)), b"")
    except DataError as error:  # it is no file, or gone meanwhile
        return _Read(BadFile(path, str(error), str(error)), b"")
    steady = before is not None and identity(before) == identity(after)
    return _Read(image, key, after if steady else None, digest, known is None)


def _stat(path: Path, fetch: Fetch) -> stat_result | None:
    with suppress(OSError):
        return fetch.stat(path)
    return None


def _decoded(path: Path, content: bytes, size: int, reduced: bool) -> ReadImage:
    found = decode(path, content, DETAIL if reduced else None)
    pixels = hashlib.blake2b(found.image.tobytes(), digest_size=16, key=str(found.image.size).encode()).digest()
    finer = decode(path, content, 2 * size) if found.reduced and 2 * size > DETAIL else found
    image = fitted(finer.image, size)
    brightest = int(np.asarray(found.image).max()) if found.bits > 8 else int(image.max())
    grey = bool((image[0] == image[1]).all() and (image[1] == image[2]).all())
    facts = ImageFacts(found.form, found.width, found.height, found.bits, brightest, grey)
    return ReadImage(pixels, np.ascontiguousarray(image), facts)


def _keep(cache: ImageCache, fresh: Sequence[tuple[Path, _Read]]) -> None:
    images = [(one.key, one.result) for _, one in fresh if one.decoded and isinstance(one.result, ReadImage)]
    cache.keep(images, [(path, one.facts, one.content) for path, one in fresh if one.facts and one.key])


def _key(content: bytes, size: int, reduced: bool) -> bytes:
    """What a decoded image is kept under; another Pillow may decode otherwise."""
    how = f"1 {size} {reduced} {PIL.__version__}"
    return hashlib.blake2b(content, digest_size=16, person=b"shoestring", salt=b"", key=how.encode()).digest()
