"""A run as one file: what it holds, that equal runs give equal bytes, and what is refused."""

import json
import shutil
from pathlib import Path

import pytest
import safetensors
import torch

from shoestring.core.errors import RunError
from shoestring.core.packed import KEY, Record, pack, read_record, unpack
from shoestring.core.run import RECORDS, Run
from shoestring.core.tensor_files import tensor_bytes


@pytest.fixture
def packed(classifier_run: Run, tmp_path: Path) -> Path:
    file = tmp_path / "mine.safetensors"
    file.write_bytes(pack(classifier_run))
    return file


def test_there_and_back_nothing_is_lost(classifier_run: Run, packed: Path, tmp_path: Path) -> None:
    run = unpack(packed, tmp_path / "again")
    assert run.weights_file.read_bytes() == classifier_run.weights_file.read_bytes()
    assert run.log() == classifier_run.log()
    kept = [name for name in RECORDS if (classifier_run.folder / name).is_file()]
    assert {"recipe.json", "classes.json", "layers.json", "metrics.json", "environment.json"} <= set(kept)
    for name in kept:
        assert (run.folder / name).read_bytes() == (classifier_run.folder / name).read_bytes()
    assert pack(run) == packed.read_bytes()


def test_equal_runs_give_equal_bytes_under_one_key(classifier_run: Run, packed: Path, tmp_path: Path) -> None:
    shutil.copytree(classifier_run.folder, tmp_path / "copy")
    assert pack(Run(tmp_path / "copy")) == packed.read_bytes()
    with safetensors.safe_open(packed, "pt") as content:
        assert list(content.metadata()) == [KEY]
        assert set(content.keys()) == set(classifier_run.read_weights())
    assert packed.stat().st_size < 2 * sum(t.nbytes for t in classifier_run.read_weights().values()) + 200_000


def test_a_run_that_is_not_finished_cannot_be_packed(classifier_run: Run, tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    run.write_recipe(classifier_run.read_recipe(), [], {})
    with pytest.raises(RunError, match="has no final weights yet"):
        pack(run)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"format": 99}, "was not packed by this version"),
        ({"files": {"recipe.json": {}, "../evil.json": 1}}, "evil.json"),
        ({"files": {}}, "no recipe"),
        ({"source": {"../evil.py": ""}}, "evil.py"),
        ({"log": "long"}, "'log'"),
        ({"files": 5}, "'files'"),
        ({"source": ["a.py"]}, "'source'"),
        ({"weights": {"format": 1.5}}, "'weights'"),
    ],
)
def test_records_that_are_none_are_refused(packed: Path, change: dict, said: str) -> None:
    values = read_record(packed).to_json() | change
    with pytest.raises(RunError, match=said):
        Record.from_json(values, "mine.safetensors")


def test_files_that_hold_no_record_are_refused(tmp_path: Path) -> None:
    bare, broken = tmp_path / "bare.safetensors", tmp_path / "broken.safetensors"
    bare.write_bytes(tensor_bytes({"w": torch.zeros(2)}, {"other": "x"}))
    broken.write_bytes(b"\x80\x04 a pickle")
    for file in (bare, broken, tmp_path / "missing.safetensors"):
        with pytest.raises(RunError, match=file.name):
            read_record(file)


def test_hashes_are_of_recipe_log_and_weights(packed: Path) -> None:
    record = read_record(packed)
    assert set(record.sha256) == {"recipe", "log", "weights"}
    assert len({json.dumps(value) for value in record.sha256.values()}) == 3
