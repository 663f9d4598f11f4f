"""Values as small HTML tables, for notebooks; whatever they hold is shown as text."""

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any, cast


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table; numbers are set flush right.

    Args:
        title: Stands above it.
        columns: Their names.
        rows: Their cells; numbers are grouped, other values are shown as `str` has them.
    """
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows)
    caption = f'<caption style="text-align:left"><b>{escape(title)}</b></caption>'
    return f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def flat(values: dict[str, Any], path: str = "") -> Iterable[tuple[str, Any]]:
    """The values of nested dicts by dotted names."""
    for name, value in values.items():
        if isinstance(value, dict) and value:
            yield from flat(cast(dict[str, Any], value), f"{path}{name}.")
        else:
            yield f"{path}{name}", value


def _cell(value: Any) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        text = f"{value:,}" if isinstance(value, int) else f"{value:,.4g}"
        return f'<td style="text-align:right">{text}</td>'
    return f'<td style="text-align:left">{escape("" if value is None else str(value))}</td>'
