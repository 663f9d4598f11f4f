"""A hook of the documentation site: links that leave docs/ become plain text, since the site holds docs/ alone.

`mkdocs build --strict` calls it for each page; in the repository itself these links lead somewhere.
"""

import re
from pathlib import Path
from typing import Any

LINK = re.compile(r"(!?)\[([^\]]+)\]\(([^)#\s]+)(#[^)\s]*)?\)")


def on_page_markdown(markdown: str, page: Any, config: Any, **_: Any) -> str:
    """The page's text without links to files outside docs/."""
    return within(markdown, Path(config["docs_dir"]), Path(page.file.abs_src_path).parent)


def within(markdown: str, docs: Path, folder: Path) -> str:
    """Text without links that leave a folder.

    Args:
        markdown: The text.
        docs: The folder.
        folder: From where links count.
    """

    def kept(found: re.Match[str]) -> str:
        target = found[3]
        if "://" in target or target.startswith("mailto:"):
            return found[0]
        inside = (folder / target).resolve().is_relative_to(docs.resolve()) and not (folder / target).is_dir()
        return found[0] if inside or found[1] else found[2]

    return LINK.sub(kept, markdown)
