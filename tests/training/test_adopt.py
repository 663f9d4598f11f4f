"""What was chosen after a training becomes the run's own, and nothing is lost on the way."""

import pytest
import tiny
import torch

from shoestring import api, zoo
from shoestring.errors import OverBudgetError, RecipeError, RunError
from shoestring.run import Run
from shoestring.training.load import recipe_of


@pytest.fixture
def gan(tmp_path) -> Run:
    recipe = tiny.gan(tiny.write_pictures(tmp_path / "pictures", size=32), ema=(0.9, 0.2), budget__evaluations=10)
    return api.train(recipe, tmp_path / "run", device="cpu")


def test_run_answers_as_chosen_and_says_so(gan: Run) -> None:
    gan.write_measures("test", {"fid": {"value": 1.0}})
    former, heard = recipe_of(gan), tiny.Heard()
    wanted = api.sample(gan.folder, 4, device="cpu", average=0.2, refinements=2, step_size=0.5)
    pictures, report = (gan.pictures / "samples.png").read_bytes(), gan.report_file.read_bytes()
    api.adopt(gan.folder, 0.2, "cpu", heard, refinements=2, step_size=0.5)
    assert api.sample(gan.folder, 4, device="cpu").equal(wanted)
    recipe = recipe_of(gan)
    assert recipe.ema == (0.2, 0.9)
    assert (recipe.task.sampling.refinements, recipe.task.sampling.step_size) == (2, 0.5)
    assert gan.read_json("overrides.json")["ema"][1] == [0.2, 0.9]
    assert gan.read_json("environment.json")["evaluations"] == 5
    assert gan.read_json("environment.json")["sessions"]
    aside = gan.folder / f"measures-{former.fingerprint()}.json"
    assert gan.measures() == {}
    assert gan.read_json(aside.name)["test"] == {"fid": {"value": 1.0}}
    assert str(aside) in heard.messages[0]
    assert (gan.pictures / "samples.png").read_bytes() != pictures
    assert gan.report_file.read_bytes() != report


def test_choice_can_be_taken_back_and_the_same_one_again_changes_nothing(gan: Run) -> None:
    recipe, weights = gan.read_recipe(), gan.read_weights()
    overrides = gan.read_json("overrides.json")
    api.adopt(gan.folder, 0.2, "cpu", candidates=2)
    assert any(not tensor.equal(weights[name]) for name, tensor in gan.read_weights().items())

    def state() -> dict[str, int]:  # the report may be written again, as it was
        files = [file for file in gan.folder.rglob("*") if file.is_file()]
        return {str(file): file.stat().st_mtime_ns for file in files if file != gan.report_file}

    before, report, heard = state(), gan.report_file.read_bytes(), tiny.Heard()
    api.adopt(gan.folder, 0.2, "cpu", heard, candidates=2)
    assert state() == before
    assert gan.report_file.read_bytes() == report
    assert heard.messages == [f"{gan.folder} answers like that already"]
    api.adopt(gan.folder, 0.9, "cpu", candidates=1)
    assert gan.read_recipe() == recipe
    assert gan.read_json("overrides.json") == overrides
    assert all(tensor.equal(weights[name]) for name, tensor in gan.read_weights().items())


@pytest.mark.parametrize(
    "step",
    ["shoestring.run.Run.write_bytes", "shoestring.run.Run.write_recipe", "shoestring.api.write_report"],
)
def test_interrupted_choice_is_completed_by_the_same_call(gan: Run, monkeypatch, step: str) -> None:
    gan.write_measures("test", {"fid": {"value": 1.0}})
    pictures, report = (gan.pictures / "samples.png").read_bytes(), gan.report_file.read_bytes()

    def crash(*_: object) -> None:
        raise tiny.Crash

    with monkeypatch.context() as patched:
        patched.setattr(step, crash)
        with pytest.raises(tiny.Crash):
            api.adopt(gan.folder, 0.2, "cpu")
    api.adopt(gan.folder, 0.2, "cpu")
    assert (gan.pictures / "samples.png").read_bytes() != pictures
    assert gan.report_file.read_bytes() != report
    assert recipe_of(gan).ema == (0.2, 0.9)
    assert len(list(gan.folder.glob("measures-*.json"))) == 1
    kept = gan.read_weights(0.2)
    assert all(tensor.equal(kept[name]) for name, tensor in gan.read_weights().items())


def test_classifier_can_answer_with_another_average(tmp_path) -> None:
    pictures = tiny.write_pictures(tmp_path / "pictures")
    run = api.train(tiny.classifier(pictures, ema=(0.9, 0.2)), tmp_path / "run", device="cpu")
    api.adopt(run.folder, 0.2, "cpu")
    kept = run.read_weights(0.2)
    assert all(torch.equal(tensor, kept[name]) for name, tensor in run.read_weights().items())
    assert api.evaluate(run.folder, "tune", device="cpu")["accuracy"].n > 0
    assert "accuracy" in run.measures()["tune"]


def test_what_cannot_be_adopted_is_refused_before_anything_is_written(gan: Run, tmp_path) -> None:
    before = {file: file.read_bytes() for file in gan.folder.rglob("*") if file.is_file()}
    with pytest.raises(RunError, match=r"of decay 0\.7; it has: 0\.2, 0\.9"):
        api.adopt(gan.folder, 0.7, "cpu")
    with pytest.raises(RecipeError, match="takes no guidance"):
        api.adopt(gan.folder, None, "cpu", guidance=2.0)
    with pytest.raises(OverBudgetError, match="13 net calls, 3 over the budget of 10"):
        api.adopt(gan.folder, 0.2, "cpu", candidates=6)
    assert {file: file.read_bytes() for file in gan.folder.rglob("*") if file.is_file()} == before
    with pytest.raises(RunError, match="is shipped and stays as it is"):
        api.adopt(next(folder.name for folder in zoo.FOLDER.iterdir() if Run(folder).exists()), 0.9, "cpu")
    recipe = tiny.classifier(tiny.write_pictures(tmp_path / "more"))
    with pytest.raises(tiny.Crash):
        api.train(recipe, tmp_path / "half", device="cpu", progress=tiny.Crashing(8))
    with pytest.raises(RunError, match="is not finished"):
        api.adopt(tmp_path / "half", 0.9, "cpu")
