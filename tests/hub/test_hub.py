"""Runs to the hub and back: the real client library, a stand-in of the hub."""

import importlib
import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import tiny
import torch
from stand_in import TOKEN, Hub, serving
from test_docs_site import ROOT, commands

import shoestring
from shoestring import zoo
from shoestring.cli import main
from shoestring.core.errors import HubError, RunError
from shoestring.core.run import Run
from shoestring.hub.address import Address, is_address, parse_address
from shoestring.hub.fetch import is_fetched

library = pytest.importorskip("huggingface_hub", reason="the extra hub is not installed")

# The client uploads by a way that its HTTP library advises against.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

SHIPPED = zoo.FOLDER / "addnist-best-small"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    constants = importlib.import_module("huggingface_hub.constants")
    with serving() as found:
        monkeypatch.setattr(constants, "ENDPOINT", found.url)
        monkeypatch.setattr(
            constants, "HUGGINGFACE_CO_URL_TEMPLATE", f"{found.url}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        )
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True, raising=False)  # older clients know no such way
        monkeypatch.setenv("HF_TOKEN", TOKEN)
        yield found
        assert not found.unknown


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A finished run of a net that answers at once, with files that are nobody else's business."""
    folder = tmp_path / "mine"
    shutil.copytree(SHIPPED, folder)
    (folder / "checkpoints").mkdir()
    (folder / "checkpoints" / "step-00000001-0.pt").write_bytes(b"pickled")
    (folder / "report.html").write_text("large")
    return Run(folder)


def test_what_is_pushed_comes_back_as_it_was(
    hub: Hub, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run.write_json("source.json", {"net": {"kind": "other", "origin": "/home/me/secret/net.py"}})
    run.write_json("rules.json", {"rules": {"name": "loose", "classifier": {"parameters": 10**6, "steps": 10**6}}})
    run.write_json("chain.json", [{"step": 10_000, "sha256": "0" * 64}])
    url = shoestring.push(run.folder, "me/digits", private=True)
    assert url == f"{hub.url}/me/digits"
    assert hub.private == {"me/digits"}
    there = hub.repositories["me/digits"]
    assert not [name for name, content in there.items() if b"secret" in content]
    assert not [name for name in there if name.endswith((".pt", ".html"))]
    assert there["weights.safetensors"] == run.weights_file.read_bytes()
    back = shoestring.open_run("hf://me/digits")
    assert is_fetched(back)
    assert back.read_recipe() == run.read_recipe()
    assert back.metrics() == run.metrics()
    assert back.log() == run.log()
    assert (back.checkpoints.chain(), back.read_json("rules.json")) == (
        run.checkpoints.chain(),
        run.read_json("rules.json"),
    )
    images = torch.randint(0, 256, (4, 3, 28, 28), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    mine, theirs = (shoestring.load(what, "cpu").logits(images) for what in (run.folder, "hf://me/digits@main"))
    assert torch.equal(mine, theirs)
    page = shoestring.write_report(["hf://me/digits"])
    assert page.resolve() == (tmp_path / "digits.html").resolve()
    assert "held against the rules &#39;loose&#39;" in page.read_text()
    assert shoestring.push(run.folder, "me/digits") == url  # again, into the same repository


def test_the_card_tells_what_was_measured_to_people_and_to_the_hub(hub: Hub, run: Run) -> None:
    shoestring.push(run.folder, "me/digits")
    text = hub.repositories["me/digits"]["README.md"].decode()
    card = library.ModelCard(text)
    accuracy = run.metrics()["test"]["accuracy"]
    (found,) = [one for one in card.data.eval_results if one.metric_type == "accuracy"]
    assert found.metric_value == accuracy["value"]
    assert (found.task_type, found.dataset_type, found.dataset_split) == ("image-classification", "addnist", "test")
    assert card.data.library_name == "shoestring"
    assert f"| test | accuracy | {accuracy['value']:.4g} |" in text
    assert "shoestring predict hf://me/digits" in text
    parameters = sum(layer.parameters for layer in run.layers())
    assert f"{parameters:,} parameters of {run.read_recipe()['budget']['parameters']:,} allowed" in text


def test_the_command_line_pushes_and_takes(hub: Hub, run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["push", str(run.folder), "me/digits", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["address"] == "hf://me/digits"
    assert main(["report", "hf://me/nothing"]) == 1
    said = capsys.readouterr().err
    assert "fetching hf://me/nothing failed" in said
    assert "is its name right" in said


def test_without_a_token_the_remedy_is_said(hub: Hub, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_wrong")
    with pytest.raises(HubError, match=r"pushing to me/digits failed: .*; log in with `hf auth login`"):
        shoestring.push(run.folder, "me/digits")
    assert not hub.repositories


@pytest.mark.parametrize("form", ["short", "recorded"])
def test_code_that_came_with_a_run_is_not_run(
    hub: Hub, run: Run, form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither what it keeps, nor a module that happens to be installed here."""
    tiny.forget_code(monkeypatch)
    shoestring.push(run.folder, "me/digits")
    files = hub.repositories["me/digits"]
    recipe = json.loads(files["recipe.json"])
    (tmp_path / "trap.py").write_text(f"open({str(tmp_path / 'sprung')!r}, 'w')\nclass Net: pass\n")
    monkeypatch.syspath_prepend(tmp_path)
    recipe["net"] = "trap:Net" if form == "short" else {"kind": "trap:Net", "options": {}}
    files["recipe.json"] = json.dumps(recipe).encode()
    with pytest.raises(RunError, match="without keeping it"):
        shoestring.load("hf://me/digits", "cpu")
    assert not (tmp_path / "sprung").exists()


def test_a_repository_without_a_run_is_no_run(hub: Hub) -> None:
    hub.repositories["me/other"] = {"README.md": b"hello"}
    with pytest.raises(HubError, match="holds no run"):
        shoestring.open_run("hf://me/other")


def test_addresses() -> None:
    assert parse_address("hf://me/digits@v1.0") == Address("me/digits", "v1.0")
    assert parse_address("me/digits") == Address("me/digits")
    assert str(Address("me/digits", "v1.0")) == "hf://me/digits@v1.0"
    assert is_address(Path("hf://me/digits"))
    assert parse_address(str(Path("hf://me/digits"))) == Address("me/digits")
    assert not is_address("runs/mine")
    for wrong in ("digits", "a/b/c", "hf://me", "me/../x y"):
        with pytest.raises(HubError, match=re.escape(repr(wrong))):
            parse_address(wrong)


def test_the_page_runs_as_it_stands(hub: Hub, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.move(run.folder, tmp_path / "runs" / "first")
    shutil.copy(ROOT / "examples" / "digits.png", "photo.png")
    lines = [line for line in commands(ROOT / "docs" / "hub.md") if line.startswith("shoestring")]
    assert [main(line.split()[1:]) for line in lines] == [0, 0]
    assert "weights.safetensors" in hub.repositories["me/digits"]
