"""Numbers that are written into source code, where weights could hide; the code is parsed and never run."""

import ast
import math

BYTES_OF_A_NUMBER = 4
TEXT = 1_000
"""Characters of one text up to which it is a message, not weights."""


def count_constants(text: str) -> int:
    """Numbers in lists, tuples, sets and dicts of some code, and a number for every four bytes of long texts.

    Raises:
        SyntaxError: It is no Python.
    """
    tree, total = ast.parse(text), 0
    for node in ast.walk(tree):
        if isinstance(node, ast.List | ast.Tuple | ast.Set | ast.Dict):
            elements = node.values if isinstance(node, ast.Dict) else node.elts
            total += sum(_is_number(element) for element in elements)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str | bytes) and len(node.value) > TEXT:
            total += math.ceil(len(node.value) / BYTES_OF_A_NUMBER)
        elif isinstance(node, ast.Constant) and isinstance(node.value, int) and node.value.bit_length() > 64:
            total += math.ceil(node.value.bit_length() / 8 / BYTES_OF_A_NUMBER)
    return total


def _is_number(node: ast.expr) -> bool:
    inner = node.operand if isinstance(node, ast.UnaryOp) else node
    return isinstance(inner, ast.Constant) and isinstance(inner.value, int | float | complex)
