"""A training that was stopped, at whatever moment and however, ends bitwise as one that never was."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import tiny
import torch
from torch import Tensor

from shoestring.core.errors import RunError
from shoestring.core.progress import Progress
from shoestring.core.run import Run
from shoestring.model.train_state import State
from shoestring.recipes.recipe import Recipe
from shoestring.training.loop import Interrupted
from shoestring.training.train import train

MAKERS = {"classifier": tiny.classifier, "gan": tiny.gan}
Finished = dict[str, tuple[Recipe, Run]]


def go(recipe: Recipe, run: Run, progress: Progress | None = None) -> None:
    train(recipe, run, Path(), "cpu", progress or Progress(), {})


@pytest.fixture(scope="module")
def finished(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """Each recipe trained without a stop."""
    found: Finished = {}
    for name, make in MAKERS.items():
        found[name] = make(pictures), Run(tmp_path_factory.mktemp("never-stopped") / name)
        go(*found[name])
    return found


def everything(run: Run) -> dict[str, Tensor]:
    """All final tensors: weights, running means and optimisers, from the weights file and the last checkpoint."""
    checkpoint = torch.load(run.checkpoints.last(), weights_only=True)  # type: ignore[arg-type]
    return {f"weights/{name}": tensor for name, tensor in run.read_weights().items()} | dict(tensors_in(checkpoint))


def tensors_in(value: object, path: str = "") -> list[tuple[str, Tensor]]:
    if isinstance(value, Tensor):
        return [(path, value)]
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [found for key, inner in items for found in tensors_in(inner, f"{path}/{key}")]


def assert_same_end(run: Run, reference: Run) -> None:
    ours, theirs = everything(run), everything(reference)
    assert ours.keys() == theirs.keys()
    assert len(ours) > 20
    assert [name for name in ours if not torch.equal(ours[name], theirs[name])] == []


def learnt(run: Run) -> list[tuple[object, ...]]:
    """The log without clocks."""
    return [(r["step"], r["kind"], r.get("count"), r["mean"], r.get("std"), r.get("learning_rate")) for r in run.log()]


def pooled(run: Run) -> dict[str, float]:
    """Means over the whole training of every logged fact, whatever the steps at which records were written."""
    records = run.log("train")
    assert sum(record["count"] for record in records) == records[-1]["step"]
    return {
        name: sum(r["count"] * r["mean"][name] for r in records) / records[-1]["step"] for name in records[0]["mean"]
    }


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("after", [1, 6, 12])
def test_resumed_after_an_exception_ends_bitwise_the_same(
    name: str, after: int, finished: Finished, tmp_path: Path
) -> None:
    recipe, reference = finished[name]
    run = Run(tmp_path / "run")
    with pytest.raises(tiny.Crash):
        go(recipe, run, tiny.Crashing(after))
    assert not run.finished()
    go(recipe, run)
    assert_same_end(run, reference)
    assert learnt(run) == learnt(reference)
    sessions = run.read_json("environment.json")["sessions"]
    assert len(sessions) == 2
    assert sessions[1]["to_step"] == 12


def test_resumes_from_the_last_checkpoint_and_not_from_the_start(finished: Finished, tmp_path: Path) -> None:
    recipe, _ = finished["classifier"]
    run = Run(tmp_path)
    with pytest.raises(tiny.Crash):
        go(recipe, run, tiny.Crashing(after=8))
    go(recipe, run)
    assert [session["from_step"] for session in run.read_json("environment.json")["sessions"]] == [0, 6]


def at_step(monkeypatch: pytest.MonkeyPatch, step: int, act: Callable[[], object]) -> None:
    """Does something in the middle of a step: after the weights moved, before their running means do. Once."""
    average = State.update_ema
    pending = [step]

    def interrupted(self: State) -> None:
        if self.step in pending:
            pending.clear()
            act()
        average(self)

    monkeypatch.setattr(State, "update_ema", interrupted)


def crash() -> None:
    raise tiny.Crash


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("step", [7])
def test_resumed_after_an_exception_within_a_step(name, step, finished, tmp_path, monkeypatch) -> None:
    recipe, reference = finished[name]
    run = Run(tmp_path)
    at_step(monkeypatch, step, crash)
    with pytest.raises(tiny.Crash):
        go(recipe, run)
    go(recipe, run)
    assert_same_end(run, reference)
    assert learnt(run) == learnt(reference)


@pytest.mark.parametrize("name", MAKERS)
def test_resumed_after_a_signal_ends_bitwise_the_same(name, finished, tmp_path, monkeypatch) -> None:
    tiny.require_heard(signal.SIGINT)
    recipe, reference = finished[name]
    run = Run(tmp_path)
    handlers = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    at_step(monkeypatch, 5, lambda: signal.raise_signal(signal.SIGTERM))
    with pytest.raises(Interrupted, match=r"SIGTERM after step 5; everything is saved") as stop:
        go(recipe, run)
    assert (stop.value.step, stop.value.signal_number) == (5, signal.SIGTERM)
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == handlers
    assert run.checkpoints.last().name.startswith("step-00000005-")
    at_step(monkeypatch, 12, lambda: signal.raise_signal(signal.SIGINT))
    with pytest.raises(Interrupted, match="SIGINT after step 12"):  # at the very end nothing is left to train
        go(recipe, run)
    assert not run.finished()
    go(recipe, run)
    assert_same_end(run, reference)
    assert pooled(run) == pytest.approx(pooled(reference), abs=2e-6)


def test_a_second_signal_ends_at_once(pictures: Path, tmp_path: Path, monkeypatch) -> None:
    def twice() -> None:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    tiny.require_heard(signal.SIGINT)
    at_step(monkeypatch, 2, twice)
    with pytest.raises(KeyboardInterrupt):
        go(tiny.classifier(pictures), Run(tmp_path))
    assert Run(tmp_path).checkpoints.last() is None


KILLER = """
import os, random, signal, sys, time
from pathlib import Path
import torch
import tiny
from shoestring.core.progress import Progress
from shoestring.core.run import Run
from shoestring.model.build import build
from shoestring.training.train import train
torch.set_num_threads(1)
moments = random.Random(0)
for name in ("classifier", "gan"):
    recipe = getattr(tiny, name)(Path(sys.argv[1]), cadence__checkpoint=1, cadence__log=2)
    run = Run(Path(sys.argv[2]) / name)
    build(recipe)  # what it imports, children need not import again
    for _ in range(4):
        before = run.checkpoints.last()
        child = os.fork()
        if child == 0:
            train(recipe, run, Path(), "cpu", Progress(), {})
            os._exit(0)
        while run.checkpoints.last() == before and os.waitpid(child, os.WNOHANG) == (0, 0):
            time.sleep(0.001)
        time.sleep(moments.uniform(0, 0.01))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        if run.finished():
            break
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills forked processes")
def test_killed_again_and_again_at_any_moment_ends_bitwise_the_same(finished: Finished, pictures, tmp_path) -> None:
    path = os.pathsep.join([str(Path(tiny.__file__).parent), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"PYTHONPATH": path}
    command = [sys.executable, "-c", KILLER, str(pictures), str(tmp_path)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    for name, (recipe, reference) in finished.items():
        run = Run(tmp_path / name)
        go(tiny.changed(recipe, {"cadence__checkpoint": 1, "cadence__log": 2}), run)
        assert len(run.read_json("environment.json")["sessions"]) >= 3
        assert_same_end(run, reference)
        assert pooled(run) == pytest.approx(pooled(reference), abs=2e-6)
        assert [path.name for path in run.folder.glob("*.safetensors")] == ["weights.safetensors"]


def stopped(recipe: Recipe, run: Run) -> list[Path]:
    """Stops a run after checkpoints at steps 3 and 6; gives their paths, older first."""
    with pytest.raises(tiny.Crash):
        go(recipe, run, tiny.Crashing(after=8))
    return sorted((run.folder / "checkpoints").iterdir())


def flip_a_bit(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    "damage",
    [flip_a_bit, lambda path: path.write_bytes(path.read_bytes()[:-100]), lambda path: path.write_bytes(b"")],
    ids=["bit", "truncated", "empty"],
)
def test_a_damaged_last_checkpoint_falls_back_to_the_one_before(damage, finished: Finished, tmp_path: Path) -> None:
    recipe, reference = finished["classifier"]
    run, heard = Run(tmp_path), tiny.Heard()
    before, last = stopped(recipe, run)
    assert (before.name[:13], last.name[:13]) == ("step-00000003", "step-00000006")
    damage(last)
    go(recipe, run, heard)
    assert [message for message in heard.messages if "damaged" in message] == [
        f"{last} is damaged (its content does not match its checksum); using the one before"
    ]
    assert [session["from_step"] for session in run.read_json("environment.json")["sessions"]] == [0, 3]
    assert_same_end(run, reference)
    assert learnt(run) == learnt(reference)


def test_with_all_checkpoints_damaged_it_starts_over_and_says_so(finished: Finished, tmp_path: Path) -> None:
    recipe, reference = finished["gan"]
    run, heard = Run(tmp_path), tiny.Heard()
    for path in stopped(recipe, run):
        flip_a_bit(path)
    go(recipe, run, heard)
    assert sum("damaged" in message for message in heard.messages) == 2
    assert_same_end(run, reference)
    assert learnt(run) == learnt(reference)


@pytest.mark.parametrize("torn", ['{"step": 8, "kind": "tra', '{"step": 7, "kind": "train"}', "\x00\x00\x00\xff"])
def test_a_torn_last_log_line_is_forgotten(torn: str, finished: Finished, tmp_path: Path) -> None:
    recipe, reference = finished["classifier"]
    run = Run(tmp_path)
    stopped(recipe, run)
    with (run.folder / "log.jsonl").open("ab") as file:
        file.write(torn.encode("latin-1"))
    assert all(record["step"] <= 8 for record in run.log())
    go(recipe, run)
    assert learnt(run) == learnt(reference)


def test_a_finished_run_returns_at_once_and_changes_nothing(finished: Finished, monkeypatch) -> None:
    recipe, run = finished["classifier"]
    before = {path: path.stat().st_mtime_ns for path in run.folder.rglob("*")}
    monkeypatch.setattr(type(recipe.data), "load", None)  # not even the data are read
    model = train(recipe, run, Path(), "cpu", Progress(), {})
    weights = run.read_weights()
    answered = model.nets.state_dict()
    assert all(torch.equal(answered[name], tensor) for name, tensor in weights.items())
    assert {path: path.stat().st_mtime_ns for path in run.folder.rglob("*")} == before


def test_a_folder_of_another_recipe_is_refused_with_the_differences(finished: Finished, tmp_path: Path) -> None:
    recipe, _ = finished["classifier"]
    run = Run(tmp_path)
    stopped(recipe, run)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    other = tiny.changed(recipe, {"seed": 1, "optimiser__learning_rate": 0.02})
    with pytest.raises(RunError, match="another recipe") as refused:
        go(other, run)
    assert "optimiser.learning_rate is 0.01 there, 0.02 now" in str(refused.value)
    assert "seed is 0 there, 1 now" in str(refused.value)
    assert "--run" in str(refused.value)
    many = {"seed": 1, "batch_size": 4, "budget__steps": 9, "data__tune": 3, "net__stem": 3, "optimiser__epsilon": 1e-7}
    with pytest.raises(RunError, match="; and 1 more fields"):
        go(tiny.changed(recipe, many | {"cadence__log": 1}), run)
    with pytest.raises(RunError, match=r"another recipe \(tiny-classifier, not other\)"):
        go(tiny.changed(recipe, {"name": "other"}), run)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before


def test_other_cadence_and_engine_may_go_on_and_end_bitwise_the_same(finished: Finished, tmp_path: Path) -> None:
    recipe, reference = finished["gan"]
    run = Run(tmp_path)
    stopped(recipe, run)
    go(tiny.changed(recipe, {"cadence__log": 1, "engine__threads": 1}), run)
    assert_same_end(run, reference)
    assert pooled(run) == pytest.approx(pooled(reference), abs=2e-6)
