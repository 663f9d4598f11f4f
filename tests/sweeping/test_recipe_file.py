import tomllib

import pytest
import tiny

from shoestring.recipes import RECIPES
from shoestring.recipes.lookup import recipe
from shoestring.sweeping.plan import recipe_at
from shoestring.sweeping.recipe_file import toml, write_recipe_file

POINTS = {
    "addnist-effnet": {"batch_size": 64, "optimiser.weight_decay": 1e-5, "task.label_smoothing": 0.2},
    "cifar100-gan-best": {"task.sampling.pixel_ascent_steps": 4, "optimiser.betas": [0.1, 0.9], "ema": []},
    "cifar100-flow": {"task.sampling.steps": 9, "seed": 3},
    "cifar100-resnet": {"net": "basic", "schedule": {"kind": "one-cycle", "start": 0.5}},
}


@pytest.mark.parametrize("name", RECIPES)
def test_the_file_of_a_recipe_gives_it_back(name, tmp_path):
    changes = POINTS.get(name, {"batch_size": 7})
    for point in ({}, changes):
        made = recipe_at(RECIPES[name](), point)
        file = write_recipe_file(made, tmp_path / "best.toml", "two\nlines")
        assert recipe(file) == made
        text = file.read_text()
        assert text.startswith("# two\n# lines\n")
        assert set(tomllib.loads(text)) == {"base", *(field.split(".")[0] for field in point)}


def test_a_recipe_of_another_name_is_given_back_too(pictures, tmp_path):
    for made in (
        tiny.classifier(pictures),
        tiny.gan(pictures),
        recipe("addnist-quick", name="mine \"quoted\" # 'too'", batch_size=3),
        recipe(tiny.classifier(pictures), name="ümlaut\\n"[:-2]),
    ):
        assert recipe(write_recipe_file(made, tmp_path / "best.toml", "")) == made


def test_tables_and_lists_are_those_of_toml():
    values = {"a": 1e-05, "b": {"c": [1, [2.5, "x"]], "d": {"e f": True, "g": {}}}, "h": [{"i": 1}], "j": {}, "k": None}
    kept = {key: value for key, value in values.items() if key != "k"}
    assert tomllib.loads(toml(values)) == kept
