"""A model that left answers as it did, and says so; what cannot leave is refused, and nothing is left behind."""

import importlib.util
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tiny
import torch

import shoestring
from shoestring import api
from shoestring.cli import main
from shoestring.core.errors import DataError, ExportError, RunError
from shoestring.core.progress import Progress
from shoestring.core.run import Run
from shoestring.exporting import export as exporting
from shoestring.exporting import onnx_file, probe
from shoestring.exporting.exportable import exportable
from shoestring.integers import integer_file
from shoestring.integers.simulation import integer_logits
from shoestring.model.generator import Generator
from shoestring.model.load import load

needs_onnx = pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("onnx", "onnxscript", "onnxruntime")),
    reason="the extra is not installed: pip install 'shoestring[onnx]'",
)
LIKE_RUNTIMES = [pytest.param("onnx", marks=needs_onnx), "torch"]


@pytest.fixture(autouse=True)
def fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "SECONDS", 0.0)
    monkeypatch.setattr(exporting, "COMPARED", 70)  # more than a batch


@pytest.fixture
def untimed(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests of other things than speed: a process that loads torch takes seconds."""
    monkeypatch.setattr(exporting, "_speed", lambda *_: [])


def record_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "export.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("form", LIKE_RUNTIMES)
def test_a_classifier_answers_the_same(form: Any, classifier_run: Run, tmp_path: Path) -> None:
    folder = api.export(classifier_run.folder, form, tmp_path / "out")
    record = record_of(folder)
    assert record["parity"]["n"] == 15  # all of test
    assert record["parity"]["inputs"] == "test"
    assert record["parity"]["differing"] == 0
    assert record["parity"]["largest"] < 1e-4
    model = load(classifier_run, "cpu")
    test = model.recipe.data.load("test", tmp_path, Progress())
    right = (model.logits(test.images).argmax(1) == test.labels).double().mean()
    assert record["accuracy"]["before"]["value"] == pytest.approx(float(right))
    assert record["accuracy"]["difference"]["value"] == 0
    assert [row["batch"] for row in record["speed"]] == [1, 64]
    assert all(row["milliseconds"]["median"] > 0 for row in record["speed"])
    assert {row["clock"] for row in record["speed"]} == {probe.CLOCK}
    assert record["classes"] == ["blue", "green", "red"]
    assert record["inputs"] == [{"name": "images", "dtype": "uint8", "shape": [3, 8, 8]}]
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        ["export.json", "export.html", *(file["name"] for file in record["files"])]
    )
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("form", LIKE_RUNTIMES)
def test_a_generator_makes_the_same(form: Any, gan_run: Run, tmp_path: Path) -> None:
    record = record_of(api.export(gan_run.folder, form, tmp_path / "out"))
    assert record["kind"] == "generator"
    assert record["parity"]["n"] == 70
    assert record["parity"]["differing"] is None
    assert record["parity"]["largest"] < 1e-4
    assert "accuracy" not in record
    assert record["sampler"] == {"latent": [4]}


@pytest.mark.parametrize("truncation", [1.0, 0.5])
def test_images_of_a_generator_are_the_models_pixels(truncation: float, gan_run: Run) -> None:
    sampling = {"truncation": truncation}
    model = load(gan_run, "cpu")
    assert isinstance(model, Generator)
    found = exportable(model.with_sampling(sampling))
    normal = model.latents(6, seed=3)
    pixels = (255 * found.net(normal)).round().to(torch.uint8)
    assert torch.equal(pixels, api.sample(gan_run.folder, count=6, seed=3, device="cpu", sampling=sampling))
    assert found.reference((normal,)).allclose(found.net(normal), atol=1e-5)


@pytest.mark.usefixtures("untimed")
def test_a_program_needs_torch_alone(classifier_run: Run, tmp_path: Path) -> None:
    file = api.export(classifier_run.folder, "torch", tmp_path / "out") / "model.pt2"
    images = torch.randint(0, 256, (3, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    np.save(tmp_path / "images.npy", images.numpy())
    code = (
        "import sys, numpy, torch\n"
        "sys.modules['shoestring'] = None\n"
        f"net = torch.export.load({str(file)!r}).module()\n"
        f"answers = net(torch.from_numpy(numpy.load({str(tmp_path / 'images.npy')!r})))\n"
        f"numpy.save({str(tmp_path / 'answers.npy')!r}, answers.detach().numpy())\n"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True)
    expected = shoestring.load(classifier_run.folder, "cpu").logits(images)
    assert np.allclose(np.load(tmp_path / "answers.npy"), expected.numpy(), atol=1e-4)


@pytest.mark.usefixtures("untimed")
def test_a_classifier_of_several_views_leaves_as_it_answers_by_one(classifier_run: Run, tmp_path: Path) -> None:
    run, heard = Run(shutil.copytree(classifier_run.folder, tmp_path / "run")), tiny.Heard()
    once = api.evaluate(run.folder, "test", device="cpu")["accuracy"].value
    api.promote(run.folder, device="cpu", views=3)
    folder = api.export(run.folder, "torch", tmp_path / "out", progress=heard)
    assert any("answers by 3 views of an image; what is exported answers by one" in said for said in heard.messages)
    accuracy = record_of(folder)["accuracy"]
    assert accuracy["before"]["value"] == accuracy["after"]["value"] == once
    assert "test images" not in page_of(run, tmp_path / "unmeasured")
    api.evaluate(run.folder, "test", device="cpu", views=1)
    assert f"right on {100 * once:.1f} % of" in page_of(run, tmp_path / "measured")


def page_of(run: Run, out: Path) -> str:
    return next(api.export(run.folder, "web", out, force=True).glob("*.html")).read_text()


@needs_onnx
def test_an_onnx_file_is_small_and_says_nothing_of_this_machine(classifier_run: Run, tmp_path: Path) -> None:
    file = api.export(classifier_run.folder, "onnx", tmp_path / "out") / "model.onnx"
    assert file.stat().st_size < classifier_run.weights_file.stat().st_size + 25 * 1024
    assert str(Path(shoestring.__file__).parent).encode() not in file.read_bytes()
    import onnx

    model = onnx.load(file)
    assert [(one.domain, one.version) for one in model.opset_import] == [("", 18)]
    assert model.graph.input[0].type.tensor_type.shape.dim[0].dim_param == "batch"
    told = json.loads({one.key: one.value for one in model.metadata_props}["shoestring"])
    assert told["classes"] == ["blue", "green", "red"]


def test_integers_are_what_was_measured(classifier_run: Run, tmp_path: Path) -> None:
    folder = api.export(classifier_run.folder, "int8", tmp_path / "out", force=True)
    record = record_of(folder)
    net = integer_file.read(folder / "model.int8.safetensors.gz")
    model = load(classifier_run, "cpu")
    test = model.recipe.data.load("test", tmp_path, Progress())
    right = integer_logits(net, test.images.numpy()).argmax(1) == test.labels.numpy()
    assert record["accuracy"]["after"]["value"] == right.mean()
    assert record["speed"] == []
    assert record["limits"]["weight_bytes"] > 0


@needs_onnx
def test_int8_as_onnx_answers_almost_as_the_simulation(classifier_run: Run, tmp_path: Path) -> None:
    record = record_of(api.export(classifier_run.folder, "onnx-int8", tmp_path / "out", force=True))
    assert [file["name"] for file in record["files"]] == ["model.int8.onnx"]
    assert record["simulation"]["n"] == 200
    assert record["simulation"]["differing"] <= 4
    assert record["accuracy"]["after"]["n"] == 15
    assert [row["batch"] for row in record["speed"]] == [1, 64]
    assert "against the simulation" in (tmp_path / "out" / "export.html").read_text(encoding="utf-8")


@pytest.mark.usefixtures("untimed")
def test_a_gan_says_what_one_call_is_worth(gan_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fid = {"value": 0.5, "n": 10_000}
    monkeypatch.setattr(Run, "metrics", lambda _: {"test": {"fid_768_clean": fid, "recall": fid}})
    record = record_of(api.export(gan_run.folder, "torch", tmp_path / "one"))
    assert record["calls"] == 1
    assert record["scores"] == {"one_call": {"fid_768_clean": fid}}
    folder = tmp_path / "run"
    shutil.copytree(gan_run.folder, folder)
    recipe = json.loads((folder / "recipe.json").read_text())
    recipe["task"]["sampling"] = recipe["task"].get("sampling", {}) | {"pixel_ascent_steps": 3}
    recipe["budget"]["nfe"] = 10
    (folder / "recipe.json").write_text(json.dumps(recipe))
    run = Run(folder)
    run.write_json("environment.json", run.environment() | {"nfe": 4})
    run.write_one_call_metrics("test", {"fid_768_clean": fid | {"value": 0.75}})
    out = api.export(folder, "torch", tmp_path / "two")
    assert record_of(out)["scores"]["one_call"] == {"fid_768_clean": fid | {"value": 0.75}}
    assert record_of(out)["scores"]["own_sampling"] == {"fid_768_clean": fid}
    page = (out / "export.html").read_text(encoding="utf-8")
    assert "FID by one call of the net, which left" in page
    assert "0.75" in page
    assert f"sampling, {record_of(out)['calls']} calls" in page


@pytest.mark.usefixtures("untimed")
def test_a_runs_report_lists_its_exports(classifier_run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "run"
    shutil.copytree(classifier_run.folder, folder)
    api.export(folder, "torch")
    (folder / "exports" / "web").mkdir()
    (folder / "exports" / "web" / "export.json").write_text("{")  # one that is being written
    text = api.write_report([folder]).read_text(encoding="utf-8")
    assert 'href="exports/torch/export.html">torch.export program</a>' in text
    assert text.count("exports/") == 1
    assert "of other weights" not in text
    weights = Run(folder).weights_file
    weights.write_bytes(weights.read_bytes()[:-1] + b"!")
    assert "of other weights" in api.write_report([folder]).read_text(encoding="utf-8")
    (folder / "exports" / "web" / "export.json").write_text('{"form": "web", "files": []}')
    with pytest.raises(RunError, match=r"(?s)web/export.json is damaged.*files"):
        api.write_report([folder])


def test_c_comes_with_its_test(classifier_run: Run, tmp_path: Path) -> None:
    folder = api.export(classifier_run.folder, "c", tmp_path / "out", force=True)
    files = [file["name"] for file in record_of(folder)["files"]]
    assert files == [f"tiny_classifier{end}" for end in (".c", ".h", "_test.c", ".md")]


@pytest.mark.parametrize("form", ["int8", "onnx-int8", "c"])
def test_integers_are_for_classifiers(form: Any, gan_run: Run, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"tiny-gan makes images; .* --to onnx, --to torch or --to web"):
        api.export(gan_run.folder, form, tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_what_answers_otherwise_is_not_written(
    classifier_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exporting, "TOLERANCE", -1.0)
    with pytest.raises(ExportError, match=r"the torch.export program does not answer as tiny-classifier .* image \d+"):
        api.export(classifier_run.folder, "torch", tmp_path / "out")
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("untimed")
def test_without_test_images_made_up_ones_are_compared(
    classifier_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: object) -> None:
        raise DataError("the folder is gone")

    monkeypatch.setattr(exporting, "load_split", gone)
    record = record_of(api.export(classifier_run.folder, "torch", tmp_path / "out"))
    assert record["parity"]["inputs"] == "made-up inputs"
    assert record["parity"]["n"] == 70
    assert "accuracy" not in record


def test_an_unfinished_run_is_refused(classifier_run: Run, tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "recipe.json").write_bytes(classifier_run.recipe_file.read_bytes())
    with pytest.raises(RunError, match="is not finished; run the same `train` command again"):
        api.export(tmp_path / "run", "torch")


def test_a_missing_extra_is_named(classifier_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise ImportError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(onnx_file, "import_module", absent)
    with pytest.raises(ExportError, match=r"ONNX needs onnx, .*: pip install 'shoestring\[onnx\]'"):
        api.export(classifier_run.folder, "onnx", tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_forms_and_folders_are_checked_first(classifier_run: Run, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="unknown form 'onx'; did you mean 'onnx'"):
        api.export(classifier_run.folder, "onx")  # pyright: ignore[reportArgumentType]
    (tmp_path / "out").touch()
    with pytest.raises(ExportError, match="is a file; an export is a folder"):
        api.export(classifier_run.folder, "torch", tmp_path / "out")


@pytest.mark.usefixtures("untimed")
def test_the_verb_says_what_was_checked(
    classifier_run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["export", str(classifier_run.folder), "--to", "torch", "--out", str(tmp_path / "out")]
    assert main([*words, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told == {"folder": str(tmp_path / "out")} | record_of(tmp_path / "out")
    assert main(words) == 0
    shown = capsys.readouterr().out
    assert "0 of 15 answers differ" in shown
    assert "+0.00 points" in shown


def test_a_demo_opens_the_page_and_makes_it_only_once(
    classifier_run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", lambda url: opened.append(url) or True)
    folder = api.export(classifier_run.folder, "web", tmp_path / "web", force=True)
    page = folder / "index.html"
    before = page.stat().st_mtime_ns
    assert main(["demo", str(classifier_run.folder), "--out", str(folder)]) == 0
    assert opened == [page.as_uri()]
    assert page.stat().st_mtime_ns == before
    assert exporting.is_current(folder, classifier_run)
    page.write_text("another page")
    assert not exporting.is_current(folder, classifier_run)
