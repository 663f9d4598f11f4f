"""What the command line changes in a recipe counts before anything that the recipe names is looked at."""

import json
from pathlib import Path

import pytest
import tiny

from shoestring.cli.main import main
from shoestring.cli.targets import with_recipe
from shoestring.cli.verbs import Show
from shoestring.core.errors import ShoestringError
from shoestring.core.run import Run
from shoestring.optim.lr_schedule import Ramp, StepDecay


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


def test_schedules_of_any_number_are_typed_options(recipe_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def anneal(words: str) -> dict[str, object]:
        return with_recipe(Show, str(recipe_file), words.split()).recipe.anneal  # type: ignore[attr-defined]

    assert anneal("--anneal.optimiser.betas.1.start 0.5 --anneal.optimiser.betas.1.over 0 0.1") == {
        "optimiser.betas.1": Ramp(start=0.5, over=(0, 0.1))
    }
    assert anneal("--anneal.task.label-smoothing=step-decay --anneal.task.label-smoothing.every=9") == {
        "task.label_smoothing": StepDecay(every=9)
    }
    with pytest.raises(ShoestringError, match=r"unknown number to anneal 'task\.smoothing'"):
        anneal("--anneal.task.smoothing.end 0.5")
    with pytest.raises(ShoestringError, match=r"betas\.1\.ned 3: neither a kind of schedule .*ramp.* nor an option"):
        anneal("--anneal.optimiser.betas.1.ned 3")
    with pytest.raises(SystemExit):
        anneal("--anneal.task.label-smoothing.end low")
    assert "--anneal.task.label-smoothing.end" in capsys.readouterr().err
