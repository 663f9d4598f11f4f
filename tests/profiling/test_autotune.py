import json

import pytest
import tiny
import torch

from shoestring.core.device import Engine
from shoestring.core.progress import Progress
from shoestring.core.run import Run
from shoestring.profiling import autotune as trial
from shoestring.training.train import train


@pytest.fixture
def timed(monkeypatch):
    """Pretends that a step takes what a table says of its engine; remembers what was timed."""
    asked: list[tuple[bool, torch.dtype]] = []
    slow = {(True, torch.float32): 4.0, (False, torch.float32): 2.0, (False, torch.bfloat16): 3.0}

    def seconds(recipe, machine, steps):
        asked.append((machine.channels_last, machine.dtype))
        return [slow[asked[-1]]] * steps

    monkeypatch.setattr(trial, "step_seconds", seconds)
    return asked


def test_choices_are_settled_one_after_the_other(pictures, timed) -> None:
    timings = trial.try_choices(tiny.classifier(pictures, engine__threads=1), "cpu", Progress())
    assert timed == [(True, torch.float32), (False, torch.float32), (False, torch.bfloat16)]
    assert [t.milliseconds for t in timings] == [4000, 2000, 3000]
    assert (timings[1].engine.channels_last, timings[1].engine.precision) == (False, "float32")


def test_what_the_recipe_chose_is_left_alone(pictures) -> None:
    fixed = Engine(precision="float32", channels_last=False, threads=1)
    assert trial.open_choices(fixed, "cpu") == {}
    assert set(trial.open_choices(Engine(threads=1), "cpu")) == {"channels_last", "precision"}


def test_one_thread_is_tried_where_there_are_more() -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        assert trial.open_choices(Engine(), "cpu")["threads"] == (2, 1)
    finally:
        torch.set_num_threads(before)


def test_threads_are_as_asked_in_a_trial_and_as_before_after_it(pictures, monkeypatch) -> None:
    seen: list[int] = []
    monkeypatch.setattr(trial, "step_seconds", lambda *_: seen.append(torch.get_num_threads()) or [1.0])
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        trial.try_choices(tiny.classifier(pictures, engine__channels_last=True), "cpu", Progress())
        assert (seen, torch.get_num_threads()) == ([2, 1, 2, 1], 2)  # at last, two processes of one thread
    finally:
        torch.set_num_threads(before)


def test_a_run_records_its_trial_and_goes_on_with_what_it_found(pictures, tmp_path, timed) -> None:
    recipe = tiny.classifier(pictures, engine__autotune=True, engine__threads=1)
    run = Run(tmp_path)
    with pytest.raises(tiny.Crash):
        train(recipe, run, tmp_path, "cpu", tiny.Crashing(after=8), {}, trial.resolve_engine)
    recorded = json.loads((tmp_path / "autotune.json").read_text())
    assert recorded["chosen"]["channels_last"] is False
    assert [t["milliseconds"] for t in recorded["tried"]] == [4000, 2000, 3000]
    tried = len(timed)
    train(recipe, run, tmp_path, "cpu", Progress(), {}, trial.resolve_engine)
    assert len(timed) == tried
    machine = json.loads((tmp_path / "environment.json").read_text())["machine"]
    assert machine["channels_last"] is False


def test_nothing_is_tried_unasked(pictures, tmp_path, timed) -> None:
    train(tiny.classifier(pictures), Run(tmp_path), tmp_path, "cpu", Progress(), {}, trial.resolve_engine)
    assert timed == []
    assert not (tmp_path / "autotune.json").exists()


@pytest.mark.parametrize(
    ("known", "precision", "hinted"),
    [({"avx512_bf16": True}, "auto", 1), ({"avx512_bf16": True}, "float32", 0), ({"avx512_f": True}, "auto", 0)],
)
def test_a_processor_that_multiplies_bfloat16_is_told_of(
    known, precision, hinted, pictures, tmp_path, monkeypatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: known, raising=False)
    heard = tiny.Heard()
    train(
        tiny.classifier(pictures, engine__precision=precision),
        Run(tmp_path),
        tmp_path,
        "cpu",
        heard,
        {},
        trial.resolve_engine,
    )
    assert sum("--engine.precision bfloat16" in message for message in heard.messages) == hinted
