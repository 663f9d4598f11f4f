"""What scripts/experiments.py would train is within its budgets and changes what its name says."""

from pathlib import Path

import experiments
import pytest
from pages.ablations import common, own_changes

from shoestring.recipes.lookup import overrides_of
from shoestring.run import Run
from shoestring.training.build import build

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
    assert set(shared) == {"budget.steps"}
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
        "samples/step-10.png",
    ):
        (run / file).parent.mkdir(parents=True, exist_ok=True)
        (run / file).write_text(file)
    experiments.keep(Run(run), tmp_path / "kept" / "here")
    kept = [path.relative_to(tmp_path / "kept" / "here").as_posix() for path in (tmp_path / "kept").rglob("*.*")]
    assert sorted(kept) == ["recipe.json", "samples/a.png", "weights.safetensors"]
