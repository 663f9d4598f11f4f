"""Trackers are told what a run records: once each, also after an interruption, and however it ends."""

import contextlib
import importlib.util
import json
import re
import sqlite3
import sys
from pathlib import Path
from typing import Any

import pytest
import tiny
from PIL.Image import Image

from shoestring import api
from shoestring.core.errors import OverBudgetError, RecipeError
from shoestring.core.run import Run

EXAMPLES = Path(__file__).parents[2] / "examples" / "trackers"


class Told:
    """Remembers what it is told."""

    made: "list[Told]" = []  # noqa: RUF012

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.calls: list[tuple[Any, ...]] = []
        Told.made.append(self)

    def start(self, name: str, recipe: dict[str, Any], step: int) -> None:
        self.calls.append(("start", name, recipe, step))

    def scalars(self, values: dict[str, float], step: int) -> None:
        self.calls.append(("scalars", values, step))

    def image(self, name: str, picture: Image, step: int) -> None:
        self.calls.append(("image", name, picture.size, step))

    def finish(self, metrics: dict[str, float]) -> None:
        self.calls.append(("finish", metrics))


@pytest.fixture(autouse=True)
def _none_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Told, "made", [])


def told_scalars(tracker: Told) -> dict[tuple[str, int], float]:
    found: dict[tuple[str, int], float] = {}
    for call in tracker.calls:
        if call[0] == "scalars":
            for name, value in call[1].items():
                assert (name, call[2]) not in found, "told twice"
                found[name, call[2]] = value
    return found


def test_a_tracker_is_told_all_of_the_log(pictures: Path, tmp_path: Path) -> None:
    run = api.train(tiny.classifier(pictures), tmp_path / "run", device="cpu", log_to=Told)
    assert type(run) is Run
    (tracker,) = Told.made
    assert tracker.folder == run.folder
    first, *_, last = tracker.calls
    assert first[:2] == ("start", "run")
    assert (first[2]["budget.steps"], first[3]) == (12, 0)
    expected = {
        (f"{record['kind']}/{name}", record["step"]): value
        for record in run.log()
        for name, value in record["mean"].items()
    }
    assert expected.items() <= told_scalars(tracker).items()
    assert last[0] == "finish"
    assert last[1]["tune/accuracy"] == run.metrics()["tune"]["accuracy"]["value"]
    assert {call[1] for call in tracker.calls if call[0] == "image"} == {"mistakes"}


def test_one_that_goes_on_is_told_from_where(pictures: Path, tmp_path: Path) -> None:
    recipe = tiny.classifier(pictures)
    with pytest.raises(tiny.Crash):
        api.train(recipe, tmp_path / "run", device="cpu", progress=tiny.Crashing(8), log_to=[Told])
    run = api.train(recipe, tmp_path / "run", device="cpu", log_to=[Told])
    first, second = Told.made
    assert first.calls[-1] == ("finish", {})
    assert second.calls[0][3] == 6  # the last checkpoint
    assert {step for _, step in told_scalars(second)} == {record["step"] for record in run.log() if record["step"] > 6}


def test_a_training_that_is_refused_tells_nobody(pictures: Path, tmp_path: Path) -> None:
    with pytest.raises(OverBudgetError):
        api.train(tiny.classifier(pictures, budget__parameters=10), tmp_path / "run", device="cpu", log_to=Told)
    assert [tracker.calls for tracker in Told.made] == [[]]
    with pytest.raises(RecipeError, match="did you mean 'tensorboard'"):
        api.train(tiny.classifier(pictures), tmp_path / "run", device="cpu", log_to="tensorbord")
    assert not (tmp_path / "run").exists()


def test_tensorboard_gets_curves_pictures_and_the_recipe(pictures: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard", reason="the extra tensorboard is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    run = api.train(tiny.gan(pictures), tmp_path / "run", device="cpu", log_to="tensorboard")
    events = EventAccumulator(str(run.folder / "tensorboard")).Reload()
    tags = events.Tags()
    logged = {f"train/{name}" for record in run.log("train") for name in record["mean"]}
    assert logged
    assert logged <= set(tags["scalars"])
    name = min(logged)
    expected = [(record["step"], record["mean"][name.removeprefix("train/")]) for record in run.log("train")]
    assert [(one.step, one.value) for one in events.Scalars(name)] == [(s, pytest.approx(v)) for s, v in expected]
    assert [one.step for one in events.Images("samples")][:2] == [6, 12]


def test_the_example_for_csv_keeps_one_line_a_value(pictures: Path, tmp_path: Path) -> None:
    kind = f"{EXAMPLES / 'csv_tracker.py'}:CsvTracker"
    recipe = tiny.classifier(pictures)
    with pytest.raises(tiny.Crash):
        api.train(recipe, tmp_path / "run", device="cpu", progress=tiny.Crashing(8), log_to=kind)
    run = api.train(recipe, tmp_path / "run", device="cpu", log_to=kind)
    lines = (run.folder / "curves.csv").read_text().splitlines()[1:]
    places = [tuple(line.split(",")[:2]) for line in lines]
    assert len(set(places)) == len(places)
    logged = {(str(r["step"]), f"{r['kind']}/{name}") for r in run.log() for name in r["mean"]}
    assert logged <= set(places)


@pytest.mark.skipif(importlib.util.find_spec("wandb") is None, reason="wandb is not installed")
def test_the_example_for_weights_and_biases_works_offline(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"MODE": "offline", "SILENT": "true", "CACHE_DIR": str(tmp_path)}.items():
        monkeypatch.setenv(f"WANDB_{name}", value)
    recipe = tiny.classifier(pictures)
    run = api.train(recipe, tmp_path / "run", device="cpu", log_to=f"{EXAMPLES / 'wandb_tracker.py'}:WandbTracker")
    (file,) = (run.folder / "wandb").glob("offline-run-*/*.wandb")
    assert b"train/classifier/loss" in file.read_bytes()


@pytest.mark.skipif(importlib.util.find_spec("mlflow") is None, reason="mlflow is not installed")
def test_the_example_for_mlflow_works_with_a_folder(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"file:{tmp_path / 'mlruns'}")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    kind, recipe = f"{EXAMPLES / 'mlflow_tracker.py'}:MlflowTracker", tiny.classifier(pictures)
    with pytest.raises(tiny.Crash):
        api.train(recipe, tmp_path / "run", device="cpu", progress=tiny.Crashing(8), log_to=kind)
    run = api.train(recipe, tmp_path / "run", device="cpu", log_to=kind)
    client = importlib.import_module("mlflow").MlflowClient()
    (told,) = client.search_runs(["0"])
    assert told.data.params["net.widths"] == str(list(recipe.net.model_dump()["widths"]))
    history = client.get_metric_history(told.info.run_id, "train/classifier/loss")
    expected = {(one["step"], one["mean"]["classifier/loss"]) for one in run.log("train")}
    assert {(one.step, one.value) for one in history} == expected
    assert told.data.metrics["final/tune/accuracy"] == run.metrics()["tune"]["accuracy"]["value"]


@pytest.mark.skipif(importlib.util.find_spec("trackio") is None, reason="trackio is not installed")
def test_the_example_for_trackio_works_without_a_network(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    utilities = pytest.importorskip("trackio.utils")
    for module in [one for name, one in sys.modules.items() if name.startswith("trackio")]:
        if hasattr(module, "TRACKIO_DIR"):
            monkeypatch.setattr(module, "TRACKIO_DIR", tmp_path)
    assert tmp_path == utilities.TRACKIO_DIR
    recipe = tiny.classifier(pictures)
    run = api.train(recipe, tmp_path / "run", device="cpu", log_to=f"{EXAMPLES / 'trackio_tracker.py'}:TrackioTracker")
    with contextlib.closing(sqlite3.connect(tmp_path / "shoestring.db")) as database:
        rows = [(step, json.loads(told)) for step, told in database.execute("SELECT step, metrics FROM metrics")]
    name = "train/classifier/loss"
    expected = {(one["step"], one["mean"]["classifier/loss"]) for one in run.log("train")}
    assert {(step, told[name]) for step, told in rows if name in told} == expected


@pytest.mark.parametrize("file", sorted(EXAMPLES.glob("*.py")), ids=lambda file: file.name)
def test_an_example_is_short_and_says_how_to_use_it(file: Path) -> None:
    text = file.read_text()
    assert len(text.splitlines()) < 30
    assert re.match(rf'"""shoestring train addnist-quick --log-to examples/trackers/{file.name}:\w+\.', text)
