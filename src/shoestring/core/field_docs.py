"""What the docstrings below a spec's fields say."""

import ast
import inspect
import textwrap
from functools import cache
from itertools import pairwise

from shoestring.core.config import Spec


@cache
def field_docs(spec: type[Spec]) -> dict[str, str]:
    """The docstring of each field as one line; fields of classes whose source cannot be read have none."""
    found: dict[str, str] = {}
    for owner in reversed(spec.__mro__):
        if issubclass(owner, Spec) and owner is not Spec:
            found |= _of_class(owner)
    return found


def _of_class(owner: type) -> dict[str, str]:
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(owner)))
    except (OSError, TypeError):  # made while the program runs
        return {}
    definition = tree.body[0]
    body = definition.body if isinstance(definition, ast.ClassDef) else []
    found: dict[str, str] = {}
    for field, below in pairwise(body):
        if (
            isinstance(field, ast.AnnAssign)
            and isinstance(field.target, ast.Name)
            and isinstance(below, ast.Expr)
            and isinstance(below.value, ast.Constant)
            and isinstance(below.value.value, str)
        ):
            found[field.target.id] = " ".join(below.value.value.split())
    return found
