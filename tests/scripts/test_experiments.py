"""What scripts/experiments.py would train is within its budgets and changes what its name says."""

from pathlib import Path

import experiments
import pytest
import tiny
import torch
from pages.ablations import common, own_changes

from shoestring import api
from shoestring.core.errors import RunError, ShoestringError
from shoestring.core.run import Run
from shoestring.model.build import build
from shoestring.model.load import recipe_of
from shoestring.recipes.lookup import overrides_of

KNOWN = experiments.experiments()


@pytest.mark.parametrize("name", KNOWN)
def test_experiments_keep_to_their_budgets(name: str) -> None:
    recipe = KNOWN[name]
    parameters = build(recipe).parameters
    assert parameters <= recipe.budget.parameters
    if "-curve-" in name:
        assert f"-curve-{recipe.budget.parameters // 1000}k" in name
        assert parameters > 0.8 * recipe.budget.parameters


def test_ablations_alone_look_at_the_tune_split() -> None:
    assert {name for name, recipe in KNOWN.items() if recipe.data.tune} == {
        name for name in KNOWN if name.startswith("ablations/")
    }


@pytest.mark.parametrize("recipe", experiments.ABLATIONS)
def test_every_variant_but_the_whole_changes_one_part(recipe: str) -> None:
    prefix = f"ablations/{recipe}/"
    overrides = {name.removeprefix(prefix): overrides_of(KNOWN[name]) for name in KNOWN if name.startswith(prefix)}
    shared = common(list(overrides.values()))
    since = {"task.views", "anneal.augment.strength"}  # what the recipes have that they had not when this was measured
    assert {field for field in shared if not field.startswith("task.sampling.")} - since == {"budget.steps"}
    changed = {
        name: {field.split(".")[0] for field in own_changes(values, shared)} for name, values in overrides.items()
    }
    assert changed.pop("whole") == set()
    assert all(len(parts) == 1 for parts in changed.values())
    fingerprints = {KNOWN[prefix + name].fingerprint() for name in overrides}
    assert len(fingerprints) == len(overrides)


def test_kept_runs_lack_what_only_the_training_needed(tmp_path: Path) -> None:
    run = tmp_path / "run"
    for file in (
        "recipe.json",
        "weights.safetensors",
        "report.html",
        "checkpoints/10.pt",
        "averages/1.safetensors",
        "samples/a.png",
        "chain.json",
        "samples/step-10.png",
    ):
        (run / file).parent.mkdir(parents=True, exist_ok=True)
        (run / file).write_text(file)
    (tmp_path / "kept" / ".here.part").mkdir(parents=True)  # of a copy that was interrupted
    (tmp_path / "kept" / ".here.part" / "half.json").write_text("{")
    experiments.keep(Run(run), tmp_path / "kept" / "here")
    assert [path.name for path in (tmp_path / "kept").iterdir()] == ["here"]
    kept = [path.relative_to(tmp_path / "kept" / "here").as_posix() for path in (tmp_path / "kept").rglob("*.*")]
    assert sorted(kept) == ["recipe.json", "samples/a.png"]


@pytest.mark.parametrize("views", [1, 3])
def test_an_experiment_that_answers_by_several_views_is_measured_by_one_as_well(
    views: int, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(experiments, "ROOT", tmp_path)
    experiments.train("x", tiny.classifier(pictures, task__views=views, data__tune=0))
    one_view = Run(tmp_path / "results" / "x").one_call_metrics()
    assert ("accuracy" in one_view.get("test", {})) == (views > 1)


@pytest.mark.parametrize("kind", ["classifier_run", "gan_run"])
def test_a_run_kept_without_weights_is_finished_has_a_report_and_cannot_be_loaded(
    kind: str, pictures: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    trained, kept = request.getfixturevalue(kind), Run(tmp_path / "kept")
    experiments.keep(trained, kept.folder)
    assert not kept.has_weights()
    recipe = recipe_of(trained)
    assert experiments.state(kept.folder, recipe) == "kept"
    text = api.write_report([kept], tmp_path / "report.html").read_text(encoding="utf-8")
    assert "unfinished" not in text
    before = {file: file.read_bytes() for file in kept.folder.rglob("*") if file.is_file()}
    for act in (
        lambda: api.load(kept.folder, "cpu"),
        lambda: api.evaluate(kept.folder, device="cpu"),
        lambda: api.promote(kept.folder, device="cpu"),
        lambda: api.train(recipe, kept.folder, device="cpu"),
    ):
        with pytest.raises(RunError, match=r"weights of .* are not kept.*train it again"):
            act()
    assert {file: file.read_bytes() for file in kept.folder.rglob("*") if file.is_file()} == before


def test_no_kept_experiment_is_called_stale() -> None:
    found = {name: experiments.state(experiments.ROOT / "results" / name, recipe) for name, recipe in KNOWN.items()}
    assert "kept" in found.values()
    assert [name for name, state in found.items() if state == "stale"] == []


def test_runs_of_a_recipe_that_has_changed_are_stale_and_stay(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(experiments, "ROOT", tmp_path)
    recipe, run = KNOWN["addnist-best-seed1"], Run(tmp_path / "results" / "x")
    assert experiments.state(run.folder, recipe) == "missing"
    run.write_recipe(recipe.replace(cadence={"log": 7}).to_json(), [], {})
    run.write_weights({"weight": torch.zeros(1)}, {})
    assert experiments.state(run.folder, recipe) == "kept"
    experiments.train("x", recipe)  # is done at once
    with pytest.raises(ShoestringError, match="move it away to train that one anew"):
        experiments.train("x", KNOWN["addnist-best-seed2"])


def test_names_may_be_patterns_and_must_fit(monkeypatch, capsys) -> None:
    trained: list[str] = []
    monkeypatch.setattr(experiments, "train", lambda name, recipe: trained.append(name))
    monkeypatch.setattr("sys.argv", ["experiments.py", "*-curve-12k", "cifar100-best-seed?"])
    assert experiments.main() == 0
    assert trained == [
        "cifar100-best-seed1",
        "cifar100-best-seed2",
        "addnist-best-curve-12k",
        "cifar100-best-curve-12k",
        "cifar100-plain-curve-12k",
    ]
    monkeypatch.setattr("sys.argv", ["experiments.py", "*-seed1", "nonsense"])
    with pytest.raises(SystemExit):
        experiments.main()
    assert "no experiment is called nonsense" in capsys.readouterr().err
    assert len(trained) == 5
