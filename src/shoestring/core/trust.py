"""Which code from outside the package the user has allowed to run."""

import os
import sys
from collections.abc import Iterable
from pathlib import Path

VARIABLE = "SHOESTRING_TRUST"

_allowed: set[str] = set()


def trust_file() -> Path:
    """The file with one line for each piece of code that was ever allowed; it need not exist.

    The environment variable SHOESTRING_TRUST names it; without that it lies in the user's configuration folder.
    """
    named = os.environ.get(VARIABLE)
    return Path(named).expanduser() if named else configuration_folder(sys.platform) / "shoestring" / "trusted"


def trust_key(kind: str, source: str) -> str:
    """What is allowed: one name in code of one content, wherever that file lies; or in one module.

    Args:
        kind: `file.py:Name` or `module:Name`.
        source: sha256 of the code, in hex.
    """
    place, _, name = kind.rpartition(":")
    return f"{source} {name if place.endswith('.py') else kind}"


def is_trusted(key: str) -> bool:
    """Whether this process or any before it was told to run that code."""
    return key in _allowed or key in _lines()


def allow(key: str) -> None:
    """Allows code for this process."""
    _allowed.add(key)


def remember(keys: Iterable[str]) -> None:
    """Allows code for good.

    Raises:
        OSError: The file cannot be written.
    """
    _allowed.update(keys := set(keys))
    new = sorted(keys.difference(_lines())) if keys else []
    if not new:
        return
    file = trust_file()
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a", encoding="utf-8") as lines:
        lines.write("".join(f"{key}\n" for key in new))


def _lines() -> list[str]:
    try:
        return trust_file().read_text(encoding="utf-8").splitlines()
    except FileNotFoundError:
        return []


def configuration_folder(platform: str = sys.platform) -> Path:
    """Where this user keeps the settings of programs.

    Raises:
        FileNotFoundError: The user has no home.
    """
    if platform == "win32":
        return Path(os.environ.get("APPDATA") or _home() / "AppData" / "Roaming")
    if platform == "darwin":
        return _home() / "Library" / "Application Support"
    # The XDG specification says that a relative path is to be ignored.
    named = Path(os.environ.get("XDG_CONFIG_HOME", ""))
    return named if named.is_absolute() else _home() / ".config"


def _home() -> Path:
    try:
        return Path.home()
    except RuntimeError as error:  # in a container, of a user whom the system does not know
        raise FileNotFoundError(f"this user has no home folder; name a file in {VARIABLE}") from error
