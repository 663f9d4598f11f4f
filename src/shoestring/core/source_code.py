"""The code that classes and functions are defined by."""

import ast
import hashlib
import inspect
import linecache
import sysconfig
from dataclasses import dataclass
from pathlib import Path
from types import BuiltinFunctionType, FunctionType
from typing import Any, cast

from shoestring.core.errors import RecipeError


@dataclass(frozen=True)
class Code:
    """A file of code, or the source of a class in a notebook.

    Attributes:
        name: The file's name.
        content: Its bytes.
        origin: Where it was read; None of a notebook.
    """

    name: str
    content: bytes
    origin: Path | None = None

    @property
    def source(self) -> str:
        """The sha256 of the content, in hex."""
        return hashlib.sha256(self.content).hexdigest()


def is_definition(value: Any) -> bool:
    """Whether it is a class or a function."""
    return isinstance(value, type | FunctionType | BuiltinFunctionType)


def is_installed(code: Code) -> bool:
    """Whether a file belongs to Python or to an installed package."""
    folders = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    return code.origin is not None and any(code.origin.is_relative_to(folder) for folder in folders)


def cell_text(given: Any) -> str | None:
    """The source of a class or function of a notebook; of a class, found by its methods, as inspect cannot."""
    functions: list[Any] = [given, *vars(given).values()]
    codes = [each.__code__ for each in functions if isinstance(each, FunctionType)]
    for code in codes:
        text = "".join(linecache.getlines(code.co_filename))
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == given.__name__:
                line = code.co_firstlineno + len(node.decorator_list)  # that of a function is its first decorator's
                if node.lineno <= line <= (node.end_lineno or 0):
                    return ast.get_source_segment(text, node)
    return None


def defining(made: Any, kind: str) -> Code:
    """The file that defines an object of a module.

    Raises:
        RecipeError: It is not written in Python.
    """
    made_by = made if is_definition(made) else cast(Any, type(made))
    try:
        file = Path(inspect.getsourcefile(inspect.unwrap(made_by)) or "")
        return Code(file.name, file.read_bytes(), file.absolute())
    except (OSError, TypeError) as error:
        raise RecipeError(f"{kind} has no Python source to record; write a function around it in a file") from error
