import pytest
import tiny

from shoestring import zoo
from shoestring.cli.overview import measured_result, overview
from shoestring.core.run import Run

FID = {"value": 0.39777, "n": 2000, "real_baseline": 0.08889, "gap_to_real": 0.30888}


@pytest.fixture
def generator(pictures, tmp_path):
    """A function that gives a run of a generator with these measures."""

    def make(metrics):
        run = Run(tmp_path / "run")
        run.write_recipe(tiny.gan(pictures).to_json(), [], {})
        run.write_json("metrics.json", metrics)
        return run

    return make


def test_the_result_of_a_generator_is_its_fid_beside_its_floor(generator):
    others = {"kid_768_clean": {"value": 0.1, "n": 2000}, "fid_768_legacy": {**FID, "value": 0.4}}
    found = measured_result(generator({"test": {**others, "fid_768_clean": FID}}))
    text = "FID-768 0.398, real images 0.0889 (n 2,000)"
    assert found == {"fid_768_clean": 0.39777, "n": 2000, "real_baseline": 0.08889, "text": text}


@pytest.mark.parametrize(
    ("name", "real_baseline", "text"),
    [
        ("fid_768_legacy", 0.08889, "FID-768 legacy 0.398, real images 0.0889 (n 2,000)"),
        ("fid_2048_clean", None, "FID-2048 0.398 (n 2,000)"),
    ],
)
def test_another_fid_is_named_by_its_features_and_resizing(generator, name, real_baseline, text):
    assert measured_result(generator({"test": {name: {**FID, "real_baseline": real_baseline}}}))["text"] == text


def test_what_was_not_measured_on_test_images_is_no_result(generator, tmp_path):
    assert measured_result(Run(tmp_path / "nothing")) is None
    assert measured_result(generator({})) is None
    assert measured_result(generator({"tune": {"fid_768_clean": FID}})) is None


def test_shipped_generators_show_what_their_runs_measured():
    rows = {row["recipe"]: row for row in overview()[1]}
    for name in ("cifar100-dcgan-44", "cifar100-dcgan-64"):
        measured, recorded = rows[name]["measured"], Run(zoo.FOLDER / name).metrics()["test"]["fid_768_clean"]
        assert (measured["fid_768_clean"], measured["n"]) == (recorded["value"], recorded["n"])
        assert rows[name]["measured_text"].startswith(f"FID-768 {recorded['value']:.3f}, real images ")
    assert rows["cifar100-resnet"]["measured_text"].endswith(" %")
    assert rows["cifar100-mixconv"]["measured_text"] == "not trained yet"
