"""The verb that allows the code of a run."""

from dataclasses import dataclass
from typing import Annotated

from tyro.conf import Positional, arg

from shoestring.cli.display import Display
from shoestring.cli.options import Options, require_run

FIRST_LINES = 12


@dataclass(frozen=True, kw_only=True)
class Trust(Options):
    """Allow the code that a run keeps to run on this machine, now and later; shows what that is. Read it first.

    Code that you trained with yourself is allowed already. The list is kept in the file that the variable
    SHOESTRING_TRUST names, by default shoestring/trusted in your configuration folder.
    """

    target: Annotated[Positional[str], arg(metavar="RUN")]
    """The run's folder."""

    def do(self, display: Display) -> None:
        """Shows each file, and allows all."""
        require_run(self.target)
        from shoestring import api
        from shoestring.core.trust import trust_file

        found = api.trust(self.target)
        rows: dict[str, dict[str, object]] = {}
        for kept in found:
            content = kept.read()
            rows[kept.part] = {"kind": kept.kind, "file": str(kept.file), "bytes": len(content), "sha256": kept.source}
            display.line(f"{kept.part} {kept.kind}: {kept.file}, {len(content):,} bytes, sha256 {kept.source}")
            lines = content.decode(errors="replace").splitlines()
            for line in lines[:FIRST_LINES]:
                display.line(f"  | {''.join(mark if mark.isprintable() else ' ' for mark in line)}")
            if len(lines) > FIRST_LINES:
                display.line(f"  | … {len(lines) - FIRST_LINES} more lines")
        display.result({"run": self.target, "allowed": rows})
        display.line(f"allowed in {trust_file()}" if found else f"{self.target} has no code of its own")
