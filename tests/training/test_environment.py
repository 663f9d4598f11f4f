import datetime
import platform
from importlib.metadata import version
from pathlib import Path

import pytest
import tiny
import torch

from shoestring.progress import Progress
from shoestring.run import Run
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
    assert facts["evaluations"] == 1
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
