"""Files and values that are almost right."""

import random
from typing import Any

STRANGE: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 10**30, 2**31, 2**63, -(2**63) - 1, 0.5, -0.0, 1e308, -1e-320, float("nan"),
    float("inf"), "", " ", "\x00", "none", "../../../etc/passwd", "/dev/zero", "file.py:Name", "os:system", ":",
    "a:b:c", "ü\u202e\U0001f600", "\ud800", "x" * 10_000, "{{7*7}}", "<script>", [], [[]], {}, {"kind": "nothing"},
    [None], [0] * 1000,
)  # fmt: skip


def bytes_like(draw: random.Random, content: bytes) -> bytes:
    """The content with a few changes, or a part of it."""
    found = bytearray(content)
    for _ in range(draw.choice((1, 1, 1, 2, 5, 20))):
        size = len(found)
        place = draw.randrange(size + 1) if draw.random() < 0.5 else draw.randrange(min(size, 200) + 1)
        match draw.randrange(8):
            case 0:
                del found[place:]
            case 1 | 2 if place < size:
                found[place] = draw.randrange(256)
            case 3 if place < size:
                found[place] ^= 1 << draw.randrange(8)
            case 4:
                found[place:place] = draw.randbytes(draw.choice((1, 4, 12, 300)))
            case 5:
                found[place : place + draw.choice((1, 4, 50))] = b""
            case 6:
                large = draw.choice((0, 1, 2**15, 2**31 - 1, 2**32 - 1))
                found[place : place + 4] = large.to_bytes(4, draw.choice(("little", "big")))
            case _:
                other = draw.randrange(size + 1)
                found[place:place] = found[other : other + draw.choice((1, 16, 100))]
    return bytes(found)


def text_like(draw: random.Random, text: str) -> str:
    """The text with a few changes of its bytes, words or lines."""
    if draw.random() < 0.3:
        return bytes_like(draw, text.encode()).decode("utf-8", errors="surrogateescape")
    lines = text.splitlines(keepends=True)
    for _ in range(draw.choice((1, 1, 2, 4))):
        place = draw.randrange(len(lines)) if lines else 0
        match draw.randrange(5):
            case 0:
                del lines[place : place + 1]
            case 1:
                lines.insert(place, draw.choice(lines or ["\n"]))
            case 2 if lines:
                line = lines[place]
                cut = draw.randrange(len(line) + 1)
                lines[place] = line[:cut] + str(draw.choice(STRANGE)) + line[cut:]
            case 3 if lines:
                words = lines[place].split(" ")
                words[draw.randrange(len(words))] = str(draw.choice(STRANGE))
                lines[place] = " ".join(words)
            case _:
                draw.shuffle(lines)
    return "".join(lines)


def values_like(draw: random.Random, values: Any) -> Any:
    """Plain values with a few of them changed, added, left out or renamed."""
    found = _copied(values)
    for _ in range(draw.choice((1, 1, 1, 2, 3))):
        holders = list(_holders(found))
        if not holders:
            return draw.choice(STRANGE)
        holder = draw.choice(holders)
        if isinstance(holder, list):
            _change_list(draw, holder)
        else:
            _change_dict(draw, holder)
    return found


def _change_list(draw: random.Random, values: list[Any]) -> None:
    place = draw.randrange(len(values) + 1)
    match draw.randrange(3):
        case 0:
            del values[place : place + 1]
        case 1:
            values.insert(place, draw.choice(STRANGE))
        case _:
            values[place : place + 1] = [draw.choice(STRANGE)]


def _change_dict(draw: random.Random, values: dict[str, Any]) -> None:
    key = draw.choice(list(values) or ["x"])
    match draw.randrange(6):
        case 0:
            values.pop(key, None)
        case 1:
            values[f"{key}x"] = values.pop(key, None)
        case 2:
            values[str(draw.choice(STRANGE))] = draw.choice(STRANGE)
        case 3 if isinstance(values.get(key), int | float) and values[key] is not True:
            values[key] = draw.choice((-1, 10, 1000, 10**6, 1e-9)) * values[key]
        case _:
            values[key] = draw.choice(STRANGE)


def _holders(values: Any) -> Any:
    if isinstance(values, dict | list):
        yield values
        for inner in values.values() if isinstance(values, dict) else values:
            yield from _holders(inner)


def _copied(values: Any) -> Any:
    if isinstance(values, dict):
        return {str(key): _copied(value) for key, value in values.items()}
    return [_copied(value) for value in values] if isinstance(values, list | tuple) else values
