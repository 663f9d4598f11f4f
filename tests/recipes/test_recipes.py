import json
from pathlib import Path
from typing import Any

import pytest
import tiny

from shoestring import api
from shoestring.core.errors import OverBudgetError, RecipeError
from shoestring.nets.resnet import BasicNet
from shoestring.optim.lr_schedule import OneCycle
from shoestring.recipes import RECIPES
from shoestring.recipes.lookup import overrides_of
from shoestring.recipes.recipe import Recipe
from shoestring.recipes.recipe_file import write_recipe


@pytest.mark.parametrize("name", RECIPES)
def test_json_and_toml_lose_nothing(name: str, tmp_path: Path) -> None:
    recipe = RECIPES[name]()
    assert recipe.name == name
    text = json.dumps(recipe.to_json())
    assert Recipe.from_json(json.loads(text)) == recipe
    for file, content in (("a.json", text), ("a.toml", tiny.toml(recipe.to_json()))):
        (tmp_path / file).write_text(content)
        again = api.recipe(tmp_path / file)
        assert again == recipe
        assert again.fingerprint() == recipe.fingerprint()
    assert api.recipe(write_recipe(recipe, tmp_path / "b.toml", ["why", "", "x = 1"])) == recipe


@pytest.mark.parametrize("make", RECIPES.values(), ids=list(RECIPES))
def test_every_recipe_says_its_command_and_keeps_to_its_budget(make) -> None:
    recipe = make()
    assert f"`shoestring train {recipe.name}" in make.__doc__
    assert recipe.summary
    assert recipe.budget.parameters <= 1_000_000
    assert recipe.budget.steps <= 50_000


PAPERS: dict[str, dict[str, Any]] = {
    "addnist-effnet": {
        "budget.parameters": 100_000,
        "budget.steps": 10_000,
        "batch_size": 256,
        "optimiser.learning_rate": 0.004,
        "optimiser.weight_decay": 1e-4,
        "schedule.kind": "one-cycle",
        "schedule.start": 0.25,
        "task.label_smoothing": 0.02,
        "augment.rotation_degrees": 15,
        "augment.translation": 0.15,
        "augment.scale": [0.85, 1.15],
        "augment.shear_degrees": 5,
        "augment.horizontal_flip": False,
        "published.value": 0.941,
    },
    "cifar100-resnet": {
        "budget.parameters": 100_000,
        "budget.steps": 10_000,
        "batch_size": 64,
        "optimiser.learning_rate": 0.002,
        "schedule.kind": "constant",
        "task.label_smoothing": 0.0,
        "augment.horizontal_flip": True,
        "published.value": 0.494,
    },
    "cifar100-dcgan-44": {
        "budget.parameters": 1_000_000,
        "budget.steps": 50_000,
        "net.latent": 110,
        "batch_size": 256,
        "optimiser.learning_rate": 0.0002,
        "optimiser.betas": [0.5, 0.999],
        "task.label_bound": 0.1,
        "task.instance_noise": 0.25,
        "anneal": {"task.instance_noise": {"kind": "step-decay", "decay": 0.9997, "every": 1}},
        "published.value": 50.283,
    },
    "cifar100-dcgan-64": {
        "budget.parameters": 1_000_000,
        "budget.steps": 50_000,
        "net.latent": 10,
        "batch_size": 64,
        "optimiser.learning_rate": 0.002,
        "optimiser.betas": [0.5, 0.999],
        "schedule": {"kind": "step-decay", "decay": 0.95, "every": 1000},
        "task.label_bound": 0.0,
        "task.instance_noise": 0.0,
        "published.value": 94.53,
    },
}


@pytest.mark.parametrize("name", PAPERS)
def test_settings_of_the_papers(name: str) -> None:
    values = RECIPES[name]().to_json()
    for key, expected in PAPERS[name].items():
        found: Any = values
        for part in key.split("."):
            found = found[part]
        assert found == expected, key


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sed": 1}, r"unknown key of Recipe 'sed'; did you mean 'seed'\?"),
        ({"budget": {"parameters": 9, "step": 1}}, r"budget: unknown key of Budget 'step'; did you mean 'steps'\?"),
        ({"optimiser": {"kind": "adam", "learningrate": 1}}, r"'learningrate'; did you mean 'learning_rate'\?"),
        ({"net": {"kind": "mbconv", "width": [1]}}, r"net\.mbconv: .*'width'; did you mean 'widths'\?"),
        ({"net": {"kind": "mbcon"}}, r"unknown net 'mbcon'.*'mbconv'"),
        ({"batch_size": 0}, r"batch_size: .*greater than 0"),
        ({"seed": -1}, r"seed: .*greater than or equal to 0"),
        ({"ema": [1.0]}, r"ema\.0: .*less than 1"),
        ({"optimiser": {"kind": "adam", "learning_rate": "fast"}}, r"learning_rate: .*valid number"),
        ({"budget": {"parameters": 100_000, "steps": 0}}, r"budget\.steps: .*greater than 0"),
        ({"task": {"kind": "adversarial"}}, r"trains discriminator and generator, but net 'mbconv' has classifier"),
        ({"data": {"kind": "addnist", "tune": 40_000}}, r"data\.addnist: tune holds out 40,000"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_place(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        Recipe.from_json(RECIPES["addnist-effnet"]().to_json() | changes)


def test_a_recipe_whose_sampling_is_over_its_budget_is_refused() -> None:
    values = RECIPES["cifar100-flow"]().to_json()
    values["budget"]["nfe"] = 3
    with pytest.raises((RecipeError, OverBudgetError), match="over the budget of 3"):
        Recipe.from_json(values)


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("a.toml", "name = ", r"a\.toml cannot be read as a recipe"),
        ("a.json", "{", r"a\.json cannot be read as a recipe"),
        ("a.json", "[1]", r"a\.json is not valid"),
        ("a.toml", 'name = "x"', r"a\.toml is not valid:\n  budget: Field required"),
        ("a.toml", "\xff", r"a\.toml cannot be read as a recipe"),
        ("b.toml", None, r"there is no recipe file .*b\.toml"),
    ],
)
def test_files_that_are_no_recipes_name_themselves(file: str, content: str | None, message: str, tmp_path) -> None:
    if content is not None:
        (tmp_path / file).write_bytes(content.encode("latin-1"))
    with pytest.raises(RecipeError, match=message):
        api.recipe(tmp_path / file)


def test_file_with_a_base_says_only_what_differs(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('base = "cifar100-resnet"\nbatch_size = 7\n[optimiser]\nlearning_rate = 0.5')
    shipped = RECIPES["cifar100-resnet"]()
    found = api.recipe(file)
    assert found == tiny.changed(shipped, {"batch_size": 7, "optimiser__learning_rate": 0.5})
    assert found.published is not None
    assert overrides_of(found) == {"batch_size": [64, 7], "optimiser.learning_rate": [0.002, 0.5]}

    file.write_text('base = "cifar100-resnet"\nname = "mine"\n[net]\nkind = "basic"\nwidths = [4]\ndepths = [2]')
    found = api.recipe(file, schedule={"kind": "one-cycle"})
    assert found.net == BasicNet(widths=(4,), depths=(2,))
    assert found.schedule == OneCycle()
    assert (found.name, found.base, found.summary, found.published) == ("mine", "cifar100-resnet", "", None)
    assert set(overrides_of(found)) == {"net", "schedule"}
    assert (found.budget, found.optimiser) == (shipped.budget, shipped.optimiser)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('base = "cifar100-resnt"', r"mine\.toml: unknown base 'cifar100-resnt'; did you mean 'cifar100-resnet'\?"),
        ("base = 3", r"mine\.toml: unknown base '3'"),
        ('base = "cifar100-resnet"\nnet = true', r"net=bool\(…\) is built already"),
        ("base = [1]", r"mine\.toml: unknown base '\[1\]'"),
        ('base = "cifar100-resnet"\nbatchsize = 3', r"mine\.toml is not valid:\n.*did you mean 'batch_size'"),
    ],
)
def test_wrong_base_names_the_nearest(line: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(line)
    with pytest.raises(RecipeError, match=message):
        api.recipe(tmp_path / "mine.toml")


@pytest.mark.parametrize("fields", [{"name": "mine"}, {"data": {"kind": "folder", "path": "flowers"}}])
def test_published_result_is_left_behind_with_name_or_data(fields: dict[str, Any]) -> None:
    assert api.recipe("cifar100-resnet", seed=3).published is not None
    changed = api.recipe("cifar100-resnet", **fields)
    assert (changed.published, changed.summary) == (None, "")
    told = api.recipe("cifar100-resnet", **fields, summary="told")
    assert (told.published, told.summary) == (None, "told")


def test_changed_budgets_of_a_base_are_overrides(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text('base = "cifar100-best"\nname = "mine"\n[budget]\nparameters = 7_000_000')
    assert overrides_of(api.recipe(tmp_path / "mine.toml")) == {"budget.parameters": [100_000, 7_000_000]}


@pytest.mark.parametrize(
    ("name", "net", "message"),
    [
        ("cifar100-resnet", {"widths": [16, 32]}, "widths and depths must have one number per stage, got 2 and 3"),
        ("cifar100-resnet", {"squeeze": 33}, "squeeze 33 leaves none of 32 channels"),
        ("addnist-effnet", {"squeeze": 65}, "squeeze 65 leaves none of 64 hidden channels"),
        ("cifar100-best", {"widths": [], "depths": []}, "at least 1 item"),
        ("cifar100-best", {"kind": "digit-sum"}, "data 'cifar100' has others: choose another net"),
    ],
)
def test_nets_that_cannot_be_are_refused(name: str, net: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        api.recipe(name, net=net)


@pytest.mark.parametrize(
    ("name", "steps", "records", "looks", "checkpoints"),
    [
        ("cifar100-resnet", 10_000, 200, 20, 20),  # by default
        ("cifar100-resnet", 150, 50, 2, 10),
        ("cifar100-resnet", 149, 75, 3, 11),
        ("cifar100-resnet", 7, 7, 3, 7),
        ("cifar100-best", 10_000, 100, 10, 10),  # as it says
        ("cifar100-best", 150, 50, 1, 1),
        ("cifar100-flow-quick", 5_500, 110, 2, 11),
        ("cifar100-gan-best", 50_000, 500, 20, 100),
        ("addnist-quick", 600, 60, 2, 2),
    ],
)
def test_a_short_training_has_a_curve(name: str, steps: int, records: int, looks: int, checkpoints: int) -> None:
    cadence = api.recipe(name, budget={"steps": steps}).cadence
    found = [
        sum(cadence.due(what, step, steps) for step in range(1, steps + 1))
        for what in ("log", "evaluate", "checkpoint")
    ]
    assert found == [records, looks, checkpoints]


def test_fingerprints_differ_with_what_is_learnt_and_with_nothing_else(pictures: Path) -> None:
    recipe = tiny.classifier(pictures)
    assert len(recipe.fingerprint()) == 8
    same: list[dict[str, Any]] = [
        {"cadence__log": 7},
        {"cadence__evaluate": 1, "cadence__checkpoint": 1},
        {"engine__threads": 3},
        {"engine__channels_last": False},
        {"summary": "other words"},
        {"published": {"metric": "fid", "value": 1, "line": "", "source": ""}},
    ]
    assert {tiny.changed(recipe, changes).fingerprint() for changes in same} == {recipe.fingerprint()}
    other: list[dict[str, Any]] = [
        {"seed": 1},
        {"batch_size": 7},
        {"ema": []},
        {"ema": [0.99]},
        {"budget__steps": 13},
        {"budget__parameters": 3_000},
        {"data__tune": 5},
        {"augment__horizontal_flip": False},
        {"net__stem": 5},
        {"task__label_smoothing": 0.2},
        {"optimiser__learning_rate": 0.011},
        {"schedule__warmup": 0.2},
        {"name": "another"},
    ]
    found = [tiny.changed(recipe, changes).fingerprint() for changes in other]
    assert len({*found, recipe.fingerprint()}) == len(other) + 1


def test_recipes_by_name_by_file_and_with_other_fields(tmp_path: Path) -> None:
    plain = RECIPES["addnist-quick"]()
    assert api.recipe("addnist-quick") == plain
    changed = api.recipe("addnist-quick", seed=3, budget={"steps": 60}, optimiser={"learning_rate": 0.1})
    assert (changed.seed, changed.budget.steps, changed.optimiser.learning_rate) == (3, 60, 0.1)
    assert changed.budget.parameters == plain.budget.parameters
    assert changed.optimiser.betas == plain.optimiser.betas
    assert api.overrides_of(plain) == {}
    assert api.overrides_of(changed) == {
        "seed": [0, 3],
        "budget.steps": [plain.budget.steps, 60],
        "optimiser.learning_rate": [plain.optimiser.learning_rate, 0.1],
    }
    (tmp_path / "mine.toml").write_text(tiny.toml(changed.to_json()))
    assert api.recipe(tmp_path / "mine.toml") == changed
    with pytest.raises(RecipeError, match=r"unknown recipe 'addnist-quik'; did you mean 'addnist-quick'\?"):
        api.recipe("addnist-quik")
    with pytest.raises(RecipeError, match=r"unknown key of Budget 'stepps'; did you mean 'steps'\?"):
        api.recipe("addnist-quick", budget={"stepps": 1})


@pytest.mark.parametrize(
    "name", ["../x", "a/b", "a\\b", "a\0b", "a\nb", "\udce4", "", ".", "..", ".x", "x" * 101, "NUL", "com1.txt"]
)
def test_a_name_that_cannot_be_a_folder_is_refused(name: str) -> None:
    with pytest.raises(RecipeError, match=r"name: .* cannot name the folder of a run: take 1 to 100 characters"):
        api.recipe("addnist-quick", name=name)


@pytest.mark.parametrize("name", ["x" * 100, "console", "Blümen 2", "a.b", "nullable", "a-b_c"])
def test_any_other_name_is_taken(name: str) -> None:
    assert api.recipe("addnist-quick", name=name).name == name
