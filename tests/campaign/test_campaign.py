"""The campaigns, a few trials each: none breaks a promise, and each would notice a broken one."""

import os
import pickle
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from campaign import attacks, hostile_inputs, kills, long_runs, measures, no_room, power_loss, races, shared_kills
from campaign.__main__ import conducted
from campaign.file_layer import watched
from campaign.trials import Trial, isolated
from shoestring.core import atomic_files
from shoestring.core import run as runs
from shoestring.core.atomic_files import write_atomic

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="trials run in forked processes")


@pytest.fixture(scope="module")
def begun(tmp_path_factory: pytest.TempPathFactory) -> kills.Begun:
    """Each kind of training, to its end."""
    return kills.Begun(tmp_path_factory.mktemp("begun"))


def broken(trials: list[Trial], count: int) -> list[tuple[str, str]]:
    assert len(trials) == count
    return [(trial.what, trial.broken) for trial in trials if trial.broken]


def test_killed_runs_go_on_to_the_same_bits(begun: kills.Begun, tmp_path: Path) -> None:
    assert broken([*kills.trials(tmp_path, 1, range(9), begun)], 9) == []


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="finds processes as Linux lists them")
def test_of_two_that_share_a_training_one_is_killed(tmp_path: Path) -> None:
    begun = shared_kills.Begun(tmp_path, ["classifier"])
    assert broken([*shared_kills.trials(tmp_path, 1, range(1), begun)], 1) == []


def test_a_power_failure_costs_no_more_than_a_kill(begun: kills.Begun, tmp_path: Path) -> None:
    assert broken([*power_loss.trials(tmp_path, 2, range(6), begun)], 6) == []


def test_without_syncs_a_power_failure_is_noticed(begun: kills.Begun, tmp_path: Path, monkeypatch) -> None:
    for module in (atomic_files, runs):
        monkeypatch.setattr(module, "sync_folder", lambda _: None)
    found = power_loss.trials(tmp_path, 2, range(0, 30, 3), begun)
    assert next(trial.broken for trial in found if trial.broken)


def test_where_there_is_no_room_one_line_says_so(tmp_path: Path) -> None:
    assert broken([*no_room.trials(tmp_path, 0, range(6))], 6) == []


def test_two_at_once_agree(tmp_path: Path) -> None:
    assert broken([*races.trials(tmp_path, 0, range(10))], 10) == []


def test_inputs_that_are_almost_right_make_no_traceback(tmp_path: Path) -> None:
    count = len(hostile_inputs.FAMILIES)
    assert broken([*hostile_inputs.trials(tmp_path, 0, range(count))], count) == []


def test_attacks_run_no_code(tmp_path: Path) -> None:
    assert broken([*attacks.trials(tmp_path, 0, range(attacks.ASKED))], attacks.ASKED) == []


def test_an_attack_that_works_leaves_a_mark(tmp_path: Path) -> None:
    pickle.loads(pickle.dumps(attacks.Mark(tmp_path / "mark")))
    assert (tmp_path / "mark").is_dir()
    assert attacks.foreign_script(f"<p>{attacks.SCRIPT}</p>")
    assert not attacks.foreign_script("<p>&lt;script&gt;alert(1)&lt;/script&gt;</p><script>start()</script>")


def test_measures_are_what_formulas_say(tmp_path: Path) -> None:
    assert broken([*measures.trials(tmp_path, 0, range(60))], 60) == []


def test_long_runs_keep_memory_and_files(tmp_path: Path) -> None:
    found = [*long_runs.trials(tmp_path, 0, range(3), steps=40, calls=10, pace=float("inf"))]
    assert broken(found, 3) == []


def test_a_trial_that_crashes_hangs_or_takes_memory_costs_only_itself() -> None:
    def trial(number: int) -> Trial:
        if number == 1:
            os._exit(3)
        if number == 2:
            while True:
                pass
        if number == 3:
            bytes(1 << 30)
        return Trial(number, "sound")

    found = [*isolated(trial, range(5), seconds=0.2, extra_bytes=1 << 28)]
    assert [bool(one.broken) for one in found] == [False, True, True, True, False]


def test_a_campaign_goes_on_after_the_trials_of_its_record(monkeypatch) -> None:
    def some(_: Path, seed: int, numbers: Iterable[int]) -> Iterator[Trial]:
        for number in numbers:
            if number == 3 and seed == 1:
                raise KeyboardInterrupt
            yield Trial(number, f"kind: {number}", "broken" if number == 1 else "", {"size": number})

    monkeypatch.setattr(attacks, "trials", some)
    monkeypatch.setattr(attacks, "ASKED", 5)
    kept: list[dict[str, Any]] = []
    stopped = conducted("attacks", 1, kept.append, None, 60)
    first = kept[-1]
    assert (first["tried"], first["kinds"], first["facts"], stopped) == (3, {"kind": 3}, {"size": 2}, True)
    stopped = conducted("attacks", 2, kept.append, None, 60, before=first)
    second = kept[-1]
    assert (second["tried"], second["kinds"], second["facts"], stopped) == (5, {"kind": 5}, {"size": 4}, False)
    assert [one["number"] for one in second["broken"]] == [1]


def test_the_layer_sees_every_change_and_refuses_in_the_middle_of_a_write(tmp_path: Path) -> None:
    seen: list[str] = []

    def watch(change) -> int | None:
        seen.append(change.kind)
        return 3 if change.content == b"second" else None

    with watched(tmp_path, watch):
        write_atomic(tmp_path / "deep" / "file", b"first")
        with pytest.raises(OSError, match="No space"), (tmp_path / "other").open("wb", buffering=0) as file:
            file.write(b"second")
    assert seen == ["make folder", "sync", "make", "write", "sync", "rename", "sync", "make", "write"]
    assert (tmp_path / "other").read_bytes() == b"sec"
