"""One submission checked in a process of its own, within limits that the system keeps.

`python -m shoestring.contest.worker` with one JSON argument; what it finds is written into a folder.
"""

import json
import sys
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from shoestring.core.progress import Advance, Progress

DOING = "doing.txt"


class Told(Progress):
    """Writes into a file what is being done, so that one who ends the process knows at what it was."""

    def __init__(self, file: Path) -> None:
        self.file = file

    @contextmanager
    def task(self, title: str, total: int, unit: str = "", start: int = 0) -> Generator[Advance]:
        """A piece of work."""
        self.file.write_text(title, encoding="utf-8")
        yield Advance()


def limit(memory: int, seconds: int) -> None:
    """Lets this process take so many bytes and so much processor time at most, where the system knows such limits.

    The time outlasts the clock of whoever started it, and ends a process that was left alone.
    """
    with suppress(ImportError, ValueError, OSError):
        import resource

        resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def main() -> None:
    """Checks a submission as its argument says: {"path", "rules", "level", "data_folder", "folder", …}, see `grade`.

    Writes check.json into the folder, and what goes with it: correct.bin of a classifier, samples.png of a generator.
    """
    asked: dict[str, Any] = json.loads(sys.argv[1])
    limit(asked["memory"], asked["seconds"])
    import torch

    from shoestring.contest.check import check
    from shoestring.contest.measured import Sampled
    from shoestring.core.image_grid import grid
    from shoestring.core.record_folder import RecordFolder
    from shoestring.recipes.rules import Rules

    rules, folder = Rules.from_json(asked["rules"], "the rules"), RecordFolder(Path(asked["folder"]))
    found = check(
        Path(asked["path"]),
        rules,
        asked["level"],
        Path(asked["data_folder"]),
        Told(folder.folder / DOING),
        sampled=Sampled(asked["samples"], asked["inception"] and Path(asked["inception"])),
    )
    if found.measured.samples is not None:
        folder.write_bytes("samples.png", grid(found.measured.samples, columns=8))
    if found.correct is not None:
        folder.write_bytes("correct.bin", found.correct.to(torch.uint8).numpy().tobytes())
    folder.write_json("check.json", found.to_json())


if __name__ == "__main__":
    main()
