"""A user's net through everything that a shipped one goes through, and the run's copy of its code."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import own_parts
import pytest
import tiny
import torch
from torch import nn

from shoestring import api
from shoestring.core.errors import RecipeError, RunError
from shoestring.core.run import Run
from shoestring.core.trust import trust_file
from shoestring.recipes.lookup import recipe


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return own_parts.write(tmp_path)


def train(pictures: Path, file: Path, run: Path, name: str = "TinyNet", **changes: Any) -> Run:
    progress = changes.pop("progress", None)
    asked = recipe(tiny.classifier(pictures, **changes), net=f"{file}:{name}")
    return api.train(asked, run, device="cpu", progress=progress)


def test_a_run_keeps_its_code_and_answers_in_another_process_when_the_file_is_gone(
    tmp_path: Path, pictures: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = train(pictures, file, tmp_path / "run")
    source = hashlib.sha256(file.read_bytes()).hexdigest()
    assert (run.folder / "source" / "my_net.py").read_bytes() == file.read_bytes()
    record = run.read_json("source.json")["net"]
    assert (record["sha256"], record["kind"], record["origin"]) == (source, "my_net.py:TinyNet", str(file))
    assert trust_file().read_text() == f"{source} TinyNet\n"
    assert "my_net.py:TinyNet" in run.report_file.read_text()
    images = torch.randint(256, (3, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    before = api.load(run.folder, "cpu").logits(images)
    file.unlink()
    tiny.forget_code(monkeypatch)
    assert torch.equal(api.load(run.folder, "cpu").logits(images), before)
    assert torch.isfinite(api.load(run.folder, "cpu", ema_decay=0.9).logits(images)).all()
    assert len(api.predict(run.folder, next((pictures / "test" / "red").iterdir()), device="cpu")) == 1


def test_resuming_gives_the_same_bits(tmp_path: Path, pictures: Path, file: Path, monkeypatch: Any) -> None:
    whole = train(pictures, file, tmp_path / "whole")
    with pytest.raises(tiny.Crash):
        train(pictures, file, tmp_path / "cut", progress=tiny.Crashing(after=8))
    tiny.forget_code(monkeypatch)
    cut = train(pictures, file, tmp_path / "cut")
    for average in (None, 0.9):
        before, after = whole.read_weights(average), cut.read_weights(average)
        assert before.keys() == after.keys()
        assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())


@pytest.mark.parametrize("name", ["timm_style", "Attention"])
def test_other_ways_to_write_nets_train_too(name: str, tmp_path: Path, pictures: Path, file: Path) -> None:
    assert train(pictures, file, tmp_path / "run", name).metrics()["tune"]["accuracy"]["n"] == 6


def test_a_file_that_changed_since(tmp_path: Path, pictures: Path, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = train(pictures, file, tmp_path / "run")
    images = torch.zeros(1, 3, 8, 8)
    before = api.load(run.folder, "cpu").logits(images)
    file.write_text(file.read_text().replace("* self.scale", "* 0"))
    tiny.forget_code(monkeypatch)
    heard = tiny.Heard()
    assert torch.equal(api.load(run.folder, "cpu", progress=heard).logits(images), before)
    copy = run.folder / "source" / "my_net.py"
    assert heard.messages == [f"{file} has changed since {run.folder} was trained; the run's own copy is used, {copy}"]
    with pytest.raises(RunError, match=r"was trained with another my_net.py:TinyNet, which has changed since. To"):
        train(pictures, file, run.folder)
    assert train(pictures, copy, run.folder).finished()
    assert run.read_json("source.json")["net"]["origin"] == str(file)


def test_code_that_nobody_allowed_does_not_run(
    tmp_path: Path, pictures: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = tmp_path / "ran"
    file.write_text(f"open({str(ran)!r}, 'w').close()\n{file.read_text()}")
    run = train(pictures, file, tmp_path / "run")
    ran.unlink()
    trust_file().unlink()
    tiny.forget_code(monkeypatch)
    image = next((pictures / "test" / "red").iterdir())
    for ask in (
        lambda: api.load(run.folder, "cpu"),
        lambda: api.predict(run.folder, image, device="cpu"),
        lambda: api.evaluate(run.folder, "tune", device="cpu"),
        lambda: recipe(run.recipe_file),
    ):
        with pytest.raises((RunError, RecipeError), match=r"which you have not allowed|that you have not allowed"):
            ask()
    with pytest.raises(RunError, match=f"shoestring trust {run.folder}"):
        api.load(run.folder, "cpu")
    api.write_report([run])
    assert not ran.exists()
    assert api.predict(run.folder, image, device="cpu", trust_code=True)
    assert ran.exists()
    tiny.forget_code(monkeypatch)
    with pytest.raises(RunError):
        api.load(run.folder, "cpu")
    assert [kept.kind for kept in api.trust(run.folder)] == ["my_net.py:TinyNet"]
    tiny.forget_code(monkeypatch)
    api.load(run.folder, "cpu")


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "os:system"},
        {"kind": "my_net.py:timm_style"},
        {"source": ""},
        {"source": "0" * 64},
        {"kind": "torch.optim:SGD"},
        {"kind": "torch.optim:lr_scheduler.warnings.sys.exit", "source": ""},
        {"kind": "my_net.py:TinyNet\n0 Other"},
    ],
)
def test_a_recipe_that_was_tampered_with_runs_nothing(
    change: dict[str, str], tmp_path: Path, pictures: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = train(pictures, file, tmp_path / "run")
    values = run.read_recipe()
    run.write_json("recipe.json", values | {"net": values["net"] | change})
    tiny.forget_code(monkeypatch)
    with pytest.raises((RunError, RecipeError)):
        api.load(run.folder, "cpu")


def test_a_copy_that_was_edited_is_refused(tmp_path: Path, pictures: Path, file: Path) -> None:
    run = train(pictures, file, tmp_path / "run")
    copy = run.folder / "source" / "my_net.py"
    copy.write_text(copy.read_text() + "# edited\n")
    with pytest.raises(RunError, match=r"source/my_net.py is not the code that the run was trained with"):
        api.load(run.folder, "cpu")


class InNotebook(nn.Module):
    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.net = nn.Linear(192, num_classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.net(images.flatten(1))


def test_a_class_of_a_notebook_is_asked_for_again(
    tmp_path: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(InNotebook, "__module__", "__main__")
    run = api.train(tiny.classifier(pictures), tmp_path / "run", device="cpu", net=InNotebook)
    assert "class InNotebook" in (run.folder / "source" / "InNotebook.py").read_text()
    assert api.load(run.folder, "cpu").recipe.net.kind == "__main__:InNotebook"
    tiny.forget_code(monkeypatch)
    with pytest.raises(RunError, match=r"InNotebook of a notebook or script .*: run that again, and"):
        api.load(run.folder, "cpu")
    assert api.load(run.folder, "cpu", net=InNotebook).logits(torch.zeros(1, 3, 8, 8)).shape == (1, 3)
    assert api.predict(run.folder, next((pictures / "test" / "red").iterdir()), device="cpu")
    with pytest.raises(RunError, match="needs no task to be given"):
        api.load(run.folder, "cpu", task=InNotebook)


def test_a_recipe_file_names_code_beside_it(tmp_path: Path, pictures: Path, file: Path) -> None:
    values = tiny.classifier(pictures).to_json() | {"net": {"kind": "my_net.py:TinyNet", "options": {"width": 3}}}
    asked = file.parent / "mine.toml"
    asked.write_text(tiny.toml(values))
    assert recipe(asked).to_json()["net"]["options"]["width"] == 3


def test_the_command_line_trains_trusts_and_asks(tmp_path: Path, pictures: Path, file: Path) -> None:
    asked = tmp_path / "mine.toml"
    asked.write_text(tiny.toml(tiny.classifier(pictures).to_json()))
    run, image = tmp_path / "a run", next((pictures / "test" / "red").iterdir())

    def shoestring(*words: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-W", "error", "-m", "shoestring", *map(str, words)]
        return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path)

    net = ("--net", file.relative_to(tmp_path), "--net.options.width", 5)
    refused = shoestring("train", asked, "--net", f"{net[1]}:TinyNte", "--run", run)
    assert (refused.returncode, refused.stderr) == (
        1,
        "error: my_net.py:TinyNte: unknown name 'TinyNte'; did you mean 'TinyNet'?\n",
    )
    done = shoestring("train", asked, "--net", f"{net[1]}:TinyNet", *net[2:], "--run", run, "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads((run / "recipe.json").read_text())["net"]["options"] == {"width": 5, "dropout": 0.1}
    trust_file().unlink()
    refused = shoestring("predict", run, image)
    assert refused.returncode == 1
    assert f"shoestring trust {run}" in refused.stderr
    shown = shoestring("trust", run)
    source = hashlib.sha256(file.read_bytes()).hexdigest()
    assert source in shown.stdout
    assert "import torch" in shown.stdout
    assert shoestring("predict", run, image, "--json").returncode == 0
    assert "--net.options.dropout" in shoestring("train", asked, "--net", f"{net[1]}:TinyNet", "--help").stdout


def test_only_optimisers_of_torch_need_no_word(pictures: Path) -> None:
    """Not what else can be reached from there by dots, nor what is none."""
    start = tiny.classifier(pictures)
    assert recipe(start, optimiser=torch.optim.SGD).to_json()["optimiser"]["kind"] == "torch.optim:SGD"
    for part, kind in (("optimiser", "torch.optim:lr_scheduler.warnings.sys.exit"), ("net", "torch.optim:SGD")):
        with pytest.raises(RecipeError, match="not allowed"):
            recipe(start, **{part: {"kind": kind, "source": "0" * 64}})
