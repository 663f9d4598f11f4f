"""What every test gets: one thread, no network beyond this machine, and a tiny trained run to look at."""

import ipaddress
import os
import socket
from pathlib import Path

import pytest
import tiny
import torch

from shoestring import api
from shoestring.core.run import Run

os.environ["OMP_NUM_THREADS"] = "1"  # of the processes that tests start
torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes every connection to another machine an error."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: object) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6) and not _is_here(str(address[0])):  # type: ignore[index]
            raise AssertionError(f"a test tried to reach {address}; tests run without a network")
        connect(self, address)  # type: ignore[arg-type]

    monkeypatch.setattr(socket.socket, "connect", guarded)
    monkeypatch.setattr(socket.socket, "connect_ex", guarded)


@pytest.fixture(autouse=True)
def own_trust(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keeps the user's record of allowed code out of it."""
    monkeypatch.setenv("SHOESTRING_TRUST", str(tmp_path / "trusted"))


@pytest.fixture(autouse=True, scope="session")
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keeps the user's cache and record of measurements out of it, also of the processes that tests start."""
    os.environ["SHOESTRING_MEASURED"] = str(tmp_path_factory.mktemp("settings") / "measured")
    os.environ["XDG_CACHE_HOME"] = str(tmp_path_factory.mktemp("cache"))


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of pictures in three classes, divided into train and test."""
    return tiny.write_pictures(tmp_path_factory.mktemp("data") / "pictures")


@pytest.fixture(scope="session")
def classifier_run(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A finished run of the tiny classifier, measured, with its report. Tests leave it as it is."""
    return api.train(tiny.classifier(pictures), tmp_path_factory.mktemp("runs") / "classifier", device="cpu")


@pytest.fixture(scope="session")
def gan_run(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A finished run of the tiny generator, with its pictures and report. Tests leave it as it is."""
    return api.train(tiny.gan(pictures), tmp_path_factory.mktemp("runs") / "gan", device="cpu")
