"""Numbers as a reader sees them: units, separators and a fitting number of digits; an en dash where there is none."""

import math
from typing import Any, TypeGuard

ABSENT = "–"
MOST_DECIMALS = 7  # of a number; smaller ones are written with an exponent


def is_number(value: Any) -> TypeGuard[float]:
    """Whether a value read from JSON is a number, finite or not; true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def integer(value: Any) -> str:
    """A count with thousands separated: "10,000"."""
    return f"{value:,.0f}" if is_number(value) and math.isfinite(value) else ABSENT


def number(value: Any, digits: int = 4) -> str:
    """A number to so many significant digits, whole parts never rounded: "1.812", "50.28", "12,345"."""
    if not is_number(value):
        return ABSENT
    if not math.isfinite(value):
        return str(float(value))
    if value == 0:
        return "0"
    decimals = digits - 1 - math.floor(math.log10(abs(value)))
    return f"{value:,.{max(decimals, 0)}f}" if decimals <= MOST_DECIMALS else f"{value:.{digits - 1}e}"


def fixed(value: float, decimals: int) -> str:
    """A number with so many decimals, or with two digits where all of them would be 0: "0.567", "0.00021"."""
    if value and abs(value) < 0.5 / 10**decimals:
        decimals = _decimals(value)
    return f"{value:z,.{decimals}f}"


def percent(fraction: Any, decimals: int = 1) -> str:
    """A fraction in percent: 0.494 is "49.4 %"; with more decimals where it would seem to be 0 or 100 %."""
    if not is_number(fraction):
        return ABSENT
    left = 100 * abs(1 - fraction)  # beyond rounding errors of sums
    if 1e-9 < left < 0.5 / 10**decimals:
        decimals = _decimals(left)
    return f"{fixed(100 * fraction, decimals)} %"


def points(fraction: float, decimals: int = 1) -> str:
    """A difference of fractions in signed percentage points: 0.027 is "+2.7 points"."""
    return f"{100 * fraction:+z.{decimals}f} points".replace("-", "−")


def points_interval(bounds: tuple[float, float] | list[float]) -> str:
    """The interval of a difference of fractions in percentage points: "-0.02 to 0.05 points"."""
    return f"{interval([100 * bound for bound in bounds])} points"


def interval(bounds: Any, *, in_percent: bool = False) -> str:
    """An interval in the unit of its metric, to two digits of its width: "48.4 to 50.4 %", "0.0202 to 0.0222"."""
    if not (isinstance(bounds, list | tuple) and len(bounds) == 2 and all(map(is_number, bounds))):  # pyright: ignore[reportUnknownArgumentType]
        return ABSENT
    scale, unit = (100, " %") if in_percent else (1, "")
    low, high = (scale * float(bound) for bound in bounds)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    width = high - low
    if not (math.isfinite(width) and width > 0):
        return f"{number(low)} to {number(high)}{unit}"
    decimals = _decimals(width)
    if decimals <= MOST_DECIMALS:
        return f"{low:z,.{max(decimals, 0)}f} to {high:z,.{max(decimals, 0)}f}{unit}"
    digits = max(decimals + math.floor(math.log10(max(abs(low), abs(high)))), 0)
    return f"{low:z.{digits}e} to {high:z.{digits}e}{unit}"


def _decimals(value: float) -> int:
    """How many decimals show two digits of a number that is not 0; below 0 where whole parts have more."""
    return 1 - math.floor(math.log10(abs(value)))


def duration(seconds: Any) -> str:
    """A time in its two largest units: "1 h 02 min"; below ten seconds with one decimal."""
    if not is_number(seconds) or not math.isfinite(seconds):
        return ABSENT
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours < 48 else f"{hours // 24} d {hours % 24:02d} h"


def large(count: Any) -> str:
    """A large count in thousands, millions or billions: "13.2 M"."""
    if not is_number(count):
        return ABSENT
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(count) >= size:
            return f"{count / size:.3g} {letter}" if abs(count) < 999.5 * size else f"{count / size:,.0f} {letter}"
    return f"{count:,.0f}"


def plain(value: Any) -> str:
    """Any JSON value in one short line, numbers with separators and lists without brackets."""
    if value is None or value == []:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, list | tuple):
        return ", ".join(plain(item) for item in value)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    if isinstance(value, dict):
        return ", ".join(f"{key} {plain(item)}" for key, item in value.items())  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    return str(value)
