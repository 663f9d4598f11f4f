import datetime
import itertools
import platform
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
import tiny
import torch

from shoestring.core import provenance as environment_module
from shoestring.core.progress import Progress
from shoestring.core.provenance import Session
from shoestring.core.run import Run
from shoestring.model.train_state import State
from shoestring.report.run_data import read
from shoestring.report.tables import environment
from shoestring.training.train import train


def test_a_run_says_what_it_was_made_with(classifier_run: Run) -> None:
    facts = classifier_run.read_json("environment.json")
    assert facts["versions"]["python"] == platform.python_version()
    assert facts["versions"]["torch"] == torch.__version__
    assert facts["versions"]["shoestring"] == version("shoestring")
    assert facts["system"] == platform.platform()
    assert facts["machine"]["device"] == "cpu"
    assert facts["machine"]["threads"] == torch.get_num_threads()
    assert facts["machine"]["precision"] == "float32"
    assert facts["nfe"] == 1
    assert facts["commit"] is None or len(facts["commit"]) >= 7


def test_sessions_add_up_to_the_training(pictures: Path, tmp_path: Path) -> None:
    run, recipe = Run(tmp_path), tiny.classifier(pictures)
    with pytest.raises(tiny.Crash):
        train(recipe, run, Path(), "cpu", tiny.Crashing(after=8), {})
    train(recipe, run, Path(), "cpu", Progress(), {})
    first, second = run.read_json("environment.json")["sessions"]
    assert (first["from_step"], first["to_step"]) == (0, 8)
    assert (second["from_step"], second["to_step"]) == (6, 12)
    assert first["seconds"] >= 0
    started = [datetime.datetime.fromisoformat(session["started"]) for session in (first, second)]
    assert all(time.tzinfo is not None for time in started)
    assert started[0] <= started[1]


def test_each_start_says_what_it_was_made_with(pictures: Path, tmp_path: Path) -> None:
    run, recipe = Run(tmp_path), tiny.classifier(pictures)
    with pytest.raises(tiny.Crash):
        train(tiny.changed(recipe, {"engine__precision": "bfloat16"}), run, Path(), "cpu", tiny.Crashing(after=8), {})
    train(tiny.changed(recipe, {"engine__precision": "float32"}), run, Path(), "cpu", Progress(), {})
    facts = run.read_json("environment.json")
    assert [session["machine"]["precision"] for session in facts["sessions"]] == ["bfloat16", "float32"]
    assert facts["sessions"][-1] == facts["sessions"][-1] | {name: facts[name] for name in ("versions", "machine")}
    assert ("precision", "bfloat16, float32") in environment(read([run])[0])


def test_a_killed_part_counts_what_its_last_checkpoint_knows(pictures: Path, tmp_path: Path, monkeypatch) -> None:
    run, recipe = Run(tmp_path), tiny.classifier(pictures)
    with monkeypatch.context() as killed:
        killed.setattr(Session, "note", only_within_the_loop(Session.note))
        with pytest.raises(tiny.Crash):
            train(recipe, run, Path(), "cpu", tiny.Crashing(after=8), {})
    (session,) = run.read_json("environment.json")["sessions"]
    assert (session["from_step"], session["to_step"]) == (0, 6)
    assert session["seconds"] > 0
    saved = run.checkpoints.read(Progress(), torch.device("cpu"))
    assert saved["seconds"] == pytest.approx(sum(record["seconds"] for record in run.log("train")))
    train(recipe, run, Path(), "cpu", Progress(), {})
    facts = run.read_json("environment.json")
    assert [(s["from_step"], s["to_step"]) for s in facts["sessions"]] == [(0, 6), (6, 12)]
    logged = sum(record["seconds"] for record in run.log("train"))
    assert facts["training_seconds"] == pytest.approx(logged, abs=0.051)


def only_within_the_loop(note):
    """A killed process records nothing on its way out."""

    def noted(self: Session, state: State) -> None:
        if sys.exc_info()[0] is None:
            note(self, state)

    return noted


def test_a_clock_that_is_set_back_takes_no_time_away(pictures: Path, tmp_path: Path, monkeypatch) -> None:
    class SetBack(datetime.datetime):
        hours = itertools.count()

        @classmethod
        def now(cls, tz=None):
            return super().now(tz) - datetime.timedelta(hours=next(cls.hours))

    monkeypatch.setattr(environment_module.datetime, "datetime", SetBack)
    run = Run(tmp_path)
    train(tiny.classifier(pictures), run, Path(), "cpu", Progress(), {})
    assert 0 < run.read_json("environment.json")["sessions"][0]["seconds"] < 600


def test_a_checkpoint_of_version_0_1_goes_on_with_the_time_of_its_sessions(pictures: Path, tmp_path: Path) -> None:
    run, recipe = Run(tmp_path), tiny.classifier(pictures)
    with pytest.raises(tiny.Crash):
        train(recipe, run, Path(), "cpu", tiny.Crashing(after=8), {})
    saved = run.checkpoints.read(Progress(), torch.device("cpu"))
    del saved["seconds"]
    run.checkpoints.last().unlink()
    run.checkpoints.write(6, saved)
    old = {"started": "2026-01-02T03:04:05+00:00", "from_step": 0, "to_step": 8, "seconds": 1000.0}
    run.write_json("environment.json", {"versions": {}, "machine": {"precision": "float32"}, "sessions": [old]})
    assert ("precision", "float32") in environment(read([run])[0])
    train(recipe, run, Path(), "cpu", Progress(), {})
    facts = run.read_json("environment.json")
    assert facts["sessions"][0] == old
    assert facts["training_seconds"] >= 1000
