"""What the command line changes in a recipe counts before anything that the recipe names is looked at."""

import json
from pathlib import Path

import pytest
import tiny

from shoestring.cli.main import main
from shoestring.core.run import Run


@pytest.fixture
def recipe_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A recipe of a folder of images that is not there."""
    monkeypatch.setenv("SHOESTRING_DATA", str(tmp_path / "no-data"))
    file = tmp_path / "mine.toml"
    file.write_text(tiny.toml(tiny.classifier(tmp_path / "absent").to_json()))
    return file


@pytest.mark.parametrize("moved", [False, True])
@pytest.mark.parametrize("verb", [["train", "--budget.steps", "2"], ["show"], ["speed", "--timed-steps", "1"]])
def test_a_path_that_is_overridden_need_not_exist(
    verb: list[str], moved: bool, recipe_file: Path, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    where = [pictures.name, "--data-folder", str(pictures.parent)] if moved else [str(pictures)]
    run = ["--run", str(tmp_path / "run")] if verb[0] == "train" else []
    options = ["--engine.threads", "1", "--data.path", *where, *run, "--json"]
    assert main([verb[0], str(recipe_file), *verb[1:], *options]) == 0, capsys.readouterr().err
    told = json.loads(capsys.readouterr().out)
    if run:
        trained = Run(tmp_path / "run")
        assert told["finished"]
        assert trained.read_recipe()["data"]["path"] == str(pictures)
        paths = [str(tmp_path / "absent"), where[0]]
        assert trained.read_json("overrides.json") == {
            "budget.steps": [12, 2],
            "data.path": paths,
            "engine.threads": [None, 1],
        }


@pytest.mark.parametrize("verb", ["train", "show", "speed"])
def test_a_path_that_is_not_there_is_named(verb: str, recipe_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([verb, str(recipe_file)]) == 1
    assert "absent does not exist" in capsys.readouterr().err
