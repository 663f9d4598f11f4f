"""Kinds that installed packages offer: a distribution as pip would leave it, and what recipes make of it."""

from pathlib import Path

import pytest
import tiny

from shoestring import api
from shoestring.cli import main
from shoestring.core.errors import RecipeError
from shoestring.recipes.lookup import recipe

CODE = """
from torch import nn

def flat(num_classes, hidden: int = 4):
    return nn.Sequential(nn.Flatten(), nn.Linear(192, hidden), nn.Linear(hidden, num_classes))

def loss(logits, labels):
    return nn.functional.cross_entropy(logits, labels)
"""


def install(folder: Path, name: str, entries: str, code: str) -> None:
    """What of a package lies in site-packages."""
    module = name.replace("-", "_")
    (folder / f"{module}.py").write_text(code)
    info = folder / f"{module}-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text(entries)


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "site packages"
    folder.mkdir()
    entries = "[shoestring.nets]\nflat = tiny_parts:flat\n[shoestring.tasks]\nplain = tiny_parts:loss\n"
    install(folder, "tiny-parts", entries, CODE)
    install(folder, "no-parts", "[shoestring.nets]\nbroken = no_parts:net\n", "raise RuntimeError('not today')")
    monkeypatch.syspath_prepend(str(folder))
    return folder


def test_an_installed_kind_trains_and_its_package_is_recorded(packages: Path, tmp_path: Path, pictures: Path) -> None:
    asked = recipe(tiny.classifier(pictures), net={"kind": "flat", "options": {"hidden": 3}}, task="plain")
    assert asked.to_json()["net"] == {"kind": "flat", "source": "", "options": {"hidden": 3}}
    run = api.train(asked, tmp_path / "run", device="cpu")
    assert run.read_json("source.json") == {
        "net": {"kind": "flat", "package": "tiny-parts", "version": "1.2"},
        "task": {"kind": "plain", "package": "tiny-parts", "version": "1.2"},
    }
    assert api.load(run.folder, "cpu").recipe == recipe(run.recipe_file)
    (packages / "tiny_parts-1.2.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: tiny-parts\nVersion: 1.3\n"
    )
    heard = tiny.Heard()
    api.load(run.folder, "cpu", progress=heard)
    assert heard.messages[0] == f"net flat is of tiny-parts 1.3 now; {run.folder} was trained with 1.2"


def test_unknown_broken_and_doubled_kinds_are_one_message(packages: Path, pictures: Path) -> None:
    start = tiny.classifier(pictures)
    with pytest.raises(RecipeError, match=r"unknown net 'flatt'; did you mean 'flat'\?"):
        recipe(start, net="flatt")
    with pytest.raises(RecipeError, match=r"'broken' of the package no-parts cannot be imported: .* not today"):
        recipe(start, net="broken")
    install(packages, "other-parts", "[shoestring.nets]\nflat = other_parts:flat\n", CODE)
    with pytest.raises(RecipeError, match="'flat' is offered by two packages; say which: other_parts:flat or"):
        recipe(start, net="flat")


def test_list_parts_runs_no_code_of_packages(packages: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "--parts"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["net", "flat", "tiny-parts", "1.2", "tiny_parts:flat"] in lines
    assert ["net", "broken", "no-parts", "1.2", "no_parts:net"] in lines
    assert any(line[:3] == ["net", "mbconv", "shoestring"] for line in lines)
    assert any(line[:3] == ["schedule", "one-cycle", "shoestring"] for line in lines)
