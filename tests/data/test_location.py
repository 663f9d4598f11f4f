from pathlib import Path

import pytest

from shoestring.data import location
from shoestring.data.location import cache_folder, data_folder


def test_the_given_folder_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOESTRING_DATA", "/named")
    assert data_folder(Path("/given")) == Path("/given")
    assert data_folder() == Path("/named")


def test_a_tilde_is_the_home_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/someone")
    monkeypatch.setenv("SHOESTRING_DATA", "~/data")
    assert data_folder() == Path("/home/someone/data")
    assert data_folder(Path("~/more")) == Path("/home/someone/more")


@pytest.mark.parametrize(
    ("platform", "cache", "expected"),
    [
        ("linux", None, "/home/someone/.cache/shoestring"),
        ("linux", "/big/cache", "/big/cache/shoestring"),
        ("linux", "not/absolute", "/home/someone/.cache/shoestring"),
        ("darwin", "/big/cache", "/home/someone/Library/Caches/shoestring"),
        ("win32", "/big/cache", "/local/shoestring"),
    ],
)
def test_the_default_is_the_users_cache(
    monkeypatch: pytest.MonkeyPatch, platform: str, cache: str | None, expected: str
) -> None:
    monkeypatch.delenv("SHOESTRING_DATA", raising=False)
    monkeypatch.setenv("HOME", "/home/someone")
    monkeypatch.setenv("LOCALAPPDATA", "/local")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    if cache is not None:
        monkeypatch.setenv("XDG_CACHE_HOME", cache)
    monkeypatch.setattr(location.sys, "platform", platform)
    assert data_folder() == Path(expected)


def test_what_is_computed_lies_with_the_data_unless_that_is_read_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cache_folder(tmp_path / "not" / "yet") == tmp_path / "not" / "yet" / "cache"
    monkeypatch.setattr(location.os, "access", lambda path, mode: path != tmp_path)
    monkeypatch.setattr(location.sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", "/big/cache")
    assert cache_folder(tmp_path / "not") == Path("/big/cache/shoestring/cache")
