"""Where data lies when the user does not say."""

import os
import sys
from pathlib import Path

VARIABLE = "SHOESTRING_DATA"


def data_folder(given: Path | None = None) -> Path:
    """The folder below which data files are looked for and downloads land; it need not exist yet.

    Args:
        given: The user's choice. Without it the environment variable SHOESTRING_DATA decides, and without that the
            user's cache folder.
    """
    if given is not None:
        return given.expanduser()
    if named := os.environ.get(VARIABLE):
        return Path(named).expanduser()
    return _cache_folder(sys.platform) / "shoestring"


def cache_folder(data: Path) -> Path:
    """Where things computed from data are kept: below the data folder, or the user's cache where that is read-only."""
    existing = next((folder for folder in (data, *data.parents) if folder.exists()), data)
    return (data if os.access(existing, os.W_OK) else _cache_folder(sys.platform) / "shoestring") / "cache"


def _cache_folder(platform: str) -> Path:
    if platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    if platform == "darwin":
        return Path.home() / "Library" / "Caches"
    # The XDG specification says that a relative path is to be ignored.
    named = Path(os.environ.get("XDG_CACHE_HOME", ""))
    return named if named.is_absolute() else Path.home() / ".cache"
