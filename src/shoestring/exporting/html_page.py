"""One HTML file out of its parts in web/: a template, styles, scripts, what it says, and a net."""

import base64
import gzip
import html
import json
import re
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

PARTS = files("shoestring.exporting") / "web"


def html_page(template: str, scripts: Sequence[str], title: str, facts: dict[str, Any], net: bytes) -> bytes:
    """A page that loads nothing else.

    Args:
        template: A file of web/.
        scripts: Files of web/, in the order they run.
        title: Its title and headline.
        facts: What the scripts find as JSON in the element "facts".
        net: What `unpacked` of unpack.js finds in the element "net".
    """
    content = {
        "TITLE": html.escape(title),
        "STYLE": part("page.css"),
        "FACTS": json.dumps(facts, separators=(",", ":")).replace("<", "\\u003c"),
        "NET": base64.b64encode(gzip.compress(net, mtime=0)).decode(),
        "SCRIPT": "\n".join(part(script) for script in scripts),
    }
    # In one go: what is filled in may hold such a place itself, as the name of a class.
    page = re.sub(f"@@({'|'.join(content)})@@", lambda place: content[place[1]], part(template))
    return page.encode(errors="replace")


def part(name: str) -> str:
    """The text of a file of web/."""
    return (PARTS / name).read_text(encoding="utf-8").rstrip("\n")
