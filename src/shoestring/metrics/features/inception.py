"""The features that FID and KID are computed from: the Inception net with weights from a file, fast on a CPU."""

import hashlib
import io
import pickle
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, get_args

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from shoestring.core.errors import DataError
from shoestring.core.parallel import each
from shoestring.metrics.features.inception_net import Convolution, Dimensions, inception
from shoestring.metrics.features.resize import Resizing, resize
from shoestring.metrics.statistics import source_hash

OFFICIAL_FILE = "pt_inception-2015-12-05-6726825d.pth"
OFFICIAL_URL = f"https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/{OFFICIAL_FILE}"
OFFICIAL_SHA256 = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2"

_IMAGES_AT_ONCE = 16  # on a CPU, per thread: enough rows for the products of matrices


class InceptionExtractor:
    """The FID InceptionV3 as an extractor; float32 throughout.

    Attributes:
        name: "inception-2015-12-05".
        dimensions: 2048 (the FID of papers), 768, 192 or 64.
        resizing: "clean" or "legacy"; `resize` says what they are.
        hash: First 12 hexadecimal digits of the weights file's sha256.
        code: A hash of the code that computes, and the kind of device.
        official: Whether the weights are the official file's, bit for bit.
    """

    name = "inception-2015-12-05"

    def __init__(
        self,
        file: Path,
        dimensions: Dimensions | None = None,
        resizing: Resizing = "clean",
        *,
        device: torch.device | str = "cpu",
        sha256: str | None = None,
    ) -> None:
        """Reads the weights.

        Args:
            file: The official .pth file, or a .pth or .safetensors file with the same names, which may hold the first
                layers only: they do for fewer dimensions.
            dimensions: Features per image; layers beyond those that give them are not computed. None takes 2048, or 768
                when the file ends before the layers that only those need.
            resizing: How images are brought to 299x299.
            device: Where to compute.
            sha256: The checksum that the file must have; a file of the official name must have the official one anyway.

        Raises:
            DataError: The file is missing, unreadable, has another checksum, or lacks layers or shapes of this net.
                Or `dimensions` or `resizing` is not among those possible.
        """
        check_features(dimensions, resizing)
        self.resizing: Resizing = resizing
        content = _read(file)
        found = hashlib.sha256(content).hexdigest()
        expected = sha256 or (OFFICIAL_SHA256 if file.name == OFFICIAL_FILE else found)
        if found != expected:
            raise DataError(
                f"{file} has sha256 {found}, not {expected}: damaged or another file; delete and get it again"
            )
        self.hash = found[:12]
        self.official = found == OFFICIAL_SHA256
        self._device = torch.device(device)
        code = source_hash(*(f"{__package__}.{name}" for name in ("resize", "inception_net", "inception")))
        self.code = f"{code[:12]} {self._device.type}"
        tensors = _tensors(file, content)
        self.dimensions: Dimensions = dimensions or _most_dimensions(tensors)
        self._net = _load(file, tensors, self.dimensions)
        self._net.to(self._device, memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]

    def __call__(self, images: Tensor) -> Tensor:
        """The features of images.

        Args:
            images: uint8, (n, 3, height, width), of any size.

        Returns:
            float32, (n, dimensions), on the CPU.

        Raises:
            DataError: The images are of another type or shape.
        """
        if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[1] != 3:
            raise DataError(
                f"Inception takes uint8 images (n, 3, height, width), got {images.dtype} {tuple(images.shape)}; "
                "repeat the channel of grey images three times"
            )
        if self._device.type == "cpu":
            return torch.cat(list(each(self._device, self._features, torch.split(images.cpu(), _IMAGES_AT_ONCE))))
        with exact_float32():
            return self._features(images.to(self._device)).cpu()

    def _features(self, images: Tensor) -> Tensor:
        with torch.no_grad():
            pixels = resize(images, self.resizing).contiguous(memory_format=torch.channels_last)
            maps: Tensor = self._net(pixels)
            return maps.mean((2, 3))


def check_features(dimensions: int | None, resizing: str) -> None:
    """Refuses what are no features of the FID Inception.

    Raises:
        DataError: There are no features of so many dimensions, or no such resizing.
    """
    for name, value, known in (
        ("dimensions", dimensions, get_args(Dimensions)),
        ("resizing", resizing, get_args(Resizing)),
    ):
        if value not in (None, *known):
            raise DataError(f"--{name} {value}: Inception's features have {' or '.join(map(str, known))}")


@contextmanager
def exact_float32() -> Generator[None]:
    """Inside, a GPU does not round float32 inputs to 10 bits (TF32), as it does by default; that shows in distances."""
    precision = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        with torch.backends.cudnn.flags(enabled=True, deterministic=True, allow_tf32=False):
            yield
    finally:
        torch.set_float32_matmul_precision(precision)


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise DataError(
            f"the Inception weights cannot be read: {error}. Give the official file, {OFFICIAL_URL}"
        ) from error


def _most_dimensions(tensors: Mapping[str, Tensor]) -> Dimensions:
    return 768 if tensors.keys().isdisjoint(_needed(2048) - _needed(768)) else 2048


def _load(file: Path, tensors: Mapping[str, Tensor], dimensions: Dimensions) -> nn.Module:
    net = inception(dimensions)
    convolutions = [module for module in net.modules() if isinstance(module, Convolution)]
    shapes = {name: shape for convolution in convolutions for name, shape in convolution.shapes.items()}
    missing = [name for name in shapes if name not in tensors]
    if missing:
        possible = [size for size in get_args(Dimensions) if _needed(size) <= tensors.keys()]
        holds = f"its layers give {possible} dimensions only" if possible else "it is no FID Inception"
        raise DataError(
            f"{file} lacks {len(missing)} tensors for {dimensions}-dimensional features, such as {missing[0]}: "
            f"{holds}. Give the official file, {OFFICIAL_URL}"
        )
    for name, shape in shapes.items():
        if tuple(tensors[name].shape) != shape:
            raise DataError(f"{file}: {name} has shape {tuple(tensors[name].shape)}, the FID Inception's has {shape}")
        if not bool(tensors[name].isfinite().all()):
            raise DataError(f"{file}: {name} holds NaN or infinity; get the file again")
    for convolution in convolutions:
        convolution.read(tensors)
    return net.eval()


def _needed(dimensions: Dimensions) -> set[str]:
    with torch.device("meta"):
        modules = inception(dimensions).modules()
    return {name for module in modules if isinstance(module, Convolution) for name in module.shapes}


def _tensors(file: Path, content: bytes) -> Mapping[str, Tensor]:
    try:
        if file.suffix == ".safetensors":
            return safetensors.torch.load(content)
        loaded: Any = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except (safetensors.SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError) as error:
        raise DataError(f"{file} cannot be read as a weights file ({_first_line(error)}); get it again") from error
    if not isinstance(loaded, Mapping):
        raise DataError(f"{file} holds a {type(loaded).__name__}, not tensors by name")
    return {name: value for name, value in loaded.items() if isinstance(value, Tensor)}  # pyright: ignore[reportUnknownVariableType]


def _first_line(error: Exception) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
