"""Which progress is shown where nobody asked for one."""

import sys

from shoestring.core.progress import Progress


def usual_progress() -> Progress:
    """Live bars and curves in a notebook, bars on a terminal; nothing where the error stream is a file or a pipe.

    Give a function `progress=shoestring.Progress()` to see nothing at all.
    """
    if in_notebook():
        from shoestring.live.notebook import NotebookProgress

        return NotebookProgress()
    if sys.stderr.isatty():
        from shoestring.live.terminal import TerminalProgress

        return TerminalProgress()
    return Progress()


def in_notebook() -> bool:
    """Whether this runs in the kernel of a notebook, such as Jupyter's, and no other IPython."""
    if "IPython" not in sys.modules:
        return False
    from IPython.core.getipython import get_ipython

    return hasattr(get_ipython(), "kernel")
