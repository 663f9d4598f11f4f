"""The sweeps that come with the package: how the papers chose their settings, as far as they say."""

from collections.abc import Mapping
from pathlib import Path

SWEEPS: Mapping[str, Path] = {file.stem: file for file in sorted((Path(__file__).parent / "papers").glob("*.toml"))}
"""Their files, by name."""


def summary(name: str) -> str:
    """What a shipped sweep is: the first line of its file, a comment."""
    return SWEEPS[name].read_text(encoding="utf-8").splitlines()[0].removeprefix("# ")
