"""A report says which numbers were measured here: what was forged, copied in or is of other weights is a claim."""

import shutil
from pathlib import Path

import pytest

from shoestring import api
from shoestring.core.measured_here import measured_file, was_measured_here
from shoestring.core.run import Run

CLAIMED = "are claimed by the run and were not measured on this machine"


@pytest.fixture
def run(classifier_run: Run, tmp_path: Path) -> Run:
    return Run(Path(shutil.copytree(classifier_run.folder, tmp_path / "run")))


def page(run: Run, file: Path) -> str:
    return api.write_report([run], file).read_text()


def test_what_was_measured_here_is_said_to_be(run: Run, tmp_path: Path) -> None:
    assert was_measured_here(run, "tune")
    text = page(run, tmp_path / "page.html")
    assert CLAIMED not in text
    assert "tune: measured on this machine" in text


def test_a_forged_metric_is_a_claim_until_it_is_measured(run: Run, tmp_path: Path) -> None:
    forged = run.metrics()["tune"]
    forged["accuracy"] |= {"value": 0.999}
    run.write_metrics("tune", forged)
    text = page(run, tmp_path / "page.html")
    assert f"metrics of tune {CLAIMED}" in text
    assert "train: measured on this machine" in text
    api.evaluate(run.folder, "tune", device="cpu")
    assert run.metrics()["tune"]["accuracy"]["value"] != 0.999
    assert CLAIMED not in page(run, tmp_path / "page.html")


def test_metrics_of_other_weights_are_claims(run: Run, tmp_path: Path) -> None:
    run.write_weights({name: 2 * tensor for name, tensor in run.read_weights().items()}, {})
    assert f"metrics of train and tune {CLAIMED}" in page(run, tmp_path / "page.html")


def test_without_a_record_all_are_claims(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert measured_file().is_file()
    monkeypatch.setenv("SHOESTRING_MEASURED", str(tmp_path / "elsewhere"))
    assert not was_measured_here(run, "tune")
    assert CLAIMED in page(run, tmp_path / "page.html")


def test_shipped_weights_are_no_claim(tmp_path: Path) -> None:
    text = api.write_report(["cifar100-best"], tmp_path / "page.html").read_text()
    assert CLAIMED not in text
    assert "test: shipped with the package" in text
