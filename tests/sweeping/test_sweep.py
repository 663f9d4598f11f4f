"""Whole sweeps of tiny recipes: what they find, and that nothing is lost or done twice."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import tiny

from shoestring import api
from shoestring.core.errors import DataError, RunError, ShoestringError
from shoestring.core.run import Run
from shoestring.evaluation import evaluate
from shoestring.recipes.lookup import recipe
from shoestring.sweeping import worker
from shoestring.sweeping.board import Board
from shoestring.sweeping.claims import Claims
from shoestring.sweeping.folder import SweepFolder, Training
from shoestring.sweeping.plan import plan
from shoestring.sweeping.results import results
from shoestring.sweeping.search import open_proposals
from shoestring.sweeping.sweep import begin, run_sweep
from shoestring.training import validation

GRID = {"batch_size": [4, 8]}


def small(pictures: Path, **changes: Any):
    return tiny.classifier(pictures, budget__steps=2, ema=[], **changes)


def bits(folder: Path) -> dict[str, bytes]:
    """The weights of every run of a sweep."""
    return {run.name: (run / "weights.safetensors").read_bytes() for run in sorted((folder / "runs").iterdir())}


@pytest.fixture(scope="module")
def swept(pictures: Path, tmp_path_factory: pytest.TempPathFactory):
    """What a finished sweep found: two points, two seeds, two trainings to confirm."""
    out = tmp_path_factory.mktemp("sweeps") / "one"
    return api.sweep(small(pictures), out, grid=GRID, seeds=2, confirm=2, device="cpu")


def test_every_point_is_trained_with_every_seed_and_the_best_with_new_ones(swept):
    found = swept
    runs = {folder.name: Run(folder) for folder in (found["folder"] / "runs").iterdir()}
    best = found["best"]
    assert set(runs) == {f"point-000{n}-seed-{seed}" for n in (0, 1) for seed in (0, 1)} | {
        f"best-000{best}-seed-{seed}" for seed in (1000, 1001)
    }
    for name, run in runs.items():
        values = run.read_recipe()
        number, seed = int(name.split("-")[1]), int(name.split("-")[-1])
        assert (values["batch_size"], values["seed"]) == (GRID["batch_size"][number], seed)
        assert run.has_weights()
        assert run.checkpoints.last() is None  # most of a run's size, and nothing goes on from it
    assert found["complete"]
    assert found["cost"]["steps"] == 6 * 2
    assert (found["cost"]["trainings"], found["cost"]["failed"]) == (6, 0)


def test_the_measure_is_the_mean_of_the_last_looks_at_tune(swept):
    found = swept
    for point in found["points"]:
        runs = [Run(found["folder"] / training["run"]) for training in point["trainings"]]
        values = [run.log("tune")[-1]["mean"]["accuracy"] for run in runs]
        assert all(run.log("tune")[-1]["step"] == 2 for run in runs)
        assert point["metric"]["value"] == pytest.approx(sum(values) / 2)
        assert point["metric"]["n"] == 2
        assert point["metric"]["interval"] is not None
    ranked = [point["metric"]["value"] for point in found["points"]]
    assert ranked == sorted(ranked, reverse=True)
    assert found["best"] == found["points"][0]["number"]
    assert found["confirmation"]["metric"]["n"] == 2


def test_test_is_never_looked_at(swept, pictures, tmp_path, monkeypatch):
    """Not one answer is computed but for train and tune: of 15 test images, none."""
    for folder in (swept["folder"] / "runs").iterdir():
        assert Run(folder).metrics() == {}
        assert {(record["kind"], record.get("n")) for record in Run(folder).log()} == {("train", None), ("tune", 6)}
    looked_at: list[int] = []
    whole = validation.batches
    monkeypatch.setattr(
        validation, "batches", lambda images, *more: looked_at.append(len(images)) or whole(images, *more)
    )
    monkeypatch.setattr(evaluate, "evaluate_classifier", lambda *_: pytest.fail("evaluated"))
    api.sweep(small(pictures), tmp_path / "out", grid=GRID, confirm=1, device="cpu")
    assert set(looked_at) == {6}


def test_the_recipe_of_the_best_is_ready_to_train(swept, pictures):
    found = swept
    best = next(point for point in found["points"] if point["number"] == found["best"])
    asked = small(pictures, batch_size=best["fields"]["batch_size"])
    assert recipe(found["best_recipe"]) == api.located(asked)
    assert found["report"].read_text().startswith("<!DOCTYPE html>")


def test_the_same_call_again_trains_nothing(swept, pictures, monkeypatch):
    found = swept
    monkeypatch.setattr(worker, "train", lambda *_: pytest.fail("trained again"))
    again = api.sweep(small(pictures), found["folder"], grid=GRID, seeds=2, confirm=2, device="cpu")
    assert again["points"] == found["points"]
    joined = api.join_sweep(found["folder"], device="cpu")
    assert joined["points"] == found["points"]


def test_a_sweep_can_grow_but_not_become_another(swept, pictures, tmp_path):
    found = swept
    with pytest.raises(RunError, match=r"another sweep \(grid .*\). Name another folder with --out"):
        api.sweep(small(pictures), found["folder"], grid={"batch_size": [4, 5]}, seeds=2)
    with pytest.raises(RunError, match=r"recipe .* there"):
        api.sweep(small(pictures, seed=5), found["folder"], grid=GRID, seeds=2)
    same = (plan({}, grid=GRID, seeds=2, confirm=2), api.located(small(pictures)))
    with pytest.raises(RunError, match=r"another sweep \(storage: another database\)") as refused:
        SweepFolder(found["folder"]).begin(*same, storage="postgresql://me:secret@host/name")
    assert "secret" not in str(refused.value)
    home, progress = SweepFolder(tmp_path / "growing"), tiny.Heard()
    begin(small(pictures), plan({}, grid=GRID, confirm=0), home, None, progress)
    begin(small(pictures), plan({}, grid=GRID, confirm=0, seeds=2), SweepFolder(home.folder), None, progress)
    assert SweepFolder(home.folder).plan.seeds == 2
    with pytest.raises(RunError, match="holds no sweep"):
        api.join_sweep(tmp_path / "nothing")


@pytest.mark.parametrize("links", [True, False])
def test_of_machines_that_begin_at_once_one_writes_the_sweep(links, pictures, tmp_path, monkeypatch):
    def no_links(*_):
        raise PermissionError

    base, asked = small(pictures), plan({}, grid=GRID)
    first, second = SweepFolder(tmp_path / "out"), SweepFolder(tmp_path / "out")
    if not links:
        monkeypatch.setattr(Path, "hardlink_to", no_links)
    first.begin(asked, base, None)
    begun = (first.folder / "sweep.json").read_bytes()
    if links:
        monkeypatch.setattr(SweepFolder, "exists", lambda _: False)  # as the second saw it a moment before
    second.begin(asked, base, None)
    assert (first.folder / "sweep.json").read_bytes() == begun
    assert sorted(file.name for file in first.folder.iterdir()) == ["base", "sweep.json"]
    with pytest.raises(RunError, match="another sweep"):
        second.begin(plan({}, grid={"batch_size": [4, 9]}), base, None)


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_two_workers_killed_at_any_instant_and_started_again_end_with_the_same_bits(swept, pictures, tmp_path):
    found = swept
    home = SweepFolder(tmp_path / "killed")
    begin(api.located(small(pictures)), plan({}, grid=GRID, seeds=2, confirm=0), home, None, tiny.Heard())
    command = [sys.executable, "-m", "shoestring.sweeping.worker"]
    asked = json.dumps({"folder": str(home.folder), "data_folder": str(tmp_path), "device": "cpu"})

    def started():
        return subprocess.Popen([*command, asked], stdin=subprocess.PIPE, start_new_session=True)

    pair = [started(), started()]
    deadline = time.monotonic() + 100
    while not list(home.folder.glob("runs/*/log.jsonl")):  # in the middle of something
        assert time.monotonic() < deadline
        time.sleep(0.02)
    for process in pair:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    finished = {run: (run / "weights.safetensors").stat().st_mtime_ns for run in _finished(home)}
    claimed = [file.name for file in (home.folder / "claims").iterdir()]
    assert claimed, "they were killed before they trained anything"

    again = run_sweep(SweepFolder(home.folder), tmp_path, "cpu", tiny.Heard(), workers=2)
    undisturbed = bits(found["folder"])
    assert bits(home.folder) == {name: undisturbed[name] for name in undisturbed if name.startswith("point")}
    assert {run: (run / "weights.safetensors").stat().st_mtime_ns for run in finished} == finished
    assert [point["metric"]["value"] for point in again["points"]] == [
        point["metric"]["value"] for point in found["points"]
    ]
    assert list((home.folder / "claims").iterdir()) == []


def _finished(home: SweepFolder) -> list[Path]:
    return [run for run in (home.folder / "runs").iterdir() if (run / "weights.safetensors").is_file()]


def test_points_keep_their_numbers_in_whatever_order_and_form_fields_are_given_again(pictures, tmp_path):
    base, grid = small(pictures), {"batch_size": [4, 8], "optimiser.learning_rate": [0.1, 0.2]}
    words = {"optimiser.learning-rate": "0.1,0.2", "batch_size": "4,8"}
    points = []
    for given in (grid, words):
        home = SweepFolder(tmp_path / "out")
        begin(base, plan({}, grid=given), home, None, tiny.Heard())
        points.append(open_proposals(SweepFolder(home.folder)).points())
    assert points[0] == points[1]
    assert points[0][1] == {"batch_size": 4, "optimiser.learning_rate": 0.2}


def test_trainings_on_other_images_are_not_compared_in_silence(pictures, tmp_path):
    home, images = SweepFolder(tmp_path / "out"), tmp_path / "images"
    shutil.copytree(pictures, images)
    begin(api.located(small(images)), plan({}, grid=GRID, confirm=0), home, None, tiny.Heard())
    board = Board(home, open_proposals(home))
    assert worker.train_next(board, tmp_path, "cpu", tiny.Heard())
    for file in (images / "train").glob("*/0*.png"):
        file.write_bytes((images / "train" / "red" / "11.png").read_bytes())
    assert worker.train_next(board, tmp_path, "cpu", tiny.Heard())
    assert any("not measured on the same tune images" in note for note in results(board)["notes"])


def test_a_worker_that_lost_its_claim_stops_and_records_nothing(pictures, tmp_path, monkeypatch):
    home = SweepFolder(tmp_path / "out")
    begin(small(pictures), plan({}, grid=GRID, confirm=0), home, None, tiny.Heard())
    board, heard = Board(home, open_proposals(home)), tiny.Heard()
    whole = worker.train

    def taken_over(recipe, run, *more, **named):
        (claim,) = (claim for claim in held if claim.file.stem == run.name)
        claim.lost = True
        return whole(recipe, run, *more, **named)

    held, take = [], Claims.take
    monkeypatch.setattr(Claims, "take", lambda self, name: held.append(take(self, name)) or held[-1])
    monkeypatch.setattr(worker, "train", taken_over)
    assert worker.train_next(board, tmp_path, "cpu", heard)
    assert heard.messages[-1].startswith("another worker goes on with point-0000-seed-0")
    assert home.outcome(Training(0, 0)).state == "open"
    assert held[0].file.exists()  # it is not ours any more


def test_what_diverges_fails_and_the_rest_goes_on(pictures, tmp_path):
    base, grid = small(pictures), {"optimiser.learning_rate": [0.01, 1e38]}
    found = api.sweep(base, tmp_path / "out", grid=grid, seeds=2, confirm=1, device="cpu")
    assert [(point["number"], point["state"]) for point in found["points"]] == [(0, "finished"), (1, "failed")]
    failed = found["points"][1]
    assert "became NaN or infinite" in failed["reason"]
    # A point that failed with one seed is no candidate, and is not trained with the others.
    assert [training["state"] for training in failed["trainings"]] == ["failed", "open"]
    assert found["complete"]
    assert found["cost"]["failed"] == 1
    page = found["report"].read_text()
    assert "became NaN or infinite" in page
    again = api.sweep(base, tmp_path / "out", grid=grid, seeds=2, confirm=1, device="cpu", retry_failed=True)
    assert again["points"][1]["state"] == "failed"


def test_a_training_that_kills_its_process_every_time_is_given_up(pictures, tmp_path):
    home = SweepFolder(tmp_path / "out")
    begin(small(pictures), plan({}, grid=GRID, confirm=0), home, None, tiny.Heard())
    first = Training(0, 0)
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    for _ in range(3):
        claim = home.claims.take(first.name)
        assert claim is not None
        claim.file.write_text(json.dumps(json.loads(claim.file.read_text()) | {"pid": gone.pid}))
    board = Board(home, open_proposals(home))
    taken = board.next()
    assert taken is not None
    assert taken[0] == Training(1, 0)
    rows = board.rows()
    assert (rows[0].state, "3 processes that trained it died" in rows[0].reason) == ("failed", True)


def test_images_that_are_not_there_stop_the_sweep(pictures, tmp_path):
    home, images = SweepFolder(tmp_path / "out"), tmp_path / "images"
    shutil.copytree(pictures, images)
    begin(api.located(small(images)), plan({}, grid=GRID), home, None, tiny.Heard())
    shutil.rmtree(images)
    with pytest.raises(DataError, match="images does not exist"):
        run_sweep(home, tmp_path, "cpu", tiny.Heard())
    with pytest.raises(ShoestringError, match=r"a worker ended: .*images does not exist.*: .*worker-\d.log"):
        run_sweep(home, tmp_path, "cpu", tiny.Heard(), workers=2)


def test_code_of_ones_own_reaches_the_workers_and_the_recipe(pictures, tmp_path):
    code = tmp_path / "mine.py"
    code.write_text(
        "import torch\nclass Net(torch.nn.Module):\n"
        "    def __init__(self, in_channels, num_classes, width: int = 2):\n        super().__init__()\n"
        "        self.layer = torch.nn.Linear(in_channels * 64, width)\n"
        "        self.last = torch.nn.Linear(width, num_classes)\n"
        "    def forward(self, images):\n        return self.last(self.layer(images.flatten(1)))\n"
    )
    base = recipe(small(pictures), net={"kind": f"{code}:Net", "options": {}})
    out = tmp_path / "out"
    found = api.sweep(base, out, grid={"net.options.width": [2, 3]}, confirm=0, workers=2, device="cpu", seeds=1)
    code.unlink()
    best = recipe(found["best_recipe"])
    assert best.net.kind == "mine.py:Net"
    assert [point["state"] for point in found["points"]] == ["finished", "finished"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("sweep.json", "{"),
        ("sweep.json", "{}"),
        ("sweep.json", '{"plan": {"grid": 5}, "fingerprint": "x", "storage": null, "study": "x"}'),
        ("ended/point-0000-seed-0.json", "[1]"),
        ("points/0000.json", "5"),
    ],
)
def test_damaged_files_of_a_sweep_are_told_by_name(name: str, content: str, tmp_path: Path) -> None:
    folder = SweepFolder(tmp_path)
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text(content)
    with pytest.raises(RunError, match=re.escape(name.rpartition("/")[2])):
        _ = folder.plan if name == "sweep.json" else (folder.proposed(), folder.outcome(Training(0, 0)))
