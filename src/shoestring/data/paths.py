"""Where data lies when the user does not say."""

import os
import sys
import tempfile
from pathlib import Path

from shoestring.core.errors import DataError

VARIABLE = "SHOESTRING_DATA"


def data_folder(given: Path | None = None) -> Path:
    """The folder below which data files are looked for and downloads land; it need not exist yet.

    Args:
        given: The user's choice. Without it the environment variable SHOESTRING_DATA decides, and without that the
            user's cache folder, or a temporary one of a user who has no home to write to.

    Raises:
        DataError: The user's choice begins with ~, and there is no home.
    """
    chosen = given or (Path(named) if (named := os.environ.get(VARIABLE)) else None)
    if chosen is not None:
        try:
            return chosen.expanduser()
        except RuntimeError as error:
            raise DataError(f"{chosen}: there is no such home folder here; name the data folder in full") from error
    return _own_folder()


def cache_folder(data: Path) -> Path:
    """Where things computed from data are kept: below the data folder, or the user's cache where that is read-only."""
    return (data if _writable(data) else _own_folder(to_write=True)) / "cache"


def own_cache_folder() -> Path:
    """Where things computed from the user's own files are kept: in the user's cache, never among those files."""
    return _own_folder(to_write=True) / "cache"


def _own_folder(*, to_write: bool = False) -> Path:
    """This package's folder in the user's cache; among temporary ones where no home is, or none to write to."""
    cache = _user_cache(sys.platform)
    own = cache and cache / "shoestring"
    if own and (_writable(own) or (own.exists() and not to_write)):
        return own
    return Path(tempfile.gettempdir()) / f"shoestring-{os.getuid() if hasattr(os, 'getuid') else 'cache'}"


def _writable(folder: Path) -> bool:
    existing = next((one for one in (folder, *folder.parents) if one.exists()), folder)
    return os.access(existing, os.W_OK)


def _user_cache(platform: str) -> Path | None:
    if platform == "win32" and (local := os.environ.get("LOCALAPPDATA")):
        return Path(local)
    # The XDG specification says that a relative path is to be ignored.
    named = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if platform not in ("win32", "darwin") and named.is_absolute():
        return named
    try:
        home = Path.home()
    except RuntimeError:  # no HOME, and a user whom the system does not know, as in some containers
        return None
    below = {"win32": "AppData/Local", "darwin": "Library/Caches"}
    return home / below.get(platform, ".cache") if home.is_absolute() else None
