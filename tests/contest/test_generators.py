"""A generator handed in is measured by its own samples."""

from pathlib import Path

import pytest
import tiny

from shoestring import api
from shoestring.contest.check import Checked
from shoestring.core.packed import pack
from shoestring.core.run import Run


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Checked]:
    home = tmp_path_factory.mktemp("generator")
    pictures = tiny.write_pictures(home / "pictures", train=20, test=20)
    run = api.train(tiny.gan(pictures, budget__steps=4), home / "run", device="cpu")
    (home / "gan.safetensors").write_bytes(pack(run))
    return run, api.check(home / "gan.safetensors", level=3, samples=50, inception="none")


def test_its_distance_is_measured_and_its_samples_are_shown(found: tuple[Run, Checked]) -> None:
    _, checked = found
    assert checked.kind == "generator"
    assert checked.verdict == "passed", [one for one in checked.findings if one.verdict != "passed"]
    assert checked.measured.name == "cifar_resnet_fd"
    assert checked.measured.metric is not None
    assert checked.measured.metric.n == 50
    assert checked.measured.samples is not None
    assert checked.measured.samples.shape == (16, 3, 32, 32)


def test_a_better_distance_than_that_is_a_lie(found: tuple[Run, Checked], tmp_path: Path) -> None:
    run, checked = found
    assert checked.measured.metric is not None
    claim = {"value": 0.5 * checked.measured.metric.value, "n": 50}
    copy = Run(tmp_path / "run")
    for file in run.folder.glob("*.json"):
        copy.write_bytes(file.name, file.read_bytes())
    copy.write_bytes("weights.safetensors", run.weights_file.read_bytes())
    copy.write_bytes("log.jsonl", (run.folder / "log.jsonl").read_bytes())
    copy.write_metrics("test", {"cifar_resnet_fd": claim})
    lied = api.check(copy.folder, level=2, samples=50, inception="none")
    assert [one.name for one in lied.findings if one.verdict == "failed"] == ["measured"]
