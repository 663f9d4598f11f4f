"""The protocol with a cheap stand-in for Inception, on pictures whose distances are known beforehand."""

import dataclasses
import math
import shutil
from dataclasses import replace

import pytest
import tiny
import torch

from shoestring import api
from shoestring.core.errors import DataError, DivergedError, RecipeError, RunError, ShoestringError
from shoestring.core.progress import Progress
from shoestring.core.run import Run
from shoestring.evaluation import generator as assessing
from shoestring.evaluation.compare import compare_sets
from shoestring.evaluation.extractors import FeatureExtractors, open_classifier_extractor
from shoestring.evaluation.generator import evaluate_generator, record_generator
from shoestring.metrics.features.extractor import FeatureSet, FunctionExtractor
from shoestring.metrics.generative.suite import ImageFeatures, scores
from shoestring.recipes.recipe import Recipe

N = 60


def projection(calls=None):
    weights = torch.randn(3 * 8 * 8, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64) / 100

    def function(images):
        if calls is not None:
            calls.append(len(images))
        small = torch.nn.functional.adaptive_avg_pool2d(images.double(), 8)
        return small.flatten(1) @ weights

    return FunctionExtractor("stand-in", 5, "0123456789ab", function, "clean")


def noise(count, seed, high=256, side=32):
    return torch.randint(high, (count, 3, side, side), generator=torch.Generator().manual_seed(seed), dtype=torch.uint8)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A generator of 32x32 pictures, with enough of them to measure."""
    pictures = tiny.write_pictures(tmp_path_factory.mktemp("many") / "pictures", train=42, test=20, size=32)
    recipe = tiny.gan(pictures, budget__steps=40, cadence__evaluate=40, data__tune=54)
    return api.train(recipe, tmp_path_factory.mktemp("gan") / "run", device="cpu")


@pytest.fixture
def extractors(tmp_path):
    return FeatureExtractors(projection(), None, tmp_path / "cache")


def test_real_images_against_themselves_are_perfect_and_better_than_the_floor(extractors):
    real, further = noise(400, 1), noise(400, 2)
    found = compare_sets(real, real, further, extractors, None, Progress())
    fid = found["fid_5_clean"]
    assert fid.value == pytest.approx(0, abs=1e-6)
    assert fid.real_baseline > 1e-3
    assert fid.gap_to_real == pytest.approx(-fid.real_baseline, rel=1e-3)
    assert (fid.n, fid.n_real, fid.features) == (400, 400, "stand-in 5 clean 0123456789ab")
    for name in (
        "precision_5_clean",
        "recall_5_clean",
        "coverage_5_clean",
        "high_frequency_energy",
        "diversity_pixels",
    ):
        assert found[name].value == pytest.approx(1, rel=1e-12), name
        assert found[name].gap_to_real == pytest.approx(1 - found[name].real_baseline, abs=1e-12), name
    assert found["kid_5_clean"].value < found["kid_5_clean"].real_baseline
    assert found["kid_5_clean"].standard_error > 0


def test_a_collapsed_generator_has_no_recall_no_diversity_and_one_class(extractors):
    real, further = noise(300, 1), noise(300, 2)
    collapsed = noise(1, 3).repeat(300, 1, 1, 1)
    found = compare_sets(collapsed, real, further, extractors, None, Progress())
    assert found["recall_5_clean"].value == 0
    assert found["recall_5_clean"].real_baseline > 0.5
    assert found["diversity_pixels"].value == pytest.approx(0, abs=1e-9)
    assert found["fid_5_clean"].gap_to_real > 0
    features = {"fast": FeatureSet(torch.zeros(300, 2), "judge"), "classes": torch.zeros(300, dtype=torch.int64)}
    spread = FeatureSet(noise(300, 4).flatten(1)[:, :2].float(), "judge")
    every = {"fast": spread, "classes": torch.arange(300) % 100}
    naming = replace(extractors.naming, fast="judge", num_classes=100)
    judged = scores(ImageFeatures(real, **every), ImageFeatures(collapsed, **features), naming, Progress())
    assert judged["class_entropy"].value == 0
    assert judged["class_entropy_real"].value == pytest.approx(math.log(100))
    assert judged["effective_classes"].value == pytest.approx(1)
    assert judged["cifar_resnet_fd"].value > 1000
    assert not any(name.startswith("fid") for name in judged)


def test_a_shift_of_all_features_is_what_the_distance_finds(extractors):
    real = noise(300, 1, high=200)
    brighter = real + 40
    found = compare_sets(brighter, real, None, extractors, None, Progress())
    shift = (extractors.inception(brighter[:1]) - extractors.inception(real[:1])).square().sum()
    assert found["fid_5_clean"].value == pytest.approx(float(shift), rel=1e-4)  # covariances are equal
    assert found["fid_5_clean"].real_baseline is None
    assert found["high_frequency_energy"].value == pytest.approx(1, rel=1e-9)


def test_a_run_is_measured_over_seeds_beside_its_floor_and_recorded(run, extractors, monkeypatch):
    monkeypatch.setattr(assessing, "PAIRS", 3)
    model = api.load(run.folder, "cpu")
    found = evaluate_generator(model, run.folder, "test", lambda: extractors, Progress(), None, seeds=3)
    fid = found.sections["test"]["fid_5_clean"]
    assert fid.n == N  # all of test, of which there are fewer than of train
    assert len(set(fid.by_seed)) == 3
    assert fid.value == pytest.approx(sum(fid.by_seed) / 3)
    # By hand: the samples of seed 1, through uint8, against test.
    test = model.recipe.data.load("test", run.folder, Progress()).images
    again = compare_sets(model.sample(N, 1, Progress()), test, None, extractors, None, Progress())["fid_5_clean"]
    assert fid.by_seed[1] == pytest.approx(again.value, rel=1e-12)
    # The distance to train has the floor of the distance to test, since that is symmetric.
    to_train = found.sections["train"]["fid_5_clean"]
    assert to_train.real_baseline == fid.real_baseline > 0
    assert to_train.value != fid.value
    assert {"memorised_pixels", "max_over_mean_step", "spectrum", "kid_5_clean", "recall_5_clean"} <= set(
        found.sections["test"]
    )
    assert found.sections["test"]["memorised_pixels"].real_baseline > 0
    assert found.sections["test"]["max_over_mean_step"].n == 3
    assert found.neighbours.shape == (16 * 4, 3, 32, 32)
    train = model.recipe.data.load("train", run.folder, Progress()).images
    first = (train.double() - found.neighbours[0].double()).square().sum((1, 2, 3)).argsort(stable=True)[:3]
    assert torch.equal(found.neighbours[1:4], train[first])
    record_generator(run, found, Progress())
    recorded = run.metrics()
    assert recorded["test"]["fid_5_clean"]["by_seed"] == list(fid.by_seed)
    assert recorded["test"]["fid_5_clean"]["gap_to_real"] == fid.gap_to_real
    assert recorded["train"]["fid_5_clean"]["value"] == to_train.value
    assert (run.folder / "samples/neighbours.png").is_file()
    # A quick look afterwards changes nothing of the record; one of more samplings replaces all of it.
    quick = evaluate_generator(model, run.folder, "test", lambda: extractors, Progress(), 50)
    record_generator(run, quick, said := tiny.Heard())
    assert run.metrics() == recorded
    assert "already holds test metrics of 60 images and 3 samplings" in said.messages[-1]
    run.write_metrics("test", {"of another time": {"n": 60, "value": 1, "by_seed": [1]}})
    again = evaluate_generator(model, run.folder, "test", lambda: extractors, Progress(), seeds=4)
    record_generator(run, again, Progress())
    assert "of another time" not in run.metrics()["test"]
    assert len(run.metrics()["test"]["fid_5_clean"]["by_seed"]) == 4


def test_tune_says_nothing_of_test_or_train(run, extractors):
    model = api.load(run.folder, "cpu")
    found = evaluate_generator(model, run.folder, "tune", lambda: extractors, Progress())
    assert set(found.sections) == {"tune"}
    assert found.sections["tune"]["fid_5_clean"].n == 54


def test_train_is_split_in_two_so_that_the_floor_is_of_other_images(run, extractors):
    model = api.load(run.folder, "cpu")
    model = replace(model, recipe=tiny.changed(model.recipe, {"data__tune": 0}))
    train = model.recipe.data.load("train", run.folder, Progress()).images
    seen = []
    listening = replace(projection(), function=lambda images: seen.append(images) or projection().function(images))
    found = evaluate_generator(model, run.folder, "train", lambda: replace(extractors, inception=listening), Progress())
    assert set(found.sections) == {"train"}
    n = len(train) // 2
    assert found.sections["train"]["fid_5_clean"].n == found.sections["train"]["fid_5_clean"].n_real == n
    known = {image.numpy().tobytes() for image in train}
    real, further = ({image.numpy().tobytes() for image in part} for part in seen[:2])
    assert len(real) == len(further) == n
    assert real < known
    assert further < known
    assert not real & further
    with pytest.raises(DataError, match=f"--count {n} at most"):
        evaluate_generator(model, run.folder, "train", lambda: extractors, Progress(), n + 1)


@pytest.mark.parametrize("tune", [0, 54])
def test_copying_is_measured_beside_images_that_were_not_trained_on_or_not_at_all(run, extractors, monkeypatch, tune):
    """On train every real image is its own nearest: a floor of 1.0 for "memorised" says nothing."""
    model = api.load(run.folder, "cpu")
    model = replace(model, recipe=tiny.changed(model.recipe, {"data__tune": tune}))
    copies = model.recipe.data.load("train", run.folder, Progress()).images
    monkeypatch.setattr(type(model), "sample", lambda *_, **__: copies[:54])
    with_judge = replace(extractors, classifier=open_classifier_extractor((3, 32, 32), torch.device("cpu")))
    for split in ("test", "tune" if tune else "train"):
        found = evaluate_generator(model, run.folder, split, lambda: with_judge, Progress(), 54).sections[split]
        of_copying = {name: one for name, one in found.items() if name.startswith(("memorised", "nearer"))}
        assert len(of_copying) == (0 if split == "train" else 4)
        for name, score in of_copying.items():
            assert score.value == 1, name
            assert score.real_baseline <= 0.5, name


def test_all_samples_can_be_of_one_class_or_of_none(run, extractors, monkeypatch):
    model, told = api.load(run.folder, "cpu"), []
    fake = model.sample(54, 0, Progress())
    monkeypatch.setattr(type(model), "sample", lambda self, n, seed, progress, labels: (told.append(labels), fake)[1])
    monkeypatch.setattr(type(model), "interpolate", lambda *_, **__: fake[:48].unflatten(0, (6, 8)))
    knowing = model.recipe.replace(net={"kind": "conditional-dcgan"}, task={"conditional": True})
    aware = replace(model, recipe=knowing)
    evaluate_generator(aware, run.folder, "tune", lambda: extractors, Progress())
    evaluate_generator(aware, run.folder, "tune", lambda: extractors, Progress(), class_name="")
    classes = len(model.recipe.data.classes)
    assert told[0].tolist() == [index % classes for index in range(54)]
    # This net was always told one, so that no class in particular is any of them.
    assert sorted(set(told[1].tolist())) == list(range(classes))
    assert told[1].tolist() != told[0].tolist()
    monkeypatch.undo()
    with pytest.raises(RecipeError, match="is not conditional"):
        evaluate_generator(model, run.folder, "tune", lambda: extractors, Progress(), class_name="")


def test_features_are_computed_once(run, tmp_path):
    calls = []
    extractors = FeatureExtractors(projection(calls), None, tmp_path / "cache")
    real, further = noise(60, 1), noise(60, 2)
    for expected in (180, 0):
        compare_sets(noise(60, 3), real, further, extractors, None, Progress())
        assert sum(calls) == expected
        calls.clear()


def test_too_few_and_too_many_images_are_refused_before_any_work(run, extractors):
    model = api.load(run.folder, "cpu")
    with pytest.raises(DataError, match="49 images of test are too few"):
        evaluate_generator(model, run.folder, "test", lambda: extractors, Progress(), 49)
    with pytest.raises(DataError, match="--count 60 at most"):
        evaluate_generator(model, run.folder, "test", lambda: extractors, Progress(), 61)
    with pytest.raises(ShoestringError, match="--seeds 0"):
        evaluate_generator(model, run.folder, "test", lambda: extractors, Progress(), seeds=0)
    assert not extractors.cache.exists()


def test_weights_that_are_not_finite_are_refused(run, extractors):
    model = api.load(run.folder, "cpu")
    next(model.nets["generator"].parameters()).data[0] = math.nan
    with pytest.raises(DivergedError, match="NaN"):
        evaluate_generator(model, run.folder, "test", lambda: extractors, Progress())


def test_samples_that_are_not_finite_are_refused(run, extractors):
    model = api.load(run.folder, "cpu")
    for weight in model.nets["generator"].parameters():
        weight.data *= 1e15
    with pytest.raises(DivergedError, match="generates images with NaN"):
        evaluate_generator(model, run.folder, "test", lambda: extractors, Progress())


def test_sets_of_another_size_or_type_are_refused(extractors):
    with pytest.raises(DataError, match="generated images are 3x16x16, real ones 3x32x32"):
        compare_sets(noise(60, 1, side=16), noise(60, 2), None, extractors, None, Progress())
    with pytest.raises(DataError, match="images for the baseline are 3x16x16, real ones 3x32x32"):
        compare_sets(noise(60, 1), noise(60, 2), noise(60, 3, side=16), extractors, None, Progress())
    with pytest.raises(DataError, match="must be uint8"):
        compare_sets(noise(60, 1).float(), noise(60, 2), None, extractors, None, Progress())
    with pytest.raises(DataError, match="10 images are too few"):
        compare_sets(noise(10, 1), noise(60, 2), None, extractors, None, Progress())


def test_unequal_counts_are_warned_of(extractors):
    heard = tiny.Heard()
    found = compare_sets(noise(60, 1), noise(90, 2), None, extractors, None, heard)
    assert (found["fid_5_clean"].n, found["fid_5_clean"].n_real) == (60, 90)
    assert any("--count 60" in message for message in heard.messages)
    found = compare_sets(noise(60, 1), noise(90, 2), None, extractors, 55, heard)
    assert (found["fid_5_clean"].n, found["fid_5_clean"].n_real) == (55, 55)


def test_the_judge_gives_the_classifiers_own_features_and_classes(classifier_run):
    model = api.load(classifier_run.folder, "cpu")
    judge = open_classifier_extractor(model.recipe.data.shape, torch.device("cpu"), classifier_run)
    images = noise(20, 1, side=8)
    features = judge.extractor(images)
    logits = model.logits(images)
    assert torch.allclose(judge.last(features), logits, atol=1e-5)
    assert torch.equal(judge.classes(features), logits.argmax(1))
    assert open_classifier_extractor((3, 28, 28), torch.device("cpu"), classifier_run) is None


def test_weights_of_another_net_are_no_judge(classifier_run, tmp_path):
    run = Run(tmp_path / "run")
    shutil.copytree(classifier_run.folder, run.folder)
    run.write_json("recipe.json", tiny.changed(Recipe.from_json(run.read_recipe()), {"net__stem": 5}).to_json())
    with pytest.raises(RunError, match=r"weights.safetensors does not fit .*recipe.json"):
        open_classifier_extractor((3, 8, 8), torch.device("cpu"), run)


@pytest.mark.parametrize(("split", "changes"), [("tune", {}), ("train", {"data__tune": 0})])
def test_the_fast_distance_to_what_is_held_out_or_else_to_train_is_logged_during_a_training(
    run, tmp_path, split, changes
):
    recipe = tiny.changed(Recipe.from_json(run.read_recipe()), {"cadence__evaluate": 1, "budget__steps": 2, **changes})
    logged = api.train(recipe, tmp_path / "run", device="cpu").log("distance")
    assert [record["step"] for record in logged] == [1, 2]
    images = recipe.data.load(split, tmp_path, Progress()).images
    count = min(len(images), 2000)
    assert all(record["n"] == count and record["to"] == split for record in logged)
    # By hand, of the final weights.
    model = api.load(tmp_path / "run", "cpu")
    judge = open_classifier_extractor((3, 32, 32), torch.device("cpu"))
    means, spreads = zip(
        *(
            (f.mean(0), f.T.cov())
            for f in (judge.extractor(i).double() for i in (images[:count], model.sample(count, 0, Progress())))
        ),
        strict=True,
    )
    root = torch.linalg.eigvals(spreads[0] @ spreads[1]).real.clamp(min=0).sqrt().sum()
    expected = (means[0] - means[1]).square().sum() + spreads[0].trace() + spreads[1].trace() - 2 * root
    assert logged[-1]["mean"]["cifar_resnet_fd"] == pytest.approx(float(expected), rel=1e-4)


def test_scores_are_plain_values(extractors):
    found = compare_sets(noise(60, 1), noise(60, 2), noise(60, 3), extractors, None, Progress())
    for name, score in found.items():
        assert dataclasses.is_dataclass(score), name
        assert score.to_json()["n"] > 0, name
