"""Inline SVG whose colours follow the page: matplotlib draws in fixed inks, which are then named as CSS variables."""

import io
import re
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from markupsafe import Markup, escape

from shoestring.report.plotting import Figure, FigureCanvasSVG, styled

INK, MUTED, LINE = "#1c2430", "#5b6675", "#dfe3e8"
SERIES = ("#0072b2", "#d55e00", "#009e73", "#aa4499", "#8a6d00", "#3b9bd1")
"""Colours told apart with any colour vision (after Okabe and Ito 2008), darkened where needed for white paper."""

_VARIABLES = {INK: "ink", MUTED: "muted", LINE: "line"} | {color: f"series-{i + 1}" for i, color in enumerate(SERIES)}

_STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "shoestring",
    "text.parse_math": False,  # a class may be called "$"
    "font.family": "DejaVu Sans",
    "font.size": 8.5,
    "text.color": INK,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": MUTED,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": LINE,
    "grid.linewidth": 0.6,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "lines.linewidth": 1.5,
    "lines.markersize": 3.5,
    "lines.solid_capstyle": "round",
}


@dataclass(frozen=True)
class Key:
    """One entry of a legend.

    Attributes:
        text: What the mark stands for.
        series: Number of its colour, from 1.
        mark: "line", "dashed", "dots" or "area".
    """

    text: str
    series: int
    mark: str = "line"


@dataclass(frozen=True)
class Picture:
    """A figure of the page.

    Attributes:
        content: The SVG element, or an img element.
        title: Its heading.
        caption: What is shown, with units and n.
        legend: What the marks stand for.
        wide: Whether it needs the page's whole width.
    """

    content: Markup
    title: str
    caption: str = ""
    legend: list[Key] = field(default_factory=list[Key])
    wide: bool = False


@contextmanager
def canvas(width: float, height: float, **settings: Any) -> Generator[Figure, None, None]:
    """An empty figure of a size in inches, in the report's style; draw and save inside the block.

    Args:
        width: In inches.
        height: In inches.
        settings: Of matplotlib, in place of the style's own.
    """
    with styled(_STYLE | settings):
        figure = Figure(figsize=(width, height), layout="constrained", facecolor="none")
        FigureCanvasSVG(figure)  # which no registered backend can replace
        yield figure


def svg(figure: Figure, name: str, alternative: str) -> Markup:
    """A figure as an SVG element for HTML.

    Args:
        figure: What was drawn.
        name: Unique on the page; keeps the ids of several figures apart.
        alternative: What the figure shows, for those who cannot see it.
    """
    file = io.StringIO()
    figure.savefig(
        file, format="svg", transparent=True, metadata={"Date": None, "Creator": None, "Format": None, "Type": None}
    )
    text = file.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    head, body = text.split(">", 1)
    view = re.search(r'viewBox="[^"]*"', head)
    assert view is not None
    # Only inside tags: a label may itself look like an attribute or a colour.
    body = re.sub("<[^>]*>", lambda found: _tag(found[0], name), body)
    width = f"max-width: {7 * figure.get_figwidth():.1f}rem"
    return Markup(f'<svg {view[0]} style="{width}" role="img" aria-label="{escape(alternative)}">{body.strip()}')


def _tag(tag: str, name: str) -> str:
    """A tag of the drawing with ids of its own and with colours that follow the page."""
    tag = tag.replace("xlink:href", "href")
    tag = re.sub(r'(?<= )id="([^"]+)"', lambda found: f'id="{name}-{found[1]}"', tag)
    tag = re.sub(r'(url\(|href=")#', rf"\1#{name}-", tag)
    return re.sub(r'style="[^"]*"', lambda found: _themed(found[0]), tag)


def _themed(style: str) -> str:
    style = re.sub(r"font: ?([\d.]+px)[^;\"]*", r"font-size: \1", style)
    return re.sub(
        "#[0-9a-f]{6}", lambda found: f"var(--{_VARIABLES[found[0]]})" if found[0] in _VARIABLES else found[0], style
    )
