import tomllib

import pytest
import tiny

from shoestring.recipes import RECIPES
from shoestring.recipes.lookup import recipe
from shoestring.recipes.recipe import Recipe
from shoestring.recipes.recipe_file import commented, toml, write_recipe
from shoestring.sweeping.plan import recipe_at

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
        file = write_recipe(made, tmp_path / "best.toml", ["two", "lines"])
        assert recipe(file) == made
        text = file.read_text()
        assert text.startswith("# two\n# lines\n")
        (tmp_path / "new.toml").write_text(commented(made, "new"))
        assert recipe(tmp_path / "new.toml").fingerprint() == recipe(made, name="new").fingerprint()
        assert set(tomllib.loads(text)) == {"base", *(field.split(".")[0] for field in point)}


def test_a_recipe_of_another_name_is_given_back_too(pictures, tmp_path):
    for made in (
        tiny.classifier(pictures),
        tiny.gan(pictures),
        recipe("addnist-quick", name="mine \"quoted\" # 'too'", batch_size=3),
        recipe(tiny.classifier(pictures), name="ümlaut\\n"[:-2]),
    ):
        assert recipe(write_recipe(made, tmp_path / "best.toml")) == made


@pytest.mark.parametrize(
    ("name", "point"),
    [("cifar100-best-small", {"net.features": None}), ("cifar100-flow", {"budget.nfe": None, "seed": 3})],
)
def test_a_value_that_is_taken_away_is_not_that_of_the_base_again(name, point, tmp_path):
    for made in (recipe_at(RECIPES[name](), point), recipe(recipe_at(RECIPES[name](), point), name="mine")):
        found = recipe(write_recipe(made, tmp_path / "best.toml"))
        assert found.fingerprint() == made.fingerprint() != RECIPES[name]().fingerprint()
        assert found.name == made.name
        (tmp_path / "new.toml").write_text(commented(made, "new"))
        assert recipe(tmp_path / "new.toml").fingerprint() == recipe(made, name="new").fingerprint()


def test_a_schedule_that_is_taken_away_is_not_that_of_the_base_again(tmp_path):
    shipped = RECIPES["addnist-best"]()
    assert shipped.anneal
    made = Recipe.from_json(shipped.to_json() | {"anneal": {}})
    found = recipe(write_recipe(made, tmp_path / "best.toml"))
    assert not found.anneal
    assert found.fingerprint() == made.fingerprint()


def test_a_default_of_former_versions_is_written(pictures, tmp_path):
    made = recipe(tiny.classifier(pictures), data={"tune": 0, "reading": 1})
    assert recipe(write_recipe(made, tmp_path / "a.toml")) == made
    (tmp_path / "b.toml").write_text(commented(made, "tiny"))
    assert recipe(tmp_path / "b.toml").data == made.data


def test_tables_and_lists_are_those_of_toml():
    values = {"a": 1e-05, "b": {"c": [1, [2.5, "x"]], "d": {"e f": True, "g": {}}}, "h": [{"i": 1}], "j": {}, "k": None}
    kept = {key: value for key, value in values.items() if key != "k"}
    assert tomllib.loads(toml(values)) == kept
