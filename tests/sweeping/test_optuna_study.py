"""Sweeps by Optuna: its study is shared, and follows what the runs say."""

import json
import statistics
import subprocess
import sys

import pytest
import tiny

from shoestring import api
from shoestring.core.errors import ShoestringError
from shoestring.sweeping import optuna_study
from shoestring.sweeping.folder import SweepFolder, Training
from shoestring.sweeping.optuna_study import OptunaStudy, require_sampler
from shoestring.sweeping.plan import plan
from shoestring.sweeping.sweep import begin

OVER = {"optimiser.learning_rate": "1e-3..1e-1:log", "batch_size": "2..9"}


def test_what_is_not_installed_is_said_before_anything_is_written(pictures, tmp_path, monkeypatch):
    monkeypatch.setattr(optuna_study, "find_spec", lambda name: None if name == "optuna" else object())
    with pytest.raises(ShoestringError, match=r"--search tpe needs optuna: pip install 'shoestring\[sweep\]'"):
        api.sweep(tiny.classifier(pictures), tmp_path / "out", over=OVER, search="tpe", trials=2)
    assert not (tmp_path / "out").exists()
    monkeypatch.setattr(optuna_study, "find_spec", lambda name: None if name == "cmaes" else object())
    with pytest.raises(ShoestringError, match="--search cma-es needs cmaes: pip install cmaes"):
        require_sampler("cma-es")


@pytest.fixture
def optuna():
    return pytest.importorskip("optuna", reason="the extra sweep is not installed")


@pytest.mark.parametrize("url", ["nowhere", "nosuch://x", "sqlite:////not/there/study.db"])
def test_a_database_that_does_not_open_is_said_before_anything_is_written(url, optuna, pictures, tmp_path):
    with pytest.raises(ShoestringError, match="--storage: that database does not open"):
        api.sweep(tiny.classifier(pictures), tmp_path / "out", over=OVER, search="tpe", trials=2, storage=url)
    with pytest.raises(ShoestringError, match="--storage is of Optuna's study"):
        api.sweep(tiny.classifier(pictures), tmp_path / "out", grid={"batch_size": [4, 8]}, storage=url)
    assert not (tmp_path / "out").exists()


@pytest.fixture
def home(pictures, tmp_path):
    """A function that begins a sweep, of so many points."""

    def make(trials=4, storage=None, **options):
        folder = SweepFolder(tmp_path / "out")
        asked = plan({}, **{"over": OVER, "search": "tpe", "trials": trials, **options})
        recipe = api.located(tiny.classifier(pictures, budget__steps=2, ema=[], cadence__evaluate=1))
        begin(recipe, asked, folder, storage, tiny.Heard())
        return SweepFolder(folder.folder)

    return make


def test_points_are_within_their_ranges_and_seen_by_all(optuna, home):
    folder = home(grid={"optimiser.betas": [[0.5, 0.999], [0.9, 0.999]], "augment.horizontal_flip": [True, False]})
    first, second = OptunaStudy(folder), OptunaStudy(SweepFolder(folder.folder))
    for study in (first, second, first, second):
        assert study.ask()
    assert not first.ask()
    assert first.exhausted()
    assert second.exhausted()
    assert first.points() == second.points()
    assert len({json.dumps(point) for point in first.points().values()}) == 4
    for point in first.points().values():
        assert 1e-3 <= point["optimiser.learning_rate"] <= 1e-1
        assert point["batch_size"] in range(2, 10)
        assert point["optimiser.betas"] in ([0.5, 0.999], [0.9, 0.999])
        assert point["augment.horizontal_flip"] in (True, False)


def test_the_same_seed_and_measures_give_the_same_points(optuna, home, tmp_path, pictures):
    study, found = OptunaStudy(home(trials=12)), []
    other = SweepFolder(tmp_path / "other")
    begin(study.folder.recipe, study.folder.plan, other, f"sqlite:///{tmp_path / 'study.db'}", tiny.Heard())
    for one in (study, OptunaStudy(other)):
        for number in range(12):
            one = OptunaStudy(one.folder)  # as if each were proposed by another process
            assert one.ask()
            one.tell(number, "finished", [float(number % 5), float(number % 3)])
        found.append(dict(one.points()))
        values = [trial.value for trial in one.study.trials]
        assert values == [statistics.fmean([number % 5, number % 3]) for number in range(12)]
    assert found[0] == found[1]  # in a journal and in a database


def test_a_point_of_one_who_was_killed_while_asking_is_not_lost(optuna, home):
    study = OptunaStudy(home())
    study.study.ask()  # number 0, before it was written
    assert study.points() == {}
    assert study.ask()
    assert list(study.points()) == [0]
    assert [trial.number for trial in study.study.trials] == [0]


def test_what_has_ended_is_told_once_also_after_a_crash(optuna, home):
    study = OptunaStudy(home())
    for _ in range(3):
        study.ask()
    study.tell(0, "finished", [0.5])
    again = OptunaStudy(study.folder)
    again.tell(0, "finished", [0.5])
    again.tell(1, "failed", [])
    again.tell(2, "pruned", [])
    states = optuna.trial.TrialState
    assert [trial.state for trial in again.study.trials] == [states.COMPLETE, states.FAIL, states.PRUNED]
    assert again.study.best_trial.number == 0


def test_two_processes_and_fifty_points_none_twice(optuna, home):
    folder = home(trials=50).folder
    code = (
        "import sys, time; from pathlib import Path\n"
        "from shoestring.sweeping.folder import SweepFolder; from shoestring.sweeping.optuna_study import OptunaStudy\n"
        "study = OptunaStudy(SweepFolder(Path(sys.argv[1]))); mine = 0\n"
        "while not study.exhausted():\n"
        "    mine += study.ask()\n"
        "print(mine)"
    )
    pair = [
        subprocess.Popen([sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    counts = [int(process.communicate()[0]) for process in pair]
    assert sum(counts) == 50
    study = OptunaStudy(SweepFolder(folder))
    assert sorted(study.points()) == list(range(50)) == sorted(trial.number for trial in study.study.trials)


def test_a_training_that_is_behind_at_equal_steps_is_stopped(optuna, home, pictures, tmp_path):
    study = OptunaStudy(home(trials=8, prune="median"))
    heard = []
    for number in range(8):
        study.ask()
        watch = study.watch(Training(number, 0))
        assert watch is not None
        good = number < 6
        stopped = [watch(step, {"accuracy": 0.9 if good else 0.1, "loss": 1.0}) for step in (1, 2)]
        heard.append(any(stopped))
        study.tell(number, "finished" if good else "pruned", [0.9] if good else [])
    assert heard == [False] * 6 + [True, True]
    assert study.watch(Training(0, 1)) is None  # another seed
    assert study.watch(Training(0, 1000, confirms=True)) is None
    # one-cycle: at step 1 of 2 its rate is still high, so nothing is stopped yet
    study = OptunaStudy(study.folder)
    assert study.watch(Training(7, 0))(1, {"accuracy": 0.0}) is False


def test_a_sweep_by_optuna_ends_with_every_point_and_what_was_pruned(optuna, home, monkeypatch):
    folder = home(trials=3, confirm=1, prune="median")

    def stop_the_second(self, training):
        return lambda step, measures: training.number == 1 and not training.confirms and step == 1

    monkeypatch.setattr(OptunaStudy, "watch", stop_the_second)
    found = api.join_sweep(folder.folder, device="cpu")
    states = {point["number"]: point["state"] for point in found["points"]}
    assert states == {0: "finished", 1: "pruned", 2: "finished"}
    assert next(p["reason"] for p in found["points"] if p["number"] == 1) == "behind others after 1 steps"
    assert (found["cost"]["pruned"], found["cost"]["steps"]) == (1, 2 + 1 + 2 + 2)
    assert found["complete"]
    assert any("at equal steps, late in a schedule" in note for note in found["notes"])
    trials = OptunaStudy(folder).study.trials
    assert [trial.state.name for trial in trials] == ["COMPLETE", "PRUNED", "COMPLETE"]
    best = max((p for p in found["points"] if p["metric"]), key=lambda p: p["metric"]["value"])
    assert trials[best["number"]].value == best["metric"]["value"]
