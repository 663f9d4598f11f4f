"""A full disk, a quota, a folder that is read-only or not one's own: one line says so, and nothing is half-written."""

import contextlib
import copy
import errno
import hashlib
import io
import itertools
import json
import os
import random
import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import tiny
from PIL import Image

from campaign.file_layer import Change, watched
from campaign.tiny_trainings import classifier, difference, end_of
from campaign.trials import Trial, drawn, forked, where
from shoestring import api
from shoestring.cli.main import main
from shoestring.core.errors import DataError
from shoestring.core.progress import Progress
from shoestring.core.run import Run
from shoestring.core.tensor_files import read_tensors
from shoestring.data.download import fetch

PROMISE = "without room or permission: one line, nothing half-written, and the same command goes on later"
ASKED = 200
SECONDS = 120.0
REFUSALS = (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS, errno.EIO)
VERBS = ("train",) * 6 + ("evaluate",) * 3 + ("report",) * 3 + ("download",) * 4 + ("sweep",) * 2 + ("export",) * 2


class Begun:
    """A finished run, a recipe, a file to download, and where all of it is tried."""

    def __init__(self, folder: Path) -> None:
        self.pictures = tiny.write_pictures(folder / "pictures", train=4, test=2)
        recipe = classifier(self.pictures)
        self.recipe = folder / "mine.toml"
        self.recipe.write_text(tiny.toml(recipe.to_json()))
        self.run = api.train(recipe, folder / "whole", device="cpu", progress=Progress())
        self.end = end_of(self.run)
        self.served = folder / "served"
        self.served.mkdir()
        (self.served / "file").write_bytes(random.Random(0).randbytes(300_000))
        self.checksum = f"sha256:{hashlib.sha256((self.served / 'file').read_bytes()).hexdigest()}"
        self.place = folder / "place"
        self.place.mkdir()

    def at(self, place: Path) -> "Begun":
        """The same, tried in another folder."""
        found = copy.copy(self)
        found.place = place
        return found

    def words(self, verb: str) -> list[str]:
        """The command."""
        run = str(self.place / "run")
        sweep = ["--grid", "optimiser.learning_rate=0.01", "--confirm", "0", "--budget.steps", "1"]
        return {
            "train": ["train", str(self.recipe), "--run", run, "--device", "cpu"],
            "evaluate": ["evaluate", run, "--device", "cpu"],
            "report": ["report", run],
            "export": ["export", run, "--to", "web"],
            "sweep": ["sweep", str(self.recipe), *sweep, "--out", str(self.place / "sweep"), "--device", "cpu"],
        }[verb]

    def prepare(self, verb: str) -> None:
        """What must be there before the command."""
        for old in list(self.place.iterdir()):
            shutil.rmtree(old) if old.is_dir() else old.unlink()
        if verb in ("evaluate", "report", "export"):
            shutil.copytree(self.run.folder, self.place / "run")


def trials(folder: Path, seed: int, numbers: Iterable[int]) -> Iterator[Trial]:
    """A trial is a command that is refused somewhere, and repeated without a refusal."""
    begun = Begun(folder)
    handler = partial(_Quiet, directory=str(begun.served))
    with (
        ThreadingHTTPServer(("127.0.0.1", 0), handler) as server,
        _small_disk(begun.place) as disk,
        _quota_disk(folder) as limited,
    ):
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/file"
        for number in numbers:
            draw = drawn(seed, number)
            verb = draw.choice(VERBS)
            ways = [
                "refused",
                "refused",
                *(["full", "full", "read-only"] if disk else []),
                *(["of root"] if _is_root() else []),
                *(["quota"] if limited else []),
            ]
            way = draw.choice(ways)
            here = begun.at(limited) if way == "quota" and limited else begun
            here.prepare(verb)
            work = partial(_tried, here, verb, way, draw, address)
            status, found = forked(work, SECONDS)
            yield Trial(number, f"{verb}: {way}", f"it ended with status {status}" if found is None else found)
        server.shutdown()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Nothing."""


def _is_root() -> bool:
    return os.name == "posix" and os.geteuid() == 0


@contextlib.contextmanager
def _small_disk(place: Path) -> Iterator[bool]:
    """Makes a folder a small disk of its own, where the system allows that."""
    options = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(place)]
    allowed = sys.platform == "linux" and _is_root() and subprocess.run(options, capture_output=True).returncode == 0
    try:
        yield allowed
    finally:
        if allowed:
            subprocess.run(["umount", "--lazy", str(place)], check=True)


@contextlib.contextmanager
def _quota_disk(folder: Path) -> Iterator[Path | None]:
    """A folder whose use the file system limits; None where that takes more than the system has: Btrfs, loops, root."""
    if not (sys.platform == "linux" and _is_root() and shutil.which("mkfs.btrfs")):
        yield None
        return
    image, disk = folder / "image", folder / "disk"
    disk.mkdir()
    with image.open("wb") as file:
        file.truncate(160 << 20)
    place = disk / "place"
    steps = (
        ["mkfs.btrfs", "-q", "-f", str(image)],
        ["mount", "-o", "loop", str(image), str(disk)],
        ["btrfs", "quota", "enable", str(disk)],
        ["btrfs", "subvolume", "create", str(place)],
    )
    done = list(itertools.takewhile(lambda step: subprocess.run(step, capture_output=True).returncode == 0, steps))
    try:
        yield place if len(done) == len(steps) else None
    finally:
        if len(done) > 1:
            subprocess.run(["umount", "--lazy", str(disk)], check=True)


def _limit(place: Path, left: str) -> None:
    subprocess.run(["btrfs", "qgroup", "limit", left, str(place)], check=True, capture_output=True)


def _tried(begun: Begun, verb: str, way: str, draw: random.Random, address: str) -> str:
    ways = {"full": _full, "read-only": _read_only, "of root": _of_root, "refused": _refused, "quota": _quota}
    with ways[way](begun.place, draw):
        status, said = _command(begun, verb, address)
    if status not in (0, 1) or "Traceback" in said:
        return f"status {status}: {said[-300:]}"
    if status == 1 and len(re.findall(r"^error: ", said, flags=re.MULTILINE)) != 1:
        return f"no single line says what is wrong: {said[-300:]}"
    if half := _half_written(begun.place):
        return f"half-written: {half}"
    if way == "of root":
        return ""  # this process gave root up for good
    status, said = _command(begun, verb, address)
    if status:
        return f"with room it fails: {said[-300:]}"
    if half := _half_written(begun.place):
        return f"half-written, with room: {half}"
    return difference(end_of(Run(begun.place / "run")), begun.end) if verb == "train" else ""


def _command(begun: Begun, verb: str, address: str) -> tuple[int, str]:
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
            if verb == "download":
                fetch([address], begun.place / "data" / "file", begun.checksum, Progress(), pause_seconds=0)
                return 0, ""
            return main(begun.words(verb)), said.getvalue()
    except DataError as error:
        return 1, f"error: {error}"
    except BaseException as error:
        return -1, where(error)


def _half_written(place: Path) -> str:
    """The first file that is not whole, if any."""
    for file in sorted(file for file in place.rglob("*") if file.is_file()):
        if file.name.startswith(".") or file.suffix in (".part", ".lock", ".log"):
            continue  # what is not there yet
        try:
            match file.suffix:
                case ".json":
                    json.loads(file.read_text())
                case ".safetensors":
                    read_tensors(file)
                case ".png":
                    with Image.open(file) as image:
                        image.load()
                case ".pt":
                    if not file.stem.endswith(hashlib.sha256(file.read_bytes()).hexdigest()[:16]):
                        raise ValueError("its checksum is another")
                case ".html":
                    if not file.read_text().rstrip().endswith("</html>"):
                        raise ValueError("its end is missing")
        except Exception as error:
            return f"{file.relative_to(place)} ({error})"
    return ""


@contextlib.contextmanager
def _full(place: Path, draw: random.Random) -> Iterator[None]:
    """Inside, only so many bytes are left on the disk."""
    filler, left = place / ".filler", draw.choice((0, 4096, draw.randrange(600_000)))
    free = os.statvfs(place).f_bavail * os.statvfs(place).f_frsize
    filler.write_bytes(bytes(max(0, free - left)))
    try:
        yield
    finally:
        filler.unlink()


@contextlib.contextmanager
def _quota(place: Path, draw: random.Random) -> Iterator[None]:
    """Inside, only so many bytes may be used more; of a file system that takes whole blocks."""
    os.sync()
    said = subprocess.run(
        ["btrfs", "qgroup", "show", "--raw", "-f", "--sync", str(place)], check=True, capture_output=True, text=True
    ).stdout
    used = int(said.splitlines()[-1].split()[1])
    _limit(place, str(used + draw.choice((16 << 10, 64 << 10, draw.randrange(16 << 10, 800_000)))))
    try:
        yield
    finally:
        _limit(place, "none")


@contextlib.contextmanager
def _read_only(place: Path, _: random.Random) -> Iterator[None]:
    subprocess.run(["mount", "-o", "remount,ro", str(place)], check=True, capture_output=True)
    try:
        yield
    finally:
        subprocess.run(["mount", "-o", "remount,rw", str(place)], check=True, capture_output=True)


@contextlib.contextmanager
def _of_root(place: Path, _: random.Random) -> Iterator[None]:
    """Inside, and from then on, this process is of a user who may only read there."""
    os.environ["HOME"] = "/nonexistent"
    for parent in (place, *place.parents):
        if not parent.stat().st_mode & 0o001:
            parent.chmod(0o755)
    os.setgid(65534)
    os.setuid(65534)
    yield


@contextlib.contextmanager
def _refused(place: Path, draw: random.Random) -> Iterator[None]:
    """Inside, every change from a certain one on is refused by the layer of files, a write perhaps in its middle."""
    at, reason, part = draw.randrange(draw.choice((3, 30, 150))), draw.choice(REFUSALS), draw.random()
    seen = 0

    def watch(change: Change) -> int | None:
        nonlocal seen
        seen += 1
        if seen <= at or change.kind in ("remove", "remove folder"):
            return None
        if change.kind == "write" and reason == errno.ENOSPC:
            return int(part * len(change.content))
        raise OSError(reason, os.strerror(reason), change.path)

    with watched(place, watch):
        yield
