"""One process at a time writes into a run; tested with real processes, since the operating system holds the lock."""

import errno
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import tiny

from shoestring import api
from shoestring.core import lock
from shoestring.core.errors import BusyError, RunError
from shoestring.core.progress import Progress
from shoestring.core.run import Run

HOLDER = """
import sys
from pathlib import Path
from shoestring.core.progress import Progress
from shoestring.core.run import Run
with Run(Path(sys.argv[1])).locked(Progress()):
    print("held", flush=True)
    sys.stdin.readline()
"""


@pytest.fixture
def holder(tmp_path):
    """A process that holds the lock of a run's folder until it is told to end."""
    command = [sys.executable, "-c", HOLDER, str(tmp_path / "run")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


def test_a_second_process_is_refused_by_name_and_may_go_on_after_the_first(holder, pictures, tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    with pytest.raises(RunError, match=rf"run is in use by process {holder.pid} on \S+ since .* UTC; wait"):
        api.train(tiny.classifier(pictures), run.folder, device="cpu")
    holder.communicate("end\n", timeout=30)
    assert not run.folder.exists()  # nothing came into it
    with run.locked(Progress()):
        assert run.folder.is_dir()


def test_a_holder_that_has_not_written_its_name_yet_is_named_all_the_same(tmp_path: Path) -> None:
    file = tmp_path / ".lock"
    with file.open("a+", encoding="utf-8") as held:
        lock._lock(held)

        def write() -> None:
            held.write("process 7 on elsewhere")
            held.flush()

        late = threading.Timer(0.2, write)
        late.start()
        with pytest.raises(BusyError, match="in use by process 7 on elsewhere"), lock.locked(file, Progress()):
            pass
        late.join()


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="POSIX signals")
def test_a_killed_process_leaves_no_lock(holder, tmp_path: Path) -> None:
    holder.kill()
    holder.wait(timeout=30)
    heard = tiny.Heard()
    with Run(tmp_path / "run").locked(heard):
        pass
    assert heard.messages == []


def test_whatever_writes_into_a_run_is_refused_and_readers_are_not(classifier_run: Run, gan_run: Run) -> None:
    for run in (classifier_run, gan_run):
        with run.locked(Progress()):
            for write in (
                lambda run=run: api.train(api.recipe(str(run.recipe_file)), run.folder, device="cpu"),
                lambda run=run: api.promote(run.folder, ema_decay=0.5, device="cpu"),
                lambda run=run: api.evaluate(
                    run.folder, device="cpu", **({"inception": "none"} if run is gan_run else {})
                ),
            ):
                with pytest.raises(RunError, match=rf"in use by process {os.getpid()} "):
                    write()
            api.load(run.folder, device="cpu")
    assert api.evaluate(classifier_run.folder, "tune", device="cpu")["accuracy"].n > 0
    assert not list(classifier_run.folder.glob(".lock"))


def test_the_lock_of_a_file_that_its_last_holder_just_removed_is_none(tmp_path: Path, monkeypatch) -> None:
    file, take, removed = tmp_path / ".lock", lock._lock, []

    def late(held) -> None:
        if not removed:
            removed.append(file.unlink())
        take(held)

    monkeypatch.setattr(lock, "_lock", late)
    with (
        lock.locked(file, Progress()),
        pytest.raises(RunError, match=f"in use by process {os.getpid()}"),
        lock.locked(file, Progress()),
    ):
        pass


def test_a_file_system_without_locks_is_said_and_does_not_stop_anything(tmp_path: Path, monkeypatch) -> None:
    def none(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(lock, "_lock", none)
    heard = tiny.Heard()
    with Run(tmp_path / "run").locked(heard):
        (tmp_path / "run" / "recipe.json").touch()
    assert "file system without locks" in heard.messages[0]
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["recipe.json"]


def test_a_file_in_place_of_the_folder_is_named(pictures, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match="is a file; name a folder"):
        api.train(tiny.classifier(pictures), tmp_path / "file", device="cpu")
