"""Readers that go away, with real pipes and processes: no work is lost, and nobody is told of a lost reader."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import tiny

from shoestring.core.run import Run

PROGRAM = "import sys; from shoestring.cli import main; sys.exit(main())"


def started(words: list[str], out: int, error: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", PROGRAM, *words], stdout=out, stderr=error)


def without_reader() -> int:
    """The end of a pipe to write to, when the other end is closed."""
    ours, theirs = os.pipe()
    os.close(ours)
    return theirs


def test_a_training_goes_on_to_its_end_though_nobody_reads(pictures: Path, tmp_path: Path) -> None:
    file, run = tmp_path / "mine.toml", Run(tmp_path / "run")
    file.write_text(tiny.toml(tiny.classifier(pictures, budget__steps=3).to_json()))
    pipe = without_reader()
    process = started(["train", str(file), "--run", str(run.folder), "--device", "cpu"], pipe, pipe)
    os.close(pipe)
    assert process.wait(timeout=100) == 0
    assert run.finished()
    assert "test" in run.metrics() or "tune" in run.metrics()
    assert run.report_file.is_file()


@pytest.mark.parametrize("words", [["--version"], ["sample", "--help"]], ids=" ".join)
def test_results_that_nobody_reads_end_with_the_status_of_a_broken_pipe_and_no_word(words: list[str]) -> None:
    pipe = without_reader()
    process = started(words, pipe, subprocess.PIPE)
    os.close(pipe)
    assert process.communicate(timeout=60)[1] == b""
    assert process.returncode == 141


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_full_disk_ends_a_result_with_an_error_and_progress_in_nothing(tmp_path: Path) -> None:
    with open("/dev/full", "wb") as full:  # noqa: PTH123
        process = started(["--version"], full.fileno(), subprocess.PIPE)
        assert b"No space left" in process.communicate(timeout=60)[1]
        assert process.returncode == 1
        process = started(["train"], subprocess.PIPE, full.fileno())  # its error cannot be said
        assert process.communicate(timeout=60)[0] == b""
        assert process.returncode == 2


def test_started_without_streams_a_command_ends_as_usual() -> None:
    command = f'"{sys.executable}" -c "{PROGRAM}" --version >&- 2>&-'
    assert subprocess.run(["sh", "-c", command], timeout=60).returncode == 0
