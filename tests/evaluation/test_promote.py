"""What was chosen after a training becomes the run's own, and nothing is lost on the way."""

import shutil
from pathlib import Path

import pytest
import tiny
import torch

from shoestring import api, zoo
from shoestring.core.atomic_files import write_atomic
from shoestring.core.errors import OverBudgetError, RecipeError, RunError
from shoestring.core.progress import Progress
from shoestring.core.run import Run
from shoestring.model.generator import Generator
from shoestring.model.load import recipe_of


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Run:
    folder = tmp_path_factory.mktemp("adopt")
    pictures = tiny.write_pictures(folder / "pictures", train=40, test=20, size=32)
    recipe = tiny.gan(pictures, ema=(0.9, 0.2), budget__nfe=10)
    return api.train(recipe, folder / "run", device="cpu")


@pytest.fixture
def gan(trained: Run, tmp_path) -> Run:
    return Run(shutil.copytree(trained.folder, tmp_path / "run"))


def test_run_answers_as_chosen_and_says_so(gan: Run) -> None:
    gan.write_metrics("test", {"fid": {"value": 1.0}})
    former, heard = recipe_of(gan), tiny.Heard()
    wanted = api.sample(gan.folder, 4, device="cpu", ema_decay=0.2, sampling=TWO_STEPS)
    pictures, report = (gan.pictures / "samples.png").read_bytes(), gan.report_file.read_bytes()
    api.promote(gan.folder, 0.2, "cpu", heard, TWO_STEPS)
    assert api.sample(gan.folder, 4, device="cpu").equal(wanted)
    recipe = recipe_of(gan)
    assert recipe.ema == (0.2, 0.9)
    assert (recipe.task.sampling.pixel_ascent_steps, recipe.task.sampling.pixel_ascent_step_size) == (2, 0.5)
    assert gan.read_json("overrides.json")["ema"][1] == [0.2, 0.9]
    assert gan.read_json("environment.json")["nfe"] == 5
    assert gan.read_json("environment.json")["sessions"]
    aside = Run(gan.folder / "archive" / former.fingerprint())
    assert gan.metrics() == {}
    assert aside.metrics()["test"] == {"fid": {"value": 1.0}}
    assert (aside.pictures / "samples.png").read_bytes() == pictures
    assert str(aside.folder) in heard.messages[0]
    assert (gan.pictures / "samples.png").read_bytes() != pictures
    assert gan.report_file.read_bytes() != report


def test_choice_can_be_taken_back_and_the_same_one_again_changes_nothing(gan: Run) -> None:
    recipe, weights = gan.read_recipe(), gan.read_weights()
    overrides = gan.read_json("overrides.json")
    api.promote(gan.folder, 0.2, "cpu", sampling={"pixel_ascent_steps": 2})
    assert any(not tensor.equal(weights[name]) for name, tensor in gan.read_weights().items())

    def state() -> dict[str, int]:  # the report may be written again, as it was
        files = [file for file in gan.folder.rglob("*") if file.is_file()]
        return {str(file): file.stat().st_mtime_ns for file in files if file != gan.report_file}

    before, report, heard = state(), gan.report_file.read_bytes(), tiny.Heard()
    api.promote(gan.folder, 0.2, "cpu", heard, {"pixel_ascent_steps": 2})
    assert state() == before
    assert gan.report_file.read_bytes() == report
    assert heard.messages == [f"{gan.folder} has these weights and answers in this way already"]
    api.promote(gan.folder, 0.9, "cpu", sampling={"pixel_ascent_steps": 0})
    assert gan.read_recipe() == recipe
    assert gan.read_json("overrides.json") == overrides
    assert all(tensor.equal(weights[name]) for name, tensor in gan.read_weights().items())


def contents(run: Run) -> dict[str, bytes]:
    """All files of a run but those of its former answers."""
    files = {str(file.relative_to(run.folder)): file for file in run.folder.rglob("*") if file.is_file()}
    return {name: file.read_bytes() for name, file in files.items() if not name.startswith("archive")}


TWO_STEPS = {"pixel_ascent_steps": 2, "pixel_ascent_step_size": 0.5}
OF_THE_TRAINING = ("ema/", "checkpoints/", "classes.json", "layers.json", "log.jsonl")


@pytest.mark.parametrize("kind", ["gan", "classifier"])
def test_nothing_of_the_former_answers_is_left_to_be_shown(tmp_path, gan: Run, kind: str) -> None:
    pictures = recipe_of(gan).data.path
    recipe = tiny.classifier(pictures, ema=(0.9, 0.2))
    run = gan if kind == "gan" else api.train(recipe, tmp_path / "classifier", device="cpu")
    api.evaluate(run.folder, device="cpu", data_folder=tmp_path, **({"inception": "none"} if kind == "gan" else {}))
    api.write_report([run])
    before = contents(run)
    fake = {"metrics.json", "report.html", f"samples/{'neighbours' if kind == 'gan' else 'mistakes'}.png"}
    assert fake < set(before)
    former = recipe_of(run).fingerprint()
    api.promote(run.folder, 0.2, "cpu")
    after = contents(run)
    # What is as it was is of the training or was written anew; so each new kind of file must be thought of here.
    as_it_was = [name for name in after if after[name] == before.get(name) and not name.startswith(OF_THE_TRAINING)]
    of_the_start = {"environment.json", "inspection.json", "splits.json", "rules.json", "chain.json"}
    assert set(as_it_was) <= of_the_start | {"samples/pictures.json"}
    assert not fake & set(after) - {"report.html"}
    for name in fake:
        assert (run.folder / "archive" / former / name).read_bytes() == before[name]
    page = after["report.html"].decode()
    assert not any(title in page for title in ("Nearest training images", "Most confident mistakes", "memorised"))


def test_a_kill_between_any_two_writes_leaves_nothing_stale_and_the_same_call_completes_it(
    tmp_path, gan: Run, monkeypatch
) -> None:
    def answers(run: Run) -> bytes:  # stands for all that is made with them, and is made faster
        return run.weights_file.read_bytes() + run.recipe_file.read_bytes()

    def draw(model: Generator, run: Run, progress: Progress) -> None:
        run.write_bytes("samples/samples.png", answers(run))
        run.write_bytes("samples/pictures.json", answers(run))

    def report(runs: list[Run]) -> None:
        runs[0].write_bytes("report.html", answers(runs[0]))

    monkeypatch.setattr("shoestring.evaluation.promote.draw_samples", draw)
    monkeypatch.setattr("shoestring.api.models.write_report", report)
    shutil.rmtree(gan.pictures)
    draw(api.load(gan.folder, "cpu"), gan, Progress())
    report([gan])
    gan.write_metrics("test", {"fid": {"value": 1.0}})
    former, fingerprint = contents(gan), recipe_of(gan).fingerprint()
    derived = {name for name in former if name.startswith(("metrics.json", "samples/", "report.html"))}
    calls, limit = 0, 0

    def counted(function):
        def call(*given, **named):
            nonlocal calls
            calls += 1
            if calls > limit:
                raise tiny.Crash
            return function(*given, **named)

        return call

    while True:
        run, calls = Run(tmp_path / f"killed-{limit}"), 0
        shutil.copytree(gan.folder, run.folder)
        with monkeypatch.context() as patched:
            patched.setattr(Path, "rename", counted(Path.rename))
            for module in ("record_folder", "atomic_files"):  # bytes, and JSON
                patched.setattr(f"shoestring.core.{module}.write_atomic", counted(write_atomic))
            try:
                api.promote(run.folder, 0.2, "cpu", sampling={"pixel_ascent_steps": 1})
                break
            except tiny.Crash:
                pass
        left = contents(run)
        if any(left[name] != former[name] for name in ("weights.safetensors", "recipe.json")):
            assert not any(left.get(name) == former[name] for name in derived), f"after {limit} writes"
        api.promote(run.folder, 0.2, "cpu", sampling={"pixel_ascent_steps": 1})
        assert recipe_of(run).ema == (0.2, 0.9)
        assert not any(contents(run).get(name) == former[name] for name in derived)
        aside = Run(run.folder / "archive" / fingerprint)
        assert aside.metrics() == gan.metrics()
        assert contents(aside) == {name: former[name] for name in derived}
        limit += 1
    assert limit > 10
    assert not any(contents(run).get(name) == former[name] for name in derived)


def test_what_was_measured_between_an_interruption_and_its_completion_is_not_lost_or_mixed_up(gan: Run) -> None:
    gan.write_metrics("test", {"fid": {"value": 1.0}})
    fingerprint = recipe_of(gan).fingerprint()
    gan.archive(fingerprint)  # and killed after it
    gan.write_metrics("test", {"fid": {"value": 2.0}})
    api.promote(gan.folder, 0.2, "cpu")
    former = gan.folder / "archive"
    assert Run(former / fingerprint).metrics()["test"]["fid"]["value"] == 1
    assert Run(former / f"{fingerprint}-1").metrics()["test"]["fid"]["value"] == 2
    assert gan.metrics() == {}


def test_classifier_can_answer_with_another_average(tmp_path) -> None:
    pictures = tiny.write_pictures(tmp_path / "pictures")
    run = api.train(tiny.classifier(pictures, ema=(0.9, 0.2)), tmp_path / "run", device="cpu")
    api.promote(run.folder, 0.2, "cpu")
    kept = run.read_weights(0.2)
    assert all(torch.equal(tensor, kept[name]) for name, tensor in run.read_weights().items())
    assert api.evaluate(run.folder, "tune", device="cpu")["accuracy"].n > 0
    assert "accuracy" in run.metrics()["tune"]


def test_classifier_can_answer_by_several_views_and_what_one_view_says_is_kept_beside(tmp_path) -> None:
    pictures = tiny.write_pictures(tmp_path / "pictures")
    run = api.train(tiny.classifier(pictures), tmp_path / "run", device="cpu")
    once = api.evaluate(run.folder, "test", device="cpu")
    by_three = api.evaluate(run.folder, "test", device="cpu", views=3)
    assert by_three["loss"].value != once["loss"].value
    assert run.metrics()["test"]["loss"]["value"] == once["loss"].value  # another way than the run's own
    assert run.one_call_metrics() == {}
    api.promote(run.folder, device="cpu", views=3)
    assert recipe_of(run).task.nfe == run.environment()["nfe"] == 3
    assert run.overrides()["task.views"] == [1, 3]
    assert run.metrics() == {}
    assert api.evaluate(run.folder, "test", device="cpu")["loss"].value == by_three["loss"].value
    api.evaluate(run.folder, "test", device="cpu", views=1)
    assert run.metrics()["test"]["loss"]["value"] == by_three["loss"].value
    assert run.one_call_metrics()["test"]["loss"]["value"] == once["loss"].value
    with pytest.raises(RecipeError, match="less than or equal to 64"):
        api.evaluate(run.folder, "test", device="cpu", views=65)


def test_what_cannot_be_adopted_is_refused_before_anything_is_written(gan: Run, tmp_path) -> None:
    before = {file: file.read_bytes() for file in gan.folder.rglob("*") if file.is_file()}
    with pytest.raises(RunError, match=r"of decay 0\.7; it has: 0\.2, 0\.9"):
        api.promote(gan.folder, 0.7, "cpu")
    with pytest.raises(RecipeError, match="no option of sampling guidance"):
        api.promote(gan.folder, None, "cpu", sampling={"guidance": 2.0})
    with pytest.raises(OverBudgetError, match="13 net calls, 3 over the budget of 10"):
        api.promote(gan.folder, 0.2, "cpu", sampling={"pixel_ascent_steps": 6})
    with pytest.raises(RecipeError, match="it cannot classify them"):
        api.promote(gan.folder, None, "cpu", views=2)
    assert {file: file.read_bytes() for file in gan.folder.rglob("*") if file.is_file()} == before
    with pytest.raises(RunError, match="is shipped, packed or of the hub; copy"):
        api.promote(next(folder.name for folder in zoo.FOLDER.iterdir() if Run(folder).exists()), 0.9, "cpu")
    recipe = tiny.classifier(tiny.write_pictures(tmp_path / "more"))
    with pytest.raises(tiny.Crash):
        api.train(recipe, tmp_path / "half", device="cpu", progress=tiny.Crashing(8))
    with pytest.raises(RunError, match="is not finished"):
        api.promote(tmp_path / "half", 0.9, "cpu")
