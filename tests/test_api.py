import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
from PIL import Image

import shoestring
from shoestring import api, zoo
from shoestring.core.errors import DataError, OverBudgetError, RecipeError, RunError
from shoestring.core.run import Run
from shoestring.data.embedded_digits import read_embedded_digits
from shoestring.model.build import build
from shoestring.model.generator import Generator

SYSTEMS = {
    "addnist-effnet": 98_720,
    "cifar100-resnet": 99_364,
    "cifar100-dcgan-44": 998_553,
    "cifar100-dcgan-64": 929_472,
}


def test_training_leaves_a_whole_run(classifier_run: Run) -> None:
    assert classifier_run.finished()
    assert classifier_run.report_file.read_text(encoding="utf-8").startswith("<!DOCTYPE html>")
    assert set(classifier_run.metrics()) == {"train", "tune"}  # development does not look at test
    assert classifier_run.metrics()["tune"]["accuracy"]["n"] == 6
    assert sum(layer.parameters for layer in classifier_run.layers()) == 1_157
    assert classifier_run.read_json("classes.json") == list(tiny.CLASSES)
    assert classifier_run.ema_decays() == [0.9]


def test_generators_leave_pictures(gan_run: Run) -> None:
    for name, size in (("samples.png", (2 * 270, 2 * 270)), ("interpolations.png", (2 * 270, 2 * 270))):
        with Image.open(gan_run.pictures / name) as image:
            assert image.size == size  # 8 x 8 images of 32 pixels, 2 pixels between, twice as large
    titles = [picture["title"] for picture in gan_run.read_json("samples/pictures.json")]
    assert titles[:3] == ["Samples", "Interpolations", "Picked samples"]


def test_the_same_call_again_returns_at_once(classifier_run: Run, pictures: Path) -> None:
    before = (classifier_run.folder / "weights.safetensors").stat().st_mtime_ns
    heard = tiny.Heard()
    again = api.train(tiny.classifier(pictures), classifier_run.folder, device="cpu", progress=heard)
    assert again == classifier_run
    assert any("nothing left to train" in message for message in heard.messages)
    assert (classifier_run.folder / "weights.safetensors").stat().st_mtime_ns == before


def test_fields_that_a_run_is_too_old_to_have_are_no_differences(classifier_run: Run, tmp_path: Path) -> None:
    runs = [Run(tmp_path / name) for name in ("old", "new")]
    for run, seed in zip(runs, (0, 1), strict=True):
        shutil.copytree(classifier_run.folder, run.folder)
        values = run.read_recipe() | {"seed": seed}
        if run is runs[0]:
            del values["augment"]["elastic"], values["net"]["stem"], values["optimiser"]["epsilon"], values["base"]
        run.write_json("recipe.json", values)
    page = api.write_report(runs, tmp_path / "both.html").read_text()
    table = page.split("Where the recipes differ</h3>")[1].split("</table>")[0]
    assert re.findall("<code>(.+?)</code>", table) == ["net.stem", "seed"]


def test_measuring_is_finished_when_it_was_cut_off(classifier_run: Run, pictures: Path, tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    shutil.copytree(classifier_run.folder, run.folder)
    for name in ("metrics.json", "report.html"):
        (run.folder / name).unlink()
    api.train(tiny.classifier(pictures), run.folder, device="cpu")
    assert run.metrics()["tune"]["accuracy"]["value"] == classifier_run.metrics()["tune"]["accuracy"]["value"]
    assert run.report_file.is_file()


def test_a_run_without_tune_is_measured_on_test(pictures: Path, tmp_path: Path) -> None:
    run = api.train(tiny.classifier(pictures, data__tune=0, budget__steps=2), tmp_path, device="cpu")
    assert run.metrics()["test"]["accuracy"]["n"] == 15
    with pytest.raises(RecipeError, match=r"data\.tune is 0.*--split test"):
        api.evaluate(tmp_path, "tune", device="cpu")


def test_a_net_over_budget_is_refused_before_anything_is_written(pictures: Path, tmp_path: Path) -> None:
    with pytest.raises(OverBudgetError, match=r"1,157 parameters, 157 over the budget of 1,000") as refused:
        api.train(tiny.classifier(pictures, budget__parameters=1_000), tmp_path / "run", device="cpu")
    for layer in build(tiny.classifier(pictures)).layers:
        assert layer.name in str(refused.value)
    assert list(tmp_path.iterdir()) == []


def test_a_file_s_recipe_says_what_was_changed(pictures: Path, tmp_path: Path) -> None:
    base = tiny.classifier(pictures)
    run = api.train(tiny.classifier(pictures, budget__steps=4), tmp_path / "run", device="cpu", base=base)
    assert run.read_json("overrides.json") == {"budget.steps": [12, 4]}


def test_a_damaged_test_image_is_found_before_the_training(tmp_path: Path) -> None:
    pictures = tiny.write_pictures(tmp_path / "pictures")
    (pictures / "test" / "red" / "00.png").write_bytes(b"damaged")
    with pytest.raises(DataError, match=r"00\.png cannot be read"):
        api.train(tiny.classifier(pictures, data__tune=0), tmp_path / "run", device="cpu")
    assert not (tmp_path / "run").exists()


def test_a_classifier_needs_two_classes(tmp_path: Path) -> None:
    pictures = tiny.write_pictures(tmp_path / "pictures")
    shutil.rmtree(pictures / "train")
    with pytest.raises(DataError, match="one class, test, so there is nothing to tell apart"):
        api.train(tiny.classifier(pictures, data__tune=0), tmp_path / "run", device="cpu")


def test_options_of_generators_are_refused_for_classifiers(classifier_run: Run) -> None:
    with pytest.raises(RecipeError, match="classifies images, and all of tune is answered"):
        api.evaluate(classifier_run.folder, "tune", count=100)
    with pytest.raises(RecipeError, match="class_name is for generators"):
        api.evaluate(classifier_run.folder, "tune", class_name="none")
    with pytest.raises(RecipeError, match="unknown option 'guidance'"):
        api.evaluate(classifier_run.folder, "tune", guidance=2.0)


def test_classes_are_refused_where_the_net_knows_none(gan_run: Run) -> None:
    with pytest.raises(RecipeError, match="is not conditional"):
        api.load(gan_run.folder, "cpu").labels(3, "red")


def test_a_larger_budget_is_allowed_and_recorded(pictures: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setitem(shoestring.RECIPES, "tiny-classifier", lambda: tiny.classifier(pictures))
    wide = {"net__stem": 8, "budget__steps": 2}
    with pytest.raises(OverBudgetError, match="budget of 1,200"):
        api.train(tiny.classifier(pictures, budget__parameters=1_200, **wide), tmp_path / "refused", device="cpu")
    run = api.train(tiny.classifier(pictures, budget__parameters=9_000, **wide), tmp_path / "run", device="cpu")
    overrides = run.read_json("overrides.json")
    assert overrides["budget.parameters"] == [2_000, 9_000]
    assert overrides["budget.steps"] == [12, 2]
    assert "9,000" in run.report_file.read_text(encoding="utf-8")


def test_a_folder_below_the_data_folder_is_found_there_and_not_needed_afterwards(tmp_path: Path) -> None:
    tiny.write_pictures(tmp_path / "data" / "mine", train=6, test=3)
    recipe = tiny.classifier(Path("mine"), budget__steps=2, data__tune=0)
    run = api.train(recipe, tmp_path / "run", data_folder=tmp_path / "data", device="cpu")
    picture = tmp_path / "data" / "mine" / "test" / "red" / "00.png"
    kept = shutil.copy(picture, tmp_path / "kept.png")
    shutil.rmtree(tmp_path / "data")
    (found,) = api.predict(run.folder, [Path(kept)], device="cpu")
    assert {row["class"] for row in found["classes"]} == set(tiny.CLASSES)
    with pytest.raises(DataError, match="mine"):
        api.evaluate(run.folder, device="cpu")


def test_evaluation_measures_the_whole_split_and_is_recorded(classifier_run: Run, tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    shutil.copytree(classifier_run.folder, run.folder)
    found = api.evaluate(run.folder, "test", device="cpu")
    model = api.load(run.folder, "cpu")
    images = model.recipe.data.load("test", Path(), shoestring.Progress())
    right = (model.logits(images.images).argmax(1) == images.labels).sum().item()
    accuracy = found["accuracy"]
    assert (accuracy.value, accuracy.n) == (right / 15, 15)
    assert accuracy.interval[0] < accuracy.value < accuracy.interval[1]
    assert run.metrics()["test"]["accuracy"]["value"] == accuracy.value
    assert run.metrics()["tune"] == classifier_run.metrics()["tune"]


def test_measures_of_other_weights_are_not_recorded_as_the_run_s_own(classifier_run: Run, tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    shutil.copytree(classifier_run.folder, run.folder)
    assert api.evaluate(run.folder, "test", device="cpu", ema_decay=0.9)["accuracy"].n == 15
    assert "test" not in run.metrics()


def test_a_loaded_model_is_the_running_mean_in_evaluation_mode(classifier_run: Run) -> None:
    model = api.load(classifier_run.folder, "cpu")
    assert not any(module.training for module in model.nets.modules())
    saved = torch.load(classifier_run.checkpoints.last(), weights_only=True)
    for name, tensor in model.nets.state_dict().items():
        if tensor.is_floating_point():
            assert torch.equal(tensor, saved["ema"][0.9][name])
    assert any(not torch.equal(saved["ema"][0.9][name], saved["nets"][name]) for name in saved["nets"])


def test_predictions_are_the_model_s_probabilities_best_first(classifier_run: Run, pictures: Path) -> None:
    files = [pictures / "test" / name / "00.png" for name in tiny.CLASSES]
    (alone,) = api.predict(classifier_run.folder, str(files[0]), device="cpu")
    assert alone["image"] == str(files[0])
    found = api.predict(classifier_run.folder, files, top=2, device="cpu")
    model = api.load(classifier_run.folder, "cpu")
    images = torch.stack([torch.tensor(list(Image.open(f).tobytes())).view(8, 8, 3).permute(2, 0, 1) for f in files])
    expected = model.logits(images.to(torch.uint8)).softmax(1)
    for row, file, probabilities in zip(found, files, expected, strict=True):
        assert row["image"] == str(file)
        best = probabilities.argsort(descending=True)[:2].tolist()
        assert [entry["class"] for entry in row["classes"]] == [tiny.CLASSES[i] for i in best]
        assert [entry["probability"] for entry in row["classes"]] == pytest.approx(
            probabilities[best].tolist(), abs=1e-6
        )


def test_samples_depend_on_their_seed_and_place_alone() -> None:
    images = api.sample("cifar100-dcgan-44", 5, seed=1, device="cpu")
    assert (images.dtype, images.shape) == (torch.uint8, (5, 3, 32, 32))
    fewer = api.sample("cifar100-dcgan-44", 3, seed=1, device="cpu")
    assert (fewer.int() - images[:3].int()).abs().max() <= 1  # a batch of another size rounds differently
    other = api.sample("cifar100-dcgan-44", 5, seed=2, device="cpu")
    assert (other.int() - images.int()).abs().float().mean() > 10


def test_what_is_not_there_is_an_error_with_what_is(tmp_path: Path, classifier_run: Run, gan_run: Run) -> None:
    with pytest.raises(
        RunError, match=r"unknown run or shipped model 'cifar100-resnt'; did you mean 'cifar100-resnet'"
    ):
        api.load("cifar100-resnt")
    with pytest.raises(
        RunError, match=r"no trained weights of addnist-quick are shipped; .*shoestring train addnist-quick"
    ):
        api.load("addnist-quick")
    with pytest.raises(RunError, match="is a folder but holds no run"):
        api.load(tmp_path)
    with pytest.raises(RecipeError, match="classifies images; it cannot make them"):
        api.sample(classifier_run.folder, device="cpu")
    with pytest.raises(RecipeError, match="makes images; it cannot classify"):
        api.predict(gan_run.folder, [gan_run.pictures / "samples.png"], device="cpu")
    with pytest.raises(DataError, match=r"nothing\.png"):
        api.predict(classifier_run.folder, [tmp_path / "nothing.png"], device="cpu")


def test_weights_of_another_net_are_refused(classifier_run: Run, tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    shutil.copytree(classifier_run.folder, run.folder)
    recipe = run.read_recipe()
    recipe["net"]["stem"] = 5
    run.write_json("recipe.json", recipe)
    with pytest.raises(RunError, match=r"weights.safetensors does not fit .*recipe.json"):
        api.load(run.folder, "cpu")


@pytest.mark.parametrize("name", SYSTEMS)
def test_shipped_systems_load_and_answer(name: str) -> None:
    model = shoestring.load(name, "cpu")
    assert sum(parameter.numel() for parameter in model.nets.parameters()) == SYSTEMS[name]
    assert model.recipe.budget.steps == shoestring.recipe(name).budget.steps
    if isinstance(model, Generator):
        images = shoestring.sample(name, 16, device="cpu")
        assert images.shape == (16, 3, 32, 32)
        assert images.float().std(0).mean() > 20  # not all the same
        paths = model.interpolate(2, 3, 0, shoestring.Progress())
        assert paths.shape == (2, 3, 3, 32, 32)


def test_the_shipped_classifier_adds_up_the_embedded_test_digits() -> None:
    digits = read_embedded_digits("test")
    picked = torch.randint(0, len(digits.labels), (300, 3), generator=torch.Generator().manual_seed(0)).numpy()
    sums = digits.labels[picked].sum(1) - 1
    known = (sums >= 0) & (sums < 20)
    logits = shoestring.load("addnist-effnet", "cpu").logits(torch.from_numpy(digits.images[picked][known]))
    right = (logits.argmax(1).numpy() == sums[known]).mean()
    assert right > 0.88


def test_reports_of_shipped_weights_are_not_written_into_the_package(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert api.write_report(["cifar100-resnet"]).resolve() == tmp_path / "cifar100-resnet.html"
    assert not (zoo.FOLDER / "cifar100-resnet" / "report.html").exists()


def test_measuring_shipped_weights_changes_nothing_in_the_package(
    pictures: Path, classifier_run: Run, monkeypatch
) -> None:
    before = {path: path.read_bytes() for path in classifier_run.folder.rglob("*.json")}
    monkeypatch.setattr(zoo, "FOLDER", classifier_run.folder.parent)
    assert api.evaluate(classifier_run.folder.name, device="cpu")["accuracy"].n == 15
    assert {path: path.read_bytes() for path in classifier_run.folder.rglob("*.json")} == before


def test_any_images_are_compared_from_python(tmp_path: Path) -> None:
    for seed, name in enumerate(("made", "real", "further")):
        images = torch.randint(256, (60, 16, 16, 3), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)
        np.save(tmp_path / f"{name}.npy", images.numpy())
    made, real, further = (tmp_path / f"{name}.npy" for name in ("made", "real", "further"))
    found = shoestring.compare_images(made, real, further, tmp_path, "cpu", count=50, inception="none")
    assert found["diversity_pixels"].value == pytest.approx(1, rel=0.05)
    assert found["diversity_pixels"].real_baseline == pytest.approx(1, rel=0.05)
    assert (found["diversity_pixels"].n, found["diversity_pixels"].n_real) == (50, 50)
    assert shoestring.compare_images(real, real, None, tmp_path, "cpu", inception="none")[
        "high_frequency_energy"
    ].value == pytest.approx(1, rel=1e-12)
