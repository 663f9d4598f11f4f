"""Names of version 0.1 in files: each is read under its name of today, and whoever reads a run sees only that."""

import json
from pathlib import Path

import pytest

from shoestring import api
from shoestring.core.errors import ShoestringError
from shoestring.core.run import Run
from shoestring.core.upgrade import RECIPE_KEYS, RECIPE_VALUES, upgraded_overrides, upgraded_recipe
from shoestring.recipes import RECIPES


def test_every_new_name_is_one_of_a_recipe_and_no_old_one_is() -> None:
    def fields(part: object, path: str) -> set[str]:
        if not isinstance(part, dict):
            return {path}
        return {path}.union(*(fields(value, f"{path}.{key}".lstrip(".")) for key, value in part.items()))

    known = set().union(*(fields(make().to_json(), "") for make in RECIPES.values()))
    known |= {f"published.{key}" for key in ("metric", "value")}
    assert set(RECIPE_KEYS.values()) <= known
    assert not RECIPE_KEYS.keys() & known
    for (field, _), new in RECIPE_VALUES.items():
        assert api.recipe("cifar100-flow", **nested(field, new)).to_json()


def nested(path: str, value: object) -> dict[str, object]:
    first, _, rest = path.partition(".")
    return {first: nested(rest, value) if rest else value}


def test_a_recipe_file_of_before_means_what_it_meant_and_its_new_names_are_told(tmp_path: Path) -> None:
    file = tmp_path / "old.toml"
    file.write_text(
        'base = "cifar100-gan-best"\nname = "old"\n[budget]\nevaluations = 90\n[schedule]\nkind = "trapezoid"\n'
        "[task]\npenalised = 0.5\nwhitening = 0.0\n[task.sampling]\nrefinements = 3\ncandidates = 1\n",
        encoding="utf-8",
    )
    with pytest.warns(FutureWarning) as told:
        old = api.recipe(file)
    sampling = {"pixel_ascent_steps": 3}
    new = api.recipe("cifar100-gan-best", budget={"nfe": 90}, task={"penalty_fraction": 0.5, "sampling": sampling})
    assert old.fingerprint() == api.recipe(new, name="old").fingerprint()
    said = " ".join(str(one.message) for one in told)
    assert "task.sampling.refinements is called task.sampling.pixel_ascent_steps now" in said
    assert "schedule.kind 'trapezoid' is called 'wsd' now" in said


def test_what_trained_part_of_a_flow_is_gone_with_a_word_but_another_guide_is_refused() -> None:
    former = {"task": {"weak_fraction": 0.1, "sampling": {"guide": "unconditional", "steps": 3}}}
    values, said = upgraded_recipe(former)
    assert values == {"task": {"sampling": {"steps": 3}}}
    (sentence,) = said
    assert sentence.startswith("task.weak_fraction is gone")
    assert upgraded_recipe({"task": {"weak_fraction": 0.0}}) == ({"task": {}}, [])
    assert upgraded_recipe({"task": {"sampling": {"guide": "weak"}}})[0] == {"task": {"sampling": {"guide": "weak"}}}
    assert upgraded_overrides({"task.weak_fraction": [0, 0.1], "seed": [0, 1]}) == {"seed": [0, 1]}


@pytest.mark.parametrize(
    ("name", "value", "what"),
    [
        ("smoothing", 0.75, "pixel ascent follows the gradient as it is"),
        ("pixel_ascent_smoothing", 0.75, "pixel ascent follows the gradient as it is"),
        ("latent_steps", 8, "latent vectors take no Langevin steps"),
        ("langevin_steps", 8, "latent vectors take no Langevin steps"),
    ],
)
def test_images_are_made_without_what_is_gone_with_a_word(name: str, value: float, what: str) -> None:
    values, (sentence,) = upgraded_recipe({"task": {"sampling": {name: value, "truncation": 0.8}}})
    assert values == {"task": {"sampling": {"truncation": 0.8}}}
    assert sentence.startswith(f"task.sampling.{name} is gone: {what}")
    assert upgraded_recipe({"task": {"sampling": {name: 0}}}) == ({"task": {"sampling": {}}}, [])


def test_constants_of_langevin_steps_are_gone_without_a_word() -> None:
    gone = {"langevin_step_size": 0.1, "latent_step_size": 0.1, "temperature": 0.3}
    assert upgraded_recipe({"task": {"sampling": gone}}) == ({"task": {"sampling": {}}}, [])
    assert upgraded_overrides({"task.sampling.temperature": [0.2, 0.3], "seed": [0, 1]}) == {"seed": [0, 1]}


def test_a_field_that_is_gone_is_refused_where_it_did_something(tmp_path: Path) -> None:
    values, said = upgraded_recipe({"task": {"whitening": 1.25}})
    assert (values, said) == ({"task": {"whitening": 1.25}}, [])
    file = tmp_path / "white.toml"
    file.write_text('base = "cifar100-gan-best"\nname = "white"\n[task]\nwhitening = 1.25\n', encoding="utf-8")
    with pytest.raises(ShoestringError, match="unknown key of Adversarial 'whitening'"):
        api.recipe(file)


def test_overrides_are_read_in_depth() -> None:
    schedules = [{"kind": "trapezoid", "warmup": 0.1}, {"kind": "constant"}]
    found = upgraded_overrides({"schedule": schedules, "budget.evaluations": [1, 2], "task.whitening": [0, 0]})
    assert found == {"schedule": [{"kind": "wsd", "warmup": 0.1}, {"kind": "constant"}], "budget.nfe": [1, 2]}


def test_files_of_a_run_of_before_are_read_and_written_on_under_todays_names(tmp_path: Path) -> None:
    run = Run(tmp_path)
    record = {"step": 1, "kind": "train", "mean": {"real_slope": 1.0}, "deviation": {"real_slope": 0.5}}
    (tmp_path / "log.jsonl").write_text(json.dumps(record) + "\n", encoding="utf-8")
    fid = {"value": 3.0, "floor": 1.0, "excess": 2.0, "deviation": None}
    run.write_json("measures.json", {"test": {"fast_distance": fid, "memorised_fast": {"value": 0.1}}})
    run.write_json("environment.json", {"evaluations": 57, "sessions": []})
    run.write_json("trial.json", {"device": "cpu", "chosen": {"trial": True}, "tried": []})
    assert run.log() == [
        {"step": 1, "kind": "train", "mean": {"real_squared_gradient": 1.0}, "std": {"real_squared_gradient": 0.5}}
    ]
    assert run.metrics()["test"]["cifar_resnet_fd"] == {
        "value": 3.0,
        "real_baseline": 1.0,
        "gap_to_real": 2.0,
        "std": None,
    }
    assert run.environment()["nfe"] == 57
    assert run.autotuned()["chosen"] == {"autotune": True}
    run.write_metrics("test", {"kid_768_clean": {"value": 0.2}})
    assert set(run.metrics()["test"]) == {"cifar_resnet_fd", "memorised_cifar_resnet", "kid_768_clean"}
    assert not (tmp_path / "measures.json").exists()
