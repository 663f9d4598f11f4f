from types import SimpleNamespace

import pytest

from shoestring import api
from shoestring.cli.main import main
from shoestring.core import allocator
from shoestring.core.run import Run


def test_only_the_command_line_settles_how_the_process_gets_memory(
    gan_run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, int, int]] = []

    def load(name: str) -> SimpleNamespace:
        return SimpleNamespace(mallopt=lambda key, value: asked.append((name, key, value)))

    monkeypatch.setattr(allocator, "ctypes", SimpleNamespace(CDLL=load))
    monkeypatch.setattr(allocator.platform, "system", lambda: "Linux")
    api.sample(gan_run.folder, count=2, device="cpu")
    assert asked == []
    assert main(["--version"]) == 0
    assert asked == [("libc.so.6", -4, 0), ("libc.so.6", -1, 2**31 - 1), ("libc.so.6", -2, 64 * 2**20)]
    monkeypatch.setattr(allocator.platform, "system", lambda: "Windows")
    asked.clear()
    allocator.keep_freed_memory()
    assert asked == []
