"""What a trained model takes for images, in which batches, and that it never answers with NaN."""

import math
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import tiny
import torch
from torch import Tensor, nn

from shoestring import api
from shoestring.cli.main import main
from shoestring.core.errors import DataError, DivergedError
from shoestring.core.progress import Progress
from shoestring.core.run import Run
from shoestring.data.dataset import normalise
from shoestring.model.classifier import Classifier
from shoestring.model.pixels import BATCH, SMALL_BATCH


@pytest.fixture
def model(classifier_run: Run) -> Classifier:
    return api.load(classifier_run.folder, "cpu")


def images(model: Classifier, split: str = "test") -> Tensor:
    return model.recipe.data.load(split, Path(), Progress()).images


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16])
def test_floats_from_0_to_1_are_the_same_pixels_as_bytes(model: Classifier, dtype: torch.dtype) -> None:
    pixels = images(model)
    expected = model.logits(pixels)
    tolerance = 0.05 if dtype == torch.float16 else 1e-5
    torch.testing.assert_close(model.logits((pixels / 255).to(dtype)), expected, atol=tolerance, rtol=tolerance)
    normalised = normalise(pixels, model.recipe.data)
    torch.testing.assert_close(model.logits_of_normalised(normalised), expected)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda x: normalise(x, tiny.classifier(Path()).data), r"float32 from -\d\S* to .*logits_of_normalised"),
        (lambda x: x.float(), r"from 0 to 2\d\d; give uint8 in 0\.\.255, or floats in 0\.\.1"),
        (lambda x: x / 255 - 0.5, r"from -0\.5 to"),
        (lambda x: (x / 255).index_fill(0, torch.tensor([3]), math.nan), "nan"),
        (lambda x: (x / 255).index_fill(0, torch.tensor([3]), math.inf), "inf"),
        (lambda x: x.long(), r"int64; .*to\(torch\.uint8\)"),
        (lambda x: x[0], r"\(3, 8, 8\), but this net takes \(n, 3, 8, 8\).*image\[None\]"),
        (lambda x: x[:, :1], r"\(15, 1, 8, 8\), but"),
        (lambda x: x.permute(0, 2, 3, 1), r"\(15, 8, 8, 3\), but"),
        (lambda x: x[..., :7], r"\(15, 3, 8, 7\), but"),
    ],
)
def test_anything_else_is_one_clear_error(model: Classifier, gan_run: Run, change, said: str) -> None:
    with pytest.raises(DataError, match=said):
        model.logits(change(images(model)))
    gan = api.load(gan_run.folder, "cpu")
    with pytest.raises(DataError, match=r"this net takes|the images are"):
        gan.score(change(images(model)))


def test_no_net_ever_sees_more_than_a_batch_and_all_images_are_answered(model: Classifier, gan_run: Run) -> None:
    seen: list[int] = []
    hook = nn.modules.module.register_module_forward_pre_hook(lambda _, given: seen.append(len(given[0])))
    pixels = images(model).repeat(8, 1, 1, 1)[: 2 * SMALL_BATCH + 7]
    try:
        together = model.logits(pixels)
        gan = api.load(gan_run.folder, "cpu")
        assert gan.score(gan.sample(len(pixels), 0, Progress())).shape == (len(pixels),)
    finally:
        hook.remove()
    assert max(seen) == SMALL_BATCH
    torch.testing.assert_close(together, torch.cat([model.logits(pixel[None]) for pixel in pixels]))
    assert model.logits(pixels[:0]).shape == (0, 3)


def test_predict_holds_the_images_of_a_batch_of_files(classifier_run: Run, pictures: Path, monkeypatch) -> None:
    given: list[int] = []
    logits = Classifier.logits
    monkeypatch.setattr(Classifier, "logits", lambda self, pixels: (given.append(len(pixels)), logits(self, pixels))[1])
    files = [pictures / "test" / name / "00.png" for name in tiny.CLASSES] * 200
    found = api.predict(classifier_run.folder, files, device="cpu")
    assert given == [BATCH, 100]
    assert [one["image"] for one in found] == [str(file) for file in files]
    assert found[:3] == found[-3:]


def broken(run: Run, folder: Path, name: str) -> Run:
    """A copy of a run with NaN in the weights of one net."""
    copy = Run(shutil.copytree(run.folder, folder))
    weights = copy.read_weights()
    spoilt = {key: tensor * math.nan if key.startswith(name) else tensor for key, tensor in weights.items()}
    copy.write_weights(spoilt, {})
    return copy


def test_weights_with_nan_are_refused_by_every_verb_and_nothing_is_printed(
    classifier_run: Run, gan_run: Run, pictures: Path, tmp_path: Path, capsys
) -> None:
    classifier = broken(classifier_run, tmp_path / "classifier", "classifier")
    gan = broken(gan_run, tmp_path / "gan", "generator")
    picture = str(pictures / "test" / "red" / "00.png")
    out = ["--out", str(tmp_path / "made.png")]
    for words in (
        ["predict", str(classifier.folder), picture],
        ["evaluate", str(classifier.folder)],
        ["sample", str(gan.folder), *out],
        ["interpolate", str(gan.folder), *out],
    ):
        assert main([*words, "--json", "--device", "cpu"]) == 1, words
        said = capsys.readouterr()
        assert said.out == ""
        assert "NaN or infinity" in said.err
        assert "Traceback" not in said.err
    assert not (tmp_path / "made.png").exists()


def test_a_discriminator_with_nan_is_refused_whatever_it_does(gan_run: Run, tmp_path: Path) -> None:
    run = broken(gan_run, tmp_path / "gan", "discriminator")
    model = api.load(run.folder, "cpu")
    assert model.sample(2, 0, Progress()).shape == (2, 3, 32, 32)
    with pytest.raises(DivergedError, match="scores with NaN"):
        model.score(model.sample(2, 0, Progress()))
    recipe = tiny.changed(model.recipe, {"budget__nfe": 100})
    with pytest.raises(DivergedError, match="generates images with NaN"):
        replace(model, recipe=recipe).with_sampling({"pixel_ascent_steps": 1}).sample(2, 0, Progress())


def test_digits_of_a_net_with_nan_are_refused(monkeypatch) -> None:
    from test_predict import model as reader_of

    class Broken(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.full((len(x), 20), math.nan)

        def digits(self, x: Tensor) -> Tensor:
            return torch.full((len(x), 3, 10), math.nan)

    for answer in (reader_of(Broken()).digits, reader_of(Broken()).logits):
        with pytest.raises(DivergedError, match="NaN or infinity"):
            answer(torch.zeros(2, 3, 28, 28))


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_no_json_is_never_written(tmp_path: Path, capsys, value: float) -> None:
    from shoestring.cli.display import Display

    run = Run(tmp_path)
    for write in (
        lambda: Display(as_json=True).result({"value": value}),
        lambda: run.write_json("metrics.json", {"value": value}),
        lambda: run.append_log([{"step": 1, "kind": "train", "mean": {"loss": value}}]),
    ):
        with pytest.raises(ValueError, match="not JSON compliant"):
            write()
    assert capsys.readouterr().out == ""
    assert run.log() == []
    assert list(tmp_path.glob("*.json")) == []
