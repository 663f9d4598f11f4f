"""Pickled dictionaries of numbers, strings and arrays, read without running what else a pickle may hold."""

import math
import pickle
import re
from pathlib import Path
from typing import Any, cast

import numpy as np

from shoestring.core.errors import DataError


class _Dtype:
    """Stands in for numpy.dtype: remembers its code, such as "u1", and its byte order."""

    def __init__(self, code: str, *_: object) -> None:
        self.code, self.order = code, "|"

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.order = state[1]


class _Array:
    """Stands in for numpy.ndarray: remembers what the array is made of."""

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        _, self.shape, self.dtype, self.fortran, self.content = state

    def array(self) -> np.ndarray[Any, Any]:
        if not (isinstance(self.dtype, _Dtype) and re.fullmatch("[iuf][1248]|b1", self.dtype.code)):
            raise ValueError("an array is not of plain numbers")
        content = self.content.encode("latin1") if isinstance(self.content, str) else self.content
        dtype = np.dtype(self.dtype.code).newbyteorder(">" if self.dtype.order == ">" else "<")
        if math.prod(self.shape) * dtype.itemsize != len(content):
            raise ValueError(f"an array of shape {self.shape} holds {len(content):,} bytes")
        return np.frombuffer(content, dtype).reshape(self.shape, order="F" if self.fortran else "C")


def _reconstruct(*_: object) -> _Array:
    return _Array()


def _from_buffer(content: bytes, dtype: _Dtype, shape: tuple[int, ...], order: str) -> _Array:
    array = _Array()
    array.__setstate__((1, shape, dtype, order == "F", content))
    return array


def _encode(text: str, _encoding: str = "latin1") -> bytes:
    # How Python 3 writes bytes into protocols before 3.
    return text.encode("latin1")


# Stand-ins alone are ever called, so that a hostile file reaches neither Python's importer nor NumPy's C code.
_STAND_INS: dict[tuple[str, str], Any] = {
    ("numpy", "dtype"): _Dtype,
    ("numpy", "ndarray"): _Array,
    ("_codecs", "encode"): _encode,
    **{(f"numpy.{core}.multiarray", "_reconstruct"): _reconstruct for core in ("core", "_core")},
    **{(f"numpy.{core}.numeric", "_frombuffer"): _from_buffer for core in ("core", "_core")},
}


class _PlainUnpickler(pickle.Unpickler):
    def find_class(self, module_name: str, global_name: str, /) -> Any:
        try:
            return _STAND_INS[module_name, global_name]
        except KeyError:
            raise pickle.UnpicklingError(f"it asks for {module_name}.{global_name}, which no data file needs") from None


def load_plain_dictionary(path: Path) -> dict[str, Any]:
    """The dictionary in a pickle of Python 2 or 3 and of any NumPy; text of Python 2 is read as Latin-1.

    Args:
        path: The file.

    Returns:
        Keys as text; values that are arrays of integers, floats or booleans as read-only arrays.

    Raises:
        DataError: The file cannot be read, is damaged, is no dictionary, or asks for anything but plain data.
    """
    try:
        with path.open("rb") as file:
            content: object = _PlainUnpickler(file, encoding="latin1").load()
        if not isinstance(content, dict):
            raise ValueError("it does not hold a dictionary")
        pairs = cast("dict[object, object]", content).items()
        return {
            key.decode("latin1") if isinstance(key, bytes) else str(key): (
                value.array() if isinstance(value, _Array) else value
            )
            for key, value in pairs
        }
    except Exception as error:  # damaged pickles raise nearly anything
        raise DataError(
            f"{path} cannot be read: {type(error).__name__}: {error}. Delete it and fetch or copy it again."
        ) from error
