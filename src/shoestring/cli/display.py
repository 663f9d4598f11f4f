"""What the command line shows: progress and messages on the error stream; results and tables on standard output."""

import json
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from rich import box
from rich.table import Table

from shoestring.live.terminal import TerminalProgress, console, visible


class Display(TerminalProgress):
    """Shows progress on the error stream, results on standard output; with `as_json`, only one JSON object there."""

    def __init__(self, as_json: bool) -> None:
        super().__init__()
        self.as_json = as_json
        self.out = console(stderr=False)

    def result(self, values: Mapping[str, Any]) -> None:
        """The JSON object of a verb, when asked for."""
        if self.as_json:
            sys.stdout.write(json.dumps(values, allow_nan=False) + "\n")

    def line(self, text: str) -> None:
        """A line of the result, for people."""
        if not self.as_json:
            self.out.print(visible(text), soft_wrap=True)

    def table(
        self, title: str, columns: Iterable[str], rows: Iterable[Iterable[str]], numbers: Iterable[str] = ()
    ) -> None:
        """A table of the result, for people; the columns named in `numbers` are set flush right."""
        if self.as_json:
            return
        table = Table(
            title=visible(title), title_justify="left", header_style="bold", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0)
        )
        for column in columns:
            whole = not table.columns or column in numbers  # names and numbers are never broken, words may be
            table.add_column(
                visible(column), justify="right" if column in numbers else "left", overflow="fold", no_wrap=whole
            )
        for row in rows:
            table.add_row(*map(visible, row))
        self.out.print(table)
