"""Rules by kind of task: what departs from them, where it is said, and that spending less is no alarm."""

import json
from pathlib import Path

import pytest
import tiny

from shoestring import api
from shoestring.cli.main import main
from shoestring.core.errors import OverBudgetError, RecipeError
from shoestring.core.run import Run
from shoestring.model.run_rules import departures_of, other_rules
from shoestring.recipes import RECIPES
from shoestring.recipes.lookup import recipe
from shoestring.recipes.rules import Rules, rules

STRICT = """
name = "strict"

[classifier]
parameters = 500
steps = 12

[data]
kind = "folder"
path = "pictures"
size = 16
"""


@pytest.fixture
def strict(tmp_path: Path) -> Path:
    file = tmp_path / "strict.toml"
    file.write_text(STRICT)
    return file


def test_the_shipped_rules_are_those_of_the_readme() -> None:
    found = rules()
    assert rules("shoestring") == found
    assert (found.classifier.parameters, found.classifier.steps) == (100_000, 10_000)
    assert (found.generator.parameters, found.generator.steps) == (1_000_000, 50_000)


@pytest.mark.parametrize("name", RECIPES)
def test_every_shipped_recipe_keeps_them(name: str) -> None:
    assert rules().departures(RECIPES[name]()) == []


def test_a_recipe_without_base_says_its_own_budget_and_departs(pictures: Path) -> None:
    greedy = tiny.classifier(pictures, budget__parameters=5_000_000)
    assert rules().departures(greedy) == ["parameters: 5,000,000, where a classifier is allowed 100,000"]


def test_limits_go_by_what_is_trained_not_by_the_base(pictures: Path) -> None:
    small = tiny.classifier(pictures).to_json()
    parts = {name: small[name] for name in ("net", "task", "data", "augment")}
    posing = recipe("cifar100-gan-best", name="posing", **parts)
    assert rules().departures(posing) == [
        "parameters: 1,000,000, where a classifier is allowed 100,000",
        "steps: 50,000, where a classifier is allowed 10,000",
    ]


def test_spending_less_is_no_departure(pictures: Path) -> None:
    assert rules().departures(recipe("cifar100-best", budget={"parameters": 99_000, "steps": 10})) == []
    assert rules().departures(tiny.gan(pictures)) == []


def test_a_limit_that_a_recipe_leaves_open_is_known_or_departs(pictures: Path) -> None:
    limits = {"parameters": 10**6, "steps": 10**5, "nfe": 50}
    one = Rules.from_json({"name": "quick", "generator": limits}, "here")
    assert one.departures(tiny.gan(pictures, budget__nfe=None)) == []  # a GAN takes one call
    assert one.departures(RECIPES["cifar100-gan-best"]()) == ["nfe: 100, where a generator is allowed 50"]
    assert one.departures(tiny.classifier(pictures)) == ["no classifier is admitted"]
    assert one.beyond({"nfe": None}, makes_images=True) == ["nfe: no limit, where a generator is allowed 50"]


def test_a_training_that_does_not_start_anew_departs() -> None:
    asked = recipe("cifar100-best", pretrained="cifar100-best")
    assert rules().departures(asked) == ["pretrained: 'cifar100-best', where a training starts anew"]
    assert rules().replace(pretrained=True).departures(asked) == []


def test_other_images_depart_and_where_they_lie_does_not(strict: Path, pictures: Path) -> None:
    one = rules(strict)
    other = tiny.classifier(pictures, budget__parameters=500)
    assert one.departures(other) == ["data.size: 8, where 16 is asked for"]
    assert one.departures(recipe("cifar100-best", budget={"parameters": 500, "steps": 12})) == [
        "data: 'cifar100', where 'folder' is asked for"
    ]
    same = tiny.classifier(pictures, budget__parameters=500, data__size=16, data__tune=3)
    assert one.departures(same) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("name = 3", "name: Input should be a valid string"),
        ('name = "x"\n[clasifier]\nparameters = 3', "unknown key of Rules 'clasifier'; did you mean 'classifier'"),
        ('name = "x"\n[classifier]\nparameters = 3', "classifier.steps: Field required"),
        ("name =", "cannot be read as rules"),
    ],
)
def test_a_file_that_holds_no_rules_is_refused_with_the_reason(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "rules.toml"
    file.write_text(text)
    with pytest.raises(RecipeError, match=said):
        rules(file)
    with pytest.raises(RecipeError, match="cannot be read as rules"):
        rules(tmp_path / "missing.toml")


def test_a_departure_is_said_recorded_and_reported(pictures: Path, tmp_path: Path, strict: Path) -> None:
    heard = tiny.Heard()
    sentences = ["departs from the rules 'strict': parameters: 2,000, where a classifier is allowed 500"]
    asked = tiny.classifier(pictures, budget__steps=2, data__size=16)
    run = api.train(asked, tmp_path / "run", device="cpu", progress=heard, rules=strict)
    assert [line for line in heard.messages if "rules" in line] == sentences
    assert run.read_json("rules.json")["departures"] == [sentences[0].partition(": ")[2]]
    assert departures_of(run) == sentences
    page = run.report_file.read_text().replace("&#39;", "'")
    assert sentences[0] in page
    assert (
        "held against the rules 'strict', which are not the shipped ones: a classifier may have 500 parameters" in page
    )
    forged = run.read_json("rules.json") | {"departures": []}
    run.write_json("rules.json", forged)
    assert departures_of(run) == sentences  # the rules are asked again, not the record


def test_nothing_is_said_where_the_rules_are_kept(classifier_run: Run) -> None:
    assert classifier_run.read_json("rules.json") == {"rules": rules().model_dump(mode="json"), "departures": []}
    assert departures_of(classifier_run) == []
    assert "departs" not in classifier_run.report_file.read_text()
    assert "held against" not in classifier_run.report_file.read_text()


def test_rules_that_only_bear_the_name_of_the_shipped_ones_are_told_apart(classifier_run: Run, tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    run.write_recipe(classifier_run.read_recipe(), [], {})
    assert other_rules(run) == ""
    loose = rules().model_dump(mode="json") | {"classifier": {"parameters": 10**6, "steps": 10**5}}
    run.write_json("rules.json", {"rules": loose, "departures": []})
    assert other_rules(run) == (
        "held against the rules 'shoestring', which are not the shipped ones: a classifier may have 1,000,000 "
        "parameters, 100,000 steps; a generator may have 1,000,000 parameters, 50,000 steps"
    )


def test_a_run_of_before_is_held_against_the_shipped_rules(classifier_run: Run, tmp_path: Path) -> None:
    run = Run(tmp_path / "run")
    values = classifier_run.read_recipe()
    run.write_recipe(values | {"budget": {"parameters": 200_000, "steps": 10, "nfe": None}}, [], {})
    said = ["departs from the rules 'shoestring': parameters: 200,000, where a classifier is allowed 100,000"]
    assert departures_of(run) == said
    run.write_json("recipe.json", run.read_recipe() | {"net": {"kind": "foreign.py:Net", "source": "0" * 64}})
    assert departures_of(run) == said  # though its code may not run


def test_list_and_show_say_it(strict: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "--rules", str(strict), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["rules"]["name"] == "strict"
    rows = {row["recipe"]: row["departures"] for row in found["recipes"]}
    beginning = "departs from the rules 'strict': "
    assert f"{beginning}parameters: 100,000, where a classifier is allowed 500" in rows["cifar100-best"]
    assert f"{beginning}no generator is admitted" in rows["cifar100-flow"]
    assert main(["show", "addnist-quick", "--budget.parameters", "5000000"]) == 0
    said = "departs from the rules 'shoestring': parameters: 5,000,000, where a classifier is allowed 100,000"
    assert said in capsys.readouterr().out


def test_weights_in_buffers_are_over_budget(tmp_path: Path, pictures: Path) -> None:
    (tmp_path / "hoard.py").write_text(
        "import torch\n"
        "from torch import nn\n\n\n"
        "class Hoard(nn.Module):\n"
        "    def __init__(self, in_channels, num_classes):\n"
        "        super().__init__()\n"
        "        self.linear = nn.Linear(in_channels, num_classes)\n"
        "        self.register_buffer('hidden', torch.zeros(3_000))\n\n"
        "    def forward(self, x):\n"
        "        return self.linear(x.mean((2, 3))) + self.hidden[:1]\n"
    )
    hoard = tiny.classifier(pictures, net=f"{tmp_path / 'hoard.py'}:Hoard")
    with pytest.raises(OverBudgetError, match=r"3,012 parameters, 1,012 over the budget of 2,000(.|\n)*with buffers"):
        api.train(hoard, tmp_path / "run", device="cpu")
