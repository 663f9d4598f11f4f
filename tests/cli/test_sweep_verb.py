import json
from pathlib import Path

import pytest
import tiny

from shoestring.cli import main
from shoestring.sweeping.shipped import SWEEPS


@pytest.fixture
def file(pictures: Path, tmp_path: Path) -> Path:
    found = tmp_path / "mine.toml"
    found.write_text(
        tiny.toml(tiny.classifier(pictures, budget__steps=2, ema=[]).to_json())
        + "[sweep]\nconfirm = 1\n[sweep.grid]\nbatch_size = [4, 8]\n"
    )
    return found


def test_a_file_is_swept_shown_and_joined(file, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = ["sweep", str(file), "--device", "cpu", "--optimiser.learning-rate", "0.02", "--grid", "batch_size=4,5"]
    assert main([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["folder"] == "sweeps/mine"
    assert found["complete"]
    assert sorted(point["fields"]["batch_size"] for point in found["points"]) == [4, 5]
    base = json.loads((tmp_path / "sweeps" / "mine" / "base" / "recipe.json").read_text())
    assert base["optimiser"]["learning_rate"] == 0.02
    assert main(["sweep", "--join", "sweeps/mine", "--device", "cpu"]) == 0
    shown = capsys.readouterr().out
    for said in ("Sweep of tiny-classifier", "batch_size", "tune accuracy", "The best with 1 new seeds: ", "best.toml"):
        assert said in shown
    assert "95 % interval ." not in shown  # of one there is none
    assert "Spent: 6 steps in 3 trainings" in shown


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--grid", "batch_size"], "'batch_size' has no =; write --grid FIELD="),
        (["--over", "batch_size=1..2", "--over", "batch_size=1..3"], "batch_size is there twice"),
        (["--grid", "batchsize=1,2"], "did you mean 'batch_size'"),
        (["--grid", "net.stem=4,99"], "over the budget of 2,000"),
        (["--workers", "0"], "--workers 0: give a whole number of at least 1"),
    ],
)
def test_what_cannot_be_is_one_line(words, said, file, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["sweep", str(file), *words]) == 1
    assert said in capsys.readouterr().err


def test_shipped_sweeps_are_listed_and_known_by_name(capsys):
    assert main(["list", "--sweeps", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)["sweeps"]
    assert [row["sweep"] for row in listed] == list(SWEEPS)
    assert main(["sweep", "addnist-effnet-cut", "--batch-size", "7", "--data.tune", "0"]) == 1
    assert "hold images out: --data.tune 5000" in capsys.readouterr().err
