"""What a training leaves behind that could not start, and what stands in the way of the next one: nothing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import tiny

from shoestring import api
from shoestring.core.errors import DataError, OverBudgetError, RunError, ShoestringError
from shoestring.core.run import Run
from shoestring.training.step import TrainStep


def files_of(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("changes", "device", "error"),
    [
        ({"budget__parameters": 10}, "cpu", OverBudgetError),
        ({"data__tune": 36}, "cpu", DataError),
        ({}, "nonsense", ShoestringError),
    ],
)
def test_a_start_that_fails_leaves_nothing(changes, device, error, pictures: Path, tmp_path: Path) -> None:
    with pytest.raises(error):
        api.train(tiny.classifier(pictures, **changes), tmp_path / "runs" / "mine", device=device)
    assert list(tmp_path.iterdir()) == []


def test_a_damaged_training_image_leaves_nothing(tmp_path: Path) -> None:
    pictures = tiny.write_pictures(tmp_path / "pictures")
    recipe = tiny.classifier(pictures)
    next((pictures / "train" / "red").iterdir()).write_bytes(b"no image")
    with pytest.raises(DataError, match="red"):
        api.train(recipe, tmp_path / "runs" / "mine", device="cpu")
    assert [path.name for path in tmp_path.iterdir()] == ["pictures"]


def ended(recipe, folder: Path, monkeypatch, step: int) -> Run:
    """A run whose process ended at a step, be it the first, after which nothing had been kept."""
    take_step = TrainStep.__call__

    def crash(self):
        if self.state.step == step:
            raise tiny.Crash
        return take_step(self)

    with monkeypatch.context() as patched:
        patched.setattr(TrainStep, "__call__", crash)
        with pytest.raises(tiny.Crash):
            api.train(recipe, folder, device="cpu")
    return Run(folder)


def test_a_folder_in_which_no_step_was_taken_is_replaced_without_a_word(pictures, tmp_path, monkeypatch) -> None:
    wrong = tiny.classifier(pictures, name="wrong", seed=1, engine__precision="bfloat16")
    run = ended(wrong, tmp_path / "run", monkeypatch, step=0)
    assert run.read_recipe()["name"] == "wrong"
    run.write_json("autotune.json", {"device": "cpu"})
    right, heard = tiny.classifier(pictures, engine__precision="float32"), tiny.Heard()
    api.train(right, run.folder, device="cpu", progress=heard)
    assert heard.messages == ["pictures: 51 images of 3 classes (train 30, tune 6, test 15)"]
    fresh = api.train(right, tmp_path / "fresh", device="cpu")
    assert run.read_recipe() == fresh.read_recipe()
    assert run.read_json("overrides.json") == fresh.read_json("overrides.json")
    assert {p.name for p in run.folder.iterdir()} == {p.name for p in fresh.folder.iterdir()}
    assert len(run.read_json("environment.json")["sessions"]) == 1


def test_a_folder_with_steps_of_another_recipe_is_kept_and_nobody_is_told_to_delete_it(
    pictures, tmp_path, monkeypatch
) -> None:
    for step in (3, 4):  # after the first checkpoint; after the first record of the log
        cadence = {"cadence__checkpoint": step, "cadence__log": step}
        run = ended(tiny.classifier(pictures, **cadence), tmp_path / str(step), monkeypatch, step)
        before = files_of(run.folder)
        with pytest.raises(RunError, match="holds a run of another recipe") as refused:
            api.train(tiny.classifier(pictures, seed=1), run.folder, device="cpu")
        assert "delete" not in str(refused.value)
        assert files_of(run.folder) == before


def test_steps_without_a_recipe_are_not_taken_for_those_of_any(pictures, tmp_path, monkeypatch) -> None:
    run = ended(tiny.classifier(pictures), tmp_path / "run", monkeypatch, step=5)
    run.recipe_file.unlink()
    with pytest.raises(RunError, match=r"has no recipe\.json"):
        api.train(tiny.classifier(pictures), run.folder, device="cpu")


EQUAL = """
import sys
from pathlib import Path
import tiny
from shoestring import api
run = api.train(tiny.gan(Path(sys.argv[1]), ema=(0.9, 0.5)), sys.argv[2], device="cpu")
"""


def test_equal_runs_of_two_processes_differ_in_times_only(tmp_path: Path) -> None:
    pictures = tiny.write_pictures(tmp_path / "pictures", size=32)
    path = os.pathsep.join([str(Path(tiny.__file__).parent), os.environ.get("PYTHONPATH", "")])
    found = []
    for name in ("one", "two"):
        command = [sys.executable, "-c", EQUAL, str(pictures), str(tmp_path / name)]
        subprocess.run(command, env=os.environ | {"PYTHONPATH": path}, check=True, timeout=120)
        files = files_of(tmp_path / name)
        found.append({str(file.relative_to(tmp_path / name)): content for file, content in files.items()})
    one, two = ({name: content for name, content in run.items() if "checkpoints" not in name} for run in found)
    assert one.keys() == two.keys()
    assert {"weights.safetensors", "ema/0.9.safetensors", "samples/samples.png", "layers.json"} <= one.keys()
    differing = {name for name in one if one[name] != two[name]}
    assert differing <= {"environment.json", "log.jsonl", "chain.json", "report.html"}
