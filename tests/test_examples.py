"""The examples of docs/extend.md: shown there as they are, short, and trained from their files as they say."""

import re
from pathlib import Path

import pytest
import tiny

from shoestring import api
from shoestring.core.run import Run
from shoestring.model.generator import Generator
from shoestring.recipes import RECIPES
from shoestring.recipes.lookup import recipe

ROOT = Path(__file__).parent.parent
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
FEW_STEPS = {"budget": {"steps": 4}, "batch_size": 4, "cadence": {"log": 2, "evaluate": 4, "checkpoint": 4}}


def named(file: Path) -> tuple[str, str, str]:
    """The recipe, the part and the kind of the command in a file's first line."""
    found = re.search(r"shoestring train (\S+) --(\w+) (\S+)", file.read_text().splitlines()[0])
    assert found, f"{file} does not say how to train it"
    return found[1], found[2], found[3]


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.name)
def test_an_example_is_short_and_shown_as_it_is(file: Path) -> None:
    text = file.read_text()
    assert len(text.splitlines()) < 30
    assert f"```python\n{text}```" in (ROOT / "docs" / "extend.md").read_text()
    name, _, _ = named(file)
    assert name in RECIPES


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.name)
def test_an_example_trains(file: Path, tmp_path: Path, pictures: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    name, part, kind = named(file)
    own = {"kind": kind} | ({"tune": 100} if part == "data" else {})
    data = {} if part == "data" else {"data": tiny.gan(pictures).to_json()["data"]}
    run = api.train(name, tmp_path / "run", device="cpu", **FEW_STEPS, **data, **{part: own})
    assert Run(tmp_path / "run").finished()
    assert (run.folder / "source" / file.name).read_text() == file.read_text()
    tiny.forget_code(monkeypatch)
    model = api.load(run.folder, "cpu")
    if isinstance(model, Generator):
        assert api.sample(run.folder, 2, device="cpu").shape == (2, 3, 32, 32)
    else:
        assert api.evaluate(run.folder, "test", device="cpu")["accuracy"].value >= 0


def test_the_command_lines_own_options_are_those_of_the_files() -> None:
    for file in EXAMPLES:
        options = re.findall(r"--(\w+)\.options\.(\w+)", file.read_text().splitlines()[0])
        for part, option in options:
            _, _, kind = named(file)
            assert option in recipe(named(file)[0], **{part: f"{ROOT / kind}"}).to_json()[part]["options"]
