import tempfile
from pathlib import Path

import pytest

from shoestring.core.errors import DataError
from shoestring.data import paths as location
from shoestring.data.paths import cache_folder, data_folder


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
    monkeypatch.setattr(location.os, "access", lambda *_: True)
    if cache is not None:
        monkeypatch.setenv("XDG_CACHE_HOME", cache)
    monkeypatch.setattr(location.sys, "platform", platform)
    assert data_folder() == Path(expected)


@pytest.mark.parametrize("home", [None, "", "/", "not/absolute"])
def test_who_has_no_home_gets_a_temporary_folder(home: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SHOESTRING_DATA", "XDG_CACHE_HOME", "HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(name, raising=False)
    if home is None:
        monkeypatch.setattr("pwd.getpwuid", _nobody)
    else:
        monkeypatch.setenv("HOME", home)
    monkeypatch.setattr(location.os, "access", lambda path, _: path != Path("/"))
    for platform in ("linux", "darwin", "win32"):
        monkeypatch.setattr(location.sys, "platform", platform)
        assert data_folder().is_relative_to(tempfile.gettempdir())
    if home is None:
        with pytest.raises(DataError, match="~/data: there is no such home folder here"):
            data_folder(Path("~/data"))


def _nobody(_: int) -> None:
    raise KeyError


def test_what_is_computed_lies_with_the_data_unless_that_is_read_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cache_folder(tmp_path / "not" / "yet") == tmp_path / "not" / "yet" / "cache"
    monkeypatch.setattr(location.os, "access", lambda path, mode: path != tmp_path)
    monkeypatch.setattr(location.sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", "/big/cache")
    assert cache_folder(tmp_path / "not") == Path("/big/cache/shoestring/cache")
    monkeypatch.setattr(location.os, "access", lambda path, mode: path not in (tmp_path, Path("/")))
    assert cache_folder(tmp_path / "not").is_relative_to(tempfile.gettempdir())
