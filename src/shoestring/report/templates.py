"""The HTML templates of all pages, with the style that each page holds."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

FOLDER = Path(__file__).parent


def rendered(template: str, filters: dict[str, Callable[..., str]], **values: Any) -> bytes:
    """A page as UTF-8: what is no text in it, such as a folder's name, becomes question marks.

    Args:
        template: Its file, in this folder.
        filters: What the template formats values with, by name.
        values: What it shows; besides these it has "style", the style sheet.
    """
    templates = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters.update(filters)
    style = Markup((FOLDER / "page.css").read_text(encoding="utf-8"))
    return templates.get_template(template).render(style=style, **values).encode(errors="replace")
