"""Integer nets in .safetensors files: arrays, and the graph as JSON in the file's metadata.

Arrays are named OPERATOR.FIELD, such as "3.weight" and "3.requantisation.multiplier". A file whose name ends with ".gz"
is compressed: names and graph take a third of it otherwise, in nets of many operators.
"""

import gzip
import json
import zlib
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, cast, get_args

import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import NDArray

from shoestring.core.atomic_files import write_atomic
from shoestring.core.errors import ShoestringError
from shoestring.integers.integer_graph import Activation, DigitSum, IntegerNet, Operator, Requantisation, Residual

FORMAT = "shoestring integer net 1"
PARTS = (Activation, DigitSum, Requantisation, Residual, *get_args(Operator))


def write(net: IntegerNet, file: Path) -> Path:
    """Writes a net's file, which `read` reads.

    Returns:
        The file.
    """
    arrays: dict[str, NDArray[Any]] = {}
    graph = {
        "format": FORMAT,
        "image": net.image,
        "activations": {name: _plain(value, "", arrays) for name, value in net.activations.items()},
        "operators": [_plain(value, str(place), arrays) for place, value in enumerate(net.operators)],
        "num_classes": net.num_classes,
        "digit_sum": _plain(net.digit_sum, "digit_sum", arrays),
        "metadata": net.metadata,
    }
    packed = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    content = safetensors.numpy.save(packed, {"graph": json.dumps(graph)})
    return write_atomic(file, gzip.compress(content, mtime=0) if file.suffix == ".gz" else content)


def read(file: Path) -> IntegerNet:
    """The net that `write` wrote.

    Raises:
        ShoestringError: The file is none of these.
    """
    try:
        content = file.read_bytes()
        if file.suffix == ".gz":
            content = gzip.decompress(content)
        arrays: dict[str, NDArray[Any]] = safetensors.numpy.load(content)
        header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
        graph = json.loads(header.get("__metadata__", {}).get("graph", "{}"))
    except (OSError, EOFError, ValueError, zlib.error, safetensors.SafetensorError) as error:
        raise ShoestringError(f"{file} cannot be read as an integer net ({error}); export it again") from error
    if graph.get("format") != FORMAT:
        raise ShoestringError(f"{file} holds no integer net of this version; export it again")
    return IntegerNet(
        image=_triple(graph["image"]),
        activations={name: _value(plain, arrays) for name, plain in graph["activations"].items()},
        operators=tuple(_value(plain, arrays) for plain in graph["operators"]),
        num_classes=graph["num_classes"],
        digit_sum=_value(graph["digit_sum"], arrays),
        metadata=graph["metadata"],
    )


def _plain(value: Any, name: str, arrays: dict[str, NDArray[Any]]) -> Any:
    """A value as JSON can hold it; arrays go into `arrays`, and their names stand for them."""
    if isinstance(value, np.ndarray):
        arrays[name] = cast(NDArray[Any], value)
        return {"array": name}
    if is_dataclass(value) and not isinstance(value, type):
        parts = {
            field.name: _plain(getattr(value, field.name), f"{name}.{field.name}", arrays) for field in fields(value)
        }
        return {"type": type(value).__name__} | parts
    if isinstance(value, tuple):
        return [_plain(each, f"{name}.{place}", arrays) for place, each in enumerate(cast(tuple[Any, ...], value))]
    return value


def _value(plain: Any, arrays: dict[str, NDArray[Any]]) -> Any:
    if isinstance(plain, list):
        return tuple(_value(each, arrays) for each in cast(list[Any], plain))
    if not isinstance(plain, dict):
        return plain
    named = cast(dict[str, Any], plain)
    if "array" in named:
        return arrays[named["array"]]
    make = next(part for part in PARTS if part.__name__ == named["type"])
    return make(**{name: _value(each, arrays) for name, each in named.items() if name != "type"})


def _triple(numbers: list[int]) -> tuple[int, int, int]:
    height, width, channels = numbers
    return height, width, channels
