"""What files hold, checked against a type as it is read: a run's folder may come from anywhere."""

import json
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from pydantic import TypeAdapter, ValidationError

from shoestring.core.config import explain
from shoestring.core.errors import RunError

T = TypeVar("T")


def checked(kind: TypeAdapter[T], value: Any, file: Path) -> T:
    """A value as a type has it.

    Args:
        kind: The type.
        value: What was read, such as JSON.
        file: Where from.

    Raises:
        RunError: It is something else; names the file, and what is wrong in it.
    """
    try:
        return kind.validate_python(value)
    except ValidationError as error:
        raise RunError(f"{file} is damaged, or was not written by this program:\n{explain(error)}") from error


def parsed(text: str | bytes) -> Any:
    """A JSON value; NaN and infinity, which Python reads as well, are none.

    Raises:
        ValueError: It is not JSON.
    """
    return json.loads(text, parse_constant=_no_number)


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")
