"""Measures are shown even where they cannot be recorded, and recorded only of what the run still answers with."""

import errno
import json
import os
import shutil
from contextlib import nullcontext
from pathlib import Path

import pytest
import tiny

from shoestring import api, zoo
from shoestring.cli.main import main
from shoestring.core.errors import RunError
from shoestring.core.progress import Progress
from shoestring.core.run import Run
from shoestring.evaluation import evaluate as evaluation


@pytest.fixture
def run(classifier_run: Run, tmp_path: Path) -> Run:
    return Run(shutil.copytree(classifier_run.folder, tmp_path / "run"))


@pytest.fixture
def read_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """As of a file system that is mounted read-only, which stops root as well."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    for name in ("TemporaryFile", "mkstemp"):
        monkeypatch.setattr(f"tempfile.{name}", refuse)


def contents(run: Run) -> dict[Path, bytes]:
    return {file: file.read_bytes() for file in run.folder.rglob("*") if file.is_file()}


class Listening(tiny.Heard):
    """Also remembers which work was begun."""

    def task(self, title: str, total: int, unit: str = "", start: int = 0):
        self.messages.append(f"task {title}")
        return super().task(title, total, unit, start)


def test_a_run_that_may_not_be_written_to_is_measured_and_it_is_said_once_before(run: Run, read_only: None) -> None:
    before, heard = contents(run), Listening()
    assert api.evaluate(run.folder, "test", device="cpu", progress=heard)["accuracy"].n == 15
    said = [message for message in heard.messages if "not recorded" in message]
    assert len(said) == 1
    assert "Read-only file system" in said[0]
    assert heard.messages[0] == said[0]
    assert contents(run) == before


def test_the_command_line_shows_the_measures_and_succeeds(run: Run, read_only: None, capsys) -> None:
    assert main(["evaluate", str(run.folder), "--json", "--device", "cpu"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["accuracy"]["n"] == 15
    assert said.err.count("not recorded") == 1


@pytest.mark.parametrize("name", ["metrics.json", "samples/mistakes.png"])
def test_a_record_that_fails_at_the_end_costs_no_measure(run: Run, capsys, name: str) -> None:
    (run.folder / name).unlink(missing_ok=True)
    (run.folder / name).mkdir(parents=True)
    assert main(["evaluate", str(run.folder), "--json", "--device", "cpu"]) == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["accuracy"]["n"] == 15
    assert said.err.count("not recorded") == 1


def test_adopt_and_report_are_refused_before_any_work(run: Run, read_only: None, monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setattr("shoestring.report.page.build", lambda *_: pytest.fail("the page was built"))
    monkeypatch.setattr("shoestring.evaluation.promote.load", lambda *_: pytest.fail("the weights were read"))
    before = contents(run)
    with pytest.raises(RunError, match=r"Read-only file system\); copy the run to a folder of yours"):
        api.promote(run.folder, 0.9, "cpu")
    with pytest.raises(RunError, match=r"nothing can be written into .*--out"):
        api.write_report([run])
    assert contents(run) == before


def test_shipped_weights_are_measured_and_it_is_said_that_nothing_is_recorded(run: Run, monkeypatch) -> None:
    monkeypatch.setattr(zoo, "FOLDER", run.folder.parent)
    before, heard = contents(run), tiny.Heard()
    assert api.evaluate(run.name, device="cpu", progress=heard)["accuracy"].n == 15
    assert [message for message in heard.messages if "not recorded" in message] == [
        "not recorded: run is shipped or packed and keeps the record of its own final evaluation"
    ]
    assert contents(run) == before


def test_measures_of_answers_that_were_replaced_meanwhile_are_not_recorded(tmp_path: Path, monkeypatch) -> None:
    pictures = tiny.write_pictures(tmp_path / "pictures")
    run = api.train(tiny.classifier(pictures, ema=(0.9, 0.2)), tmp_path / "run", device="cpu")
    usual = evaluation.evaluate_classifier

    def promote_meanwhile(*given: object):
        api.promote(run.folder, 0.2, "cpu")
        return usual(*given)

    monkeypatch.setattr(evaluation, "evaluate_classifier", promote_meanwhile)
    monkeypatch.setattr(Run, "locked", lambda *_: nullcontext())  # as on a file system that has no locks
    heard = tiny.Heard()
    assert api.evaluate(run.folder, "tune", device="cpu", progress=heard)["accuracy"].n == 6
    assert "has other weights" in heard.messages[-1]
    assert run.metrics() == {}
    monkeypatch.undo()
    api.evaluate(run.folder, "tune", device="cpu", progress=Progress())
    assert run.metrics()["tune"]["accuracy"]["n"] == 6


def test_a_classifier_killed_between_its_records_has_them_all_in_the_end(
    pictures: Path, tmp_path: Path, monkeypatch
) -> None:
    recipe, write = tiny.classifier(pictures, budget__steps=2), Run.write_bytes

    def killed(self: Run, name: str, content: bytes) -> Path:
        if name == "samples/mistakes.png":
            raise tiny.Crash
        return write(self, name, content)

    monkeypatch.setattr(Run, "write_bytes", killed)
    with pytest.raises(tiny.Crash):
        api.train(recipe, tmp_path / "run", device="cpu", progress=Progress())
    monkeypatch.undo()
    run = api.train(recipe, tmp_path / "run", device="cpu", progress=Progress())
    assert (run.pictures / "mistakes.png").is_file()
    assert {"train", "tune"} <= run.metrics().keys()
