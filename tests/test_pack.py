"""A packed run is taken wherever a run is."""

import json
import shutil
from pathlib import Path

import pytest
import tiny
import torch

from shoestring import api
from shoestring.cli.main import main
from shoestring.core.errors import RunError, ShoestringError
from shoestring.core.run import Run


def test_a_packed_classifier_answers_is_measured_and_reported_like_its_run(
    classifier_run: Run, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
) -> None:
    monkeypatch.chdir(tmp_path)
    run = Run(shutil.copytree(classifier_run.folder, tmp_path / "run"))
    assert main(["pack", "run", "--out", "mine.safetensors", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["bytes"] == Path("mine.safetensors").stat().st_size
    picture = pictures / "test" / "red" / "00.png"
    assert api.predict("mine.safetensors", picture) == api.predict(classifier_run.folder, picture)
    heard = tiny.Heard()
    before = api.load("mine.safetensors", "cpu")
    found = api.evaluate("mine.safetensors", "test", device="cpu", progress=heard)
    assert found["accuracy"].value == api.evaluate(run.folder, "test", device="cpu")["accuracy"].value
    assert any(line.startswith("not recorded: mine is shipped or packed") for line in heard.messages)
    assert main(["report", "mine.safetensors"]) == 0
    assert "tiny-classifier" in Path("mine.html").read_text()
    folder = api.export("mine.safetensors", "torch")
    assert folder == Path("mine-torch")
    images = torch.randint(0, 256, (2, 3, 8, 8), dtype=torch.uint8)
    assert torch.equal(before.logits(images), api.load(classifier_run.folder, "cpu").logits(images))
    with pytest.raises(RunError, match="is shipped, packed or of the hub; copy"):
        api.promote("mine.safetensors", 0.9, "cpu")


def test_a_packed_generator_samples_like_its_run(gan_run: Run, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    file = api.pack(gan_run.folder)
    assert file == Path(f"{gan_run.name}.safetensors")
    assert main(["sample", str(file), "--count", "2", "--out", "two.png"]) == 0  # its options are found in the file
    assert torch.equal(api.sample(file, 4, device="cpu"), api.sample(gan_run.folder, 4, device="cpu"))


def test_another_ending_is_refused(classifier_run: Run, tmp_path: Path) -> None:
    with pytest.raises(ShoestringError, match=r"packed as .safetensors or .onnx"):
        api.pack(classifier_run.folder, tmp_path / "mine.zip")


def test_code_in_a_packed_run_is_not_run_unless_allowed(pictures: Path, tmp_path: Path, monkeypatch) -> None:
    net = tmp_path / "mean_net.py"
    net.write_text(
        "from torch import nn\n\n\n"
        "class MeanNet(nn.Module):\n"
        "    def __init__(self, in_channels, num_classes):\n"
        "        super().__init__()\n"
        "        self.linear = nn.Linear(in_channels, num_classes)\n\n"
        "    def forward(self, x):\n"
        "        return self.linear(x.mean((2, 3)))\n"
    )
    asked = tiny.classifier(pictures, net=f"{net}:MeanNet", budget__steps=2)
    file = api.pack(api.train(asked, tmp_path / "own", device="cpu").folder, tmp_path / "own.safetensors")
    net.unlink()
    tiny.forget_code(monkeypatch)
    monkeypatch.setenv("SHOESTRING_TRUST", str(tmp_path / "nobody"))
    with pytest.raises(RunError, match="which you have not allowed to run"):
        api.load(file, "cpu")
    model = api.load(file, "cpu", trust_code=True)
    assert model.logits(torch.zeros(1, 3, 8, 8, dtype=torch.uint8)).shape == (1, 3)


def test_a_net_of_ones_own_can_be_packed_as_onnx(classifier_run: Run, tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx", reason="the extra onnx is not installed")
    pytest.importorskip("onnxscript")
    file = api.pack(classifier_run.folder, tmp_path / "mine.onnx")
    assert file.read_bytes() == api.pack(classifier_run.folder, tmp_path / "again.onnx").read_bytes()
    (entry,) = onnx.load(str(file)).metadata_props
    record = json.loads(entry.value)["run"]
    assert record["files"]["recipe.json"]["name"] == "tiny-classifier"
