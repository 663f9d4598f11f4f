"""matplotlib as it comes, whatever settings its user has: what is drawn depends on the data alone.

The one place that imports it: a backend that is not there, such as a notebook's, fails the import itself.
"""

import logging
import os
import warnings
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from shoestring.core.errors import ShoestringError


@contextmanager
def _shielded() -> Generator[None]:
    """Imports without the chosen backend, which no figure here needs, and without remarks on settings and caches."""
    backend, logger = os.environ.pop("MPLBACKEND", None), logging.getLogger("matplotlib")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    except Exception as error:
        raise ShoestringError(
            f"matplotlib, which draws the report, cannot be imported ({type(error).__name__}: {error}); "
            "put its installation and your matplotlibrc right"
        ) from error
    finally:
        logger.setLevel(level)
        if backend is not None:
            os.environ["MPLBACKEND"] = backend


with _shielded():
    import matplotlib as mpl
    from matplotlib.axes import Axes
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.colors import to_rgb
    from matplotlib.figure import Figure
    from matplotlib.ticker import (
        EngFormatter,
        FixedLocator,
        LogLocator,
        MaxNLocator,
        NullFormatter,
        NullLocator,
        PercentFormatter,
        StrMethodFormatter,
    )

if chosen := os.environ.get("MPLBACKEND"):
    with suppress(ValueError):  # for what else in this process draws
        mpl.rcParams["backend"] = chosen

__all__ = [
    "Axes",
    "EngFormatter",
    "Figure",
    "FigureCanvasSVG",
    "FixedLocator",
    "LogLocator",
    "MaxNLocator",
    "NullFormatter",
    "NullLocator",
    "PercentFormatter",
    "StrMethodFormatter",
    "styled",
    "to_rgb",
]


@contextmanager
def styled(settings: Mapping[str, Any]) -> Generator[None]:
    """Matplotlib's own defaults with these settings, for the time of a drawing; afterwards the user's are back."""
    with warnings.catch_warnings():
        # The reader chooses the fonts; that matplotlib's lacks a letter of a class name changes nothing.
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        warnings.filterwarnings("ignore", category=mpl.MatplotlibDeprecationWarning)
        own: dict[Any, Any] = {name: mpl.rcParamsDefault[name] for name in mpl.rcParamsDefault if name != "backend"}
        whole: Any = own | dict(settings)
        with mpl.rc_context(whole):
            yield
