"""Numbers that cannot be are refused before data is read, weights are loaded or a feature is computed."""

from pathlib import Path

import numpy as np
import pytest

from shoestring import api
from shoestring.cli.main import main
from shoestring.core.errors import DataError, RecipeError, ShoestringError
from shoestring.core.progress import Progress
from shoestring.core.run import Run


def forbid(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    for name in names:
        monkeypatch.setattr(name, lambda *_, called=name, **__: pytest.fail(f"{called} was called"))


IMPOSSIBLE = [
    ({"count": -5}, "--count -5: a distance needs at least 50"),
    ({"count": 0}, "--count 0"),
    ({"count": 49}, "--count 49"),
    ({"dimensions": 100}, "--dimensions 100: Inception's features have 64 or 192 or 768 or 2048"),
    ({"resizing": "nearest"}, "--resizing nearest: Inception's features have clean or legacy"),
]


@pytest.mark.parametrize(("options", "said"), [*IMPOSSIBLE, ({"seeds": 0}, "--seeds 0"), ({"seeds": -1}, "--seeds -1")])
def test_evaluate_refuses_impossible_numbers_first(gan_run: Run, monkeypatch, options, said: str) -> None:
    forbid(monkeypatch, "shoestring.evaluation.evaluate.load", "shoestring.evaluation.evaluate.open_extractors")
    with pytest.raises(ShoestringError, match=said):
        api.evaluate(gan_run.folder, "test", device="cpu", **options)


@pytest.mark.parametrize(("options", "said"), IMPOSSIBLE)
def test_compare_images_refuses_them_first(monkeypatch, options, said: str) -> None:
    forbid(monkeypatch, "shoestring.evaluation.compare.read_set", "shoestring.evaluation.compare.open_extractors")
    with pytest.raises(DataError, match=said):
        api.compare_images("here", "there", **options)


def test_options_of_generators_are_refused_for_classifiers_whatever_their_value(classifier_run: Run) -> None:
    with pytest.raises(RecipeError, match="count is for generators"):
        api.evaluate(classifier_run.folder, "tune", count=-5)


@pytest.mark.parametrize("side", [4, 7])
def test_images_too_small_or_too_few_are_refused_before_the_extractors_are_opened(tmp_path, monkeypatch, side) -> None:
    forbid(monkeypatch, "shoestring.evaluation.compare.open_extractors")
    for name in ("made", "real"):
        np.save(tmp_path / f"{name}.npy", np.zeros((60, 3, side, 9), np.uint8))
        np.save(tmp_path / f"large-{name}.npy", np.zeros((60, 3, 9, 9), np.uint8))
    with pytest.raises(DataError, match=f"{side} x 9 pixels; at least 8 x 8"):
        api.compare_images(tmp_path / "made.npy", tmp_path / "real.npy")
    with pytest.raises(DataError, match="--count 61: the smaller of the two sets has 60"):
        api.compare_images(tmp_path / "large-made.npy", tmp_path / "large-real.npy", count=61)


def test_a_run_of_too_few_images_is_refused_before_the_extractors_are_opened(
    gan_run: Run, monkeypatch, tmp_path
) -> None:
    forbid(monkeypatch, "shoestring.evaluation.evaluate.open_extractors")
    with pytest.raises(DataError, match="15 images of test are too few"):
        api.evaluate(gan_run.folder, "test", tmp_path, "cpu")
    with pytest.raises(DataError, match="60 images were asked for, but test has 15"):
        api.evaluate(gan_run.folder, "test", tmp_path, "cpu", count=60)


@pytest.mark.parametrize("count", [0, -5])
def test_sample_interpolate_and_predict_refuse_counts_below_one(
    gan_run: Run, classifier_run: Run, pictures: Path, monkeypatch, count: int, capsys
) -> None:
    model = api.load(gan_run.folder, "cpu")
    forbid(monkeypatch, "shoestring.api.samples.load", "shoestring.model.generator.Generator.decode")
    for call, said in (
        (lambda: api.sample(gan_run.folder, count), f"--count {count}"),
        (lambda: model.sample(count, 0, Progress()), f"--count {count}"),
        (lambda: model.interpolate(count, 3, 0, Progress()), f"--pairs {count}"),
        (lambda: model.interpolate(2, 1, 0, Progress()), "--steps 1: give a whole number of at least 2"),
        (lambda: api.predict(classifier_run.folder, [pictures / "test" / "red" / "00.png"], count), f"--top {count}"),
    ):
        with pytest.raises(ShoestringError, match=said):
            call()
    folder = str(gan_run.folder)
    for words in (["sample", folder, "--count"], ["sample", folder, "--columns"], ["interpolate", folder, "--pairs"]):
        assert main([*words, str(count), "--json"]) == 1
        assert f"{words[-1]} {count}: give a whole number of at least 1" in capsys.readouterr().err
