"""What cron, a container, a pipe or Windows leave of the standard streams, made fit to write to."""

import io
import os
import sys
from pathlib import Path


def complete_streams() -> None:
    """Opens standard streams that are closed, to nowhere, and lets no letter fail that an encoding lacks.

    Closed ones would else give their numbers to the files opened next, into which libraries then write their warnings.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115 (it stays open)
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors in ("strict", "surrogateescape"):
        sys.stdout.reconfigure(errors="replace")
