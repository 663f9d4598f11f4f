"""Two at once: the same run, download, features or training of a sweep, from two processes or two threads."""

import hashlib
import os
import random
import shutil
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from http.server import ThreadingHTTPServer
from pathlib import Path

import tiny
import torch

from campaign.no_room import _Quiet
from campaign.tiny_trainings import classifier, difference, end_of
from campaign.trials import Trial, drawn, forked, where
from shoestring import api
from shoestring.core.errors import BusyError
from shoestring.core.progress import Progress
from shoestring.core.run import Run
from shoestring.data.download import fetch
from shoestring.metrics.features.cache import extract_once
from shoestring.metrics.features.extractor import FunctionExtractor
from shoestring.sweeping.claims import Claims

PROMISE = "of two at once one wins, the other says so or waits, and no file is corrupt"
ASKED = 200
SECONDS = 120.0


class Begun:
    """What both go for."""

    def __init__(self, folder: Path) -> None:
        pictures = tiny.write_pictures(folder / "pictures", train=4, test=2)
        self.recipe = classifier(pictures)
        self.end = end_of(api.train(self.recipe, folder / "whole", device="cpu", progress=Progress()))
        self.served = folder / "served"
        self.served.mkdir()
        (self.served / "file").write_bytes(random.Random(0).randbytes(2_000_000))
        self.checksum = f"sha256:{hashlib.sha256((self.served / 'file').read_bytes()).hexdigest()}"
        self.images = torch.randint(0, 256, (40, 3, 8, 8), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
        self.place = folder / "place"
        self.address = ""


def trials(folder: Path, seed: int, numbers: Iterable[int]) -> Iterator[Trial]:
    """A trial is a race of two."""
    begun = Begun(folder)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(begun.served))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        begun.address = f"http://127.0.0.1:{server.server_port}/file"
        kinds = list(RACES)
        for number in numbers:
            draw = drawn(seed, number)
            name, threads = kinds[number % len(kinds)], draw.random() < 0.5
            shutil.rmtree(begun.place, ignore_errors=True)
            begun.place.mkdir()
            runner, judge = RACES[name]
            delays = (0.0, draw.choice((0.0, draw.uniform(0, 0.02), draw.uniform(0, 0.5))))
            works = [partial(_late, delay, runner, begun, place) for place, delay in enumerate(delays)]
            said = _in_threads(works) if threads else _in_processes(works)
            broken = next((one for one in said if one.startswith("broken")), "") or judge(begun, said)
            yield Trial(number, f"{name}: two {'threads' if threads else 'processes'}", broken)
        server.shutdown()


def _late(seconds: float, runner: Callable[[Begun, int], str], begun: Begun, place: int) -> str:
    time.sleep(seconds)
    try:
        return runner(begun, place)
    except BusyError as error:
        return f"busy: {error}"
    except BaseException as error:
        return f"broken: {where(error)}"


def _in_threads(works: list[Callable[[], str]]) -> list[str]:
    said = ["broken: no answer"] * len(works)

    def run(place: int) -> None:
        said[place] = works[place]()

    threads = [threading.Thread(target=run, args=(place,)) for place in range(len(works))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(SECONDS)
    return said


def _in_processes(works: list[Callable[[], str]]) -> list[str]:
    return _in_threads([partial(_forked, work) for work in works])


def _forked(work: Callable[[], str]) -> str:
    status, said = forked(work, SECONDS)
    return f"broken: status {status}" if said is None else said


def _train(begun: Begun, _: int) -> str:
    api.train(begun.recipe, begun.place / "run", device="cpu", progress=Progress())
    return "won"


def _trained(begun: Begun, said: list[str]) -> str:
    lost = [one for one in said if one.startswith("busy")]
    if len(lost) == len(said):
        return f"nobody won: {said}"
    if any("in use by process" not in one for one in lost):
        return f"the holder is not named: {lost}"
    return difference(end_of(Run(begun.place / "run")), begun.end)


def _download(begun: Begun, _: int) -> str:
    fetch([begun.address], begun.place / "data" / "file", begun.checksum, Progress(), pause_seconds=0.01)
    return "won"


def _downloaded(begun: Begun, said: list[str]) -> str:
    there = sorted(os.listdir(begun.place / "data"))
    same = (begun.place / "data" / "file").read_bytes() == (begun.served / "file").read_bytes()
    return "" if same and there == ["file"] and set(said) == {"won"} else f"{there}, {said}"


def _extract(begun: Begun, _: int) -> str:
    extractor = FunctionExtractor("mean", 3, "race", lambda images: images.float().mean((2, 3)))
    features = extract_once(extractor, begun.images, begun.place / "features", Progress())
    return "won" if torch.equal(features, begun.images.float().mean((2, 3))) else "broken: other features"


def _extracted(begun: Begun, said: list[str]) -> str:
    files = [file.name for file in (begun.place / "features").iterdir()]
    return "" if len(files) == 1 and set(said) == {"won"} else f"{files}, {said}"


def _claim(begun: Begun, place: int) -> str:
    claim = Claims(begun.place / "claims").take("point-0")
    if claim is None:
        return "another has it"
    with claim:
        (begun.place / f"worked-{place}").touch()
        time.sleep(0.6)  # longer than the other is late
    return "won"


def _claimed(begun: Begun, said: list[str]) -> str:
    left = list((begun.place / "claims").iterdir())
    return "" if sorted(said) == ["another has it", "won"] and not left else f"{said}, left: {left}"


def _measure(begun: Begun, place: int) -> str:
    run = Run(begun.place / "run")
    with run.locked(Progress()):
        metrics = run.metrics()
        run.write_metrics(f"split-{place}", metrics | {"x": {"value": place}})
    return "won"


def _measured(begun: Begun, said: list[str]) -> str:
    found = Run(begun.place / "run").metrics()
    won = [f"split-{place}" for place, one in enumerate(said) if one == "won"]
    return "" if won and sorted(found) == won else f"{sorted(found)}, {said}"


RACES: dict[str, tuple[Callable[[Begun, int], str], Callable[[Begun, list[str]], str]]] = {
    "run": (_train, _trained),
    "download": (_download, _downloaded),
    "features": (_extract, _extracted),
    "sweep": (_claim, _claimed),
    "record": (_measure, _measured),
}
