"""`new`: a commented recipe file that says what its base says, and what one changes in it."""

import json
import re
import tomllib
from itertools import pairwise
from pathlib import Path

import pytest
import tiny

from shoestring.cli import main
from shoestring.recipes import RECIPES
from shoestring.recipes.lookup import recipe
from shoestring.recipes.recipe_file import write_recipe
from shoestring.zoo import index


@pytest.mark.parametrize("base", RECIPES)
def test_a_new_recipe_is_its_base_under_another_name(base: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    assert main(["new", str(file), "--base", base]) == 0
    expected = recipe(RECIPES[base](), name="mine")
    assert recipe(file).to_json() == expected.to_json()
    assert set(tomllib.loads(file.read_text(encoding="utf-8"))) - {"name", "base"} <= set(expected.to_json())


@pytest.mark.parametrize("base", ["addnist-quick", "cifar100-flow"])
def test_every_line_that_is_taken_in_is_valid_and_changes_nothing(base: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    assert main(["new", str(file), "--base", base]) == 0
    text = re.sub(r"^# (\w+ = .)", r"\1", file.read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert "learning_rate = " in text.splitlines()[-200:][0] or re.search(r"^learning_rate = ", text, re.MULTILINE)
    file.write_text(text, encoding="utf-8")
    assert recipe(file).to_json() == recipe(RECIPES[base](), name="mine").to_json()


def test_each_field_stands_below_its_docstring(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    assert main(["new", str(file), "--base", "addnist-quick"]) == 0
    assert "# Images per step.\n# batch_size = 64\n" in file.read_text(encoding="utf-8")
    for template in index.TEMPLATES.iterdir():
        lines = template.read_text(encoding="utf-8").splitlines()
        bare = [line for before, line in pairwise(lines) if " = " in line and not before]
        assert not [line for line in bare if "kind = " not in line and "name = " not in line], template


def test_a_recipe_file_is_a_base_whose_values_are_set(tmp_path: Path, pictures: Path) -> None:
    base = write_recipe(tiny.classifier(pictures), tmp_path / "tiny.toml")
    file = tmp_path / "mine.toml"
    assert main(["new", str(file), "--base", str(base)]) == 0
    assert recipe(file).to_json() == tiny.classifier(pictures).to_json() | {"name": "mine"}
    assert "\nbatch_size = 8\n" in file.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["mine.txt", "--base", "addnist-quick"], "ends in .toml"),
        (["nul.toml", "--base", "addnist-quick"], "cannot name the folder"),
        (["addnist-quick.toml", "--base", "addnist-quick"], "name of a shipped recipe"),
        (["there.toml", "--base", "addnist-quick"], "there already"),
        (["mine.toml", "--base", "addnist-quik"], "did you mean 'addnist-quick'"),
        (["mine.toml", "--base", "no.toml"], "there is no recipe file no.toml"),
        (["no/mine.toml", "--base", "addnist-quick"], "cannot be written"),
    ],
)
def test_what_cannot_be_written_is_refused(
    words: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there.toml").write_text("name = 'mine'")
    assert main(["new", *words]) == 1
    assert said in capsys.readouterr().err
    assert [file.name for file in tmp_path.iterdir()] == ["there.toml"]
    if words[0] == "there.toml":
        assert main(["new", *words, "--force", "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["base"] == "addnist-quick"
