"""Recipe files of runs that former versions wrote: what they learnt is what today's recipes learn, and they go on."""

import json
from pathlib import Path
from typing import Any

import pytest
import tiny

from shoestring import api
from shoestring.core.config import counting
from shoestring.core.errors import RunError
from shoestring.core.run import Run
from shoestring.model.load import recipe_of, usual_run
from shoestring.recipes import RECIPES

ASIDE = {"cadence": 0, "engine": 0, "summary": 0}  # what changes nothing that is learnt
FORMER = sorted((Path(__file__).parent / "former").glob("*.json"))
ONE_CALL = {
    "truncation": 1.0,
    "feature_ascent_steps": 0,
    "pixel_ascent_steps": 0,
    "pixel_ascent_step_size": 0.3,
}
PLAIN = {"mirrored": False, "features": None, "activation": "relu"}
WIDE_START = {
    "start": None,
    "generator": (128, 64, 32, 16),
    "generator_depths": (1, 1, 1, 1),
    "discriminator": (144, 128, 64, 32),
    "discriminator_depths": (2, 1, 1, 1),
}
SINCE: dict[str, dict[str, Any]] = {
    "cifar100-best": {"net": PLAIN | {"widths": (16, 32, 52)}, "optimiser": {"weight_decay": 0.02}},
    "cifar100-best-small": {
        "task": {"views": 1},
        "net": PLAIN | {"widths": (8, 16, 25)},
        "optimiser": {"weight_decay": 0.02},
    },
    "cifar100-dcgan-64": tiny.AS_PUBLISHED,
    "cifar100-dcgan-64-relu": tiny.AS_PUBLISHED | {"net": tiny.AS_PUBLISHED["net"] | {"refinement": "relu"}},
    "cifar100-gan-best-plain": {"budget": {"nfe": 1}, "net": WIDE_START, "task": {"sampling": ONE_CALL}},
}
"""What today's recipe of that name does in another way, on purpose."""


def saved(folder: Path, file: Path) -> Run:
    (folder / "recipe.json").write_bytes(file.read_bytes())
    return Run(folder)


@pytest.mark.parametrize("file", FORMER, ids=lambda file: file.stem)
def test_runs_of_former_versions_equal_todays_recipes(file: Path, tmp_path: Path) -> None:
    before = recipe_of(saved(tmp_path, file))
    today = api.recipe(before.name, data={"tune": before.data.tune}, **SINCE.get(file.stem, {}))
    assert counting(before) | ASIDE == counting(today) | ASIDE
    assert before.fingerprint() == today.fingerprint()
    assert api.recipe(tmp_path / "recipe.json") == before  # as `train RUN/recipe.json` takes it


def test_recipes_of_one_name_and_different_kinds_have_different_fingerprints() -> None:
    plain = RECIPES["cifar100-dcgan-64"]()
    kinds = [api.recipe(plain.name, net={"kind": kind}) for kind in ("plain-dcgan", "refined-dcgan")]
    schedules = [api.recipe(plain.name, schedule={"kind": kind}) for kind in ("constant", "step-decay", "one-cycle")]
    assert len({recipe.fingerprint() for recipe in (*kinds, *schedules)}) == 4  # refined and step-decay are its own


def test_a_run_under_a_fingerprint_of_a_former_version_goes_on(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    recipe = api.located(tiny.classifier(pictures))
    with pytest.raises(tiny.Crash):
        api.train(recipe, device="cpu", progress=tiny.Crashing(7))
    (usual,) = (tmp_path / "runs").iterdir()
    assert usual.name == f"tiny-classifier-{recipe.fingerprint()}"
    former = usual.rename(usual.with_name("tiny-classifier-0123abcd"))
    values = json.loads((former / "recipe.json").read_text())
    del values["augment"]["elastic"]  # the field was not there yet
    (former / "recipe.json").write_text(json.dumps(values))
    (tmp_path / "runs" / "tiny-classifier-00000000").mkdir()
    (tmp_path / "runs" / "tiny-classifier-00000000" / "recipe.json").write_text("torn {")
    assert api.train(recipe, device="cpu").folder.name == former.name
    other = tiny.changed(recipe, {"seed": 1})
    assert usual_run(other).folder.name == f"tiny-classifier-{other.fingerprint()}"


def test_a_changed_field_is_named_where_a_run_does_not_go_on(classifier_run: Run, pictures: Path) -> None:
    with pytest.raises(RunError, match=r"net\.stem is 4 there, 5 now"):
        api.train(tiny.classifier(pictures, net__stem=5), classifier_run.folder, device="cpu")


def test_runs_of_folders_keep_how_their_images_were_read(pictures: Path, tmp_path: Path) -> None:
    values = api.located(tiny.classifier(pictures, data__tune=0)).to_json()
    for field in ("reading", "skip_bad"):
        del values["data"][field]
    del values["task"]["class_weights"]
    (tmp_path / "recipe.json").write_text(json.dumps(values))
    before = recipe_of(Run(tmp_path))
    assert (before.data.reading, before.data.tune, before.data.reduced) == (1, 0, False)
    # What was written by version 0.1 counted as this.
    assert counting(before)["data"] == {"kind": "folder", "path": str(pictures), "size": 8, "names": list(tiny.CLASSES)}
    assert before.fingerprint() != tiny.changed(before, {"data__reading": 2}).fingerprint()
    assert before.fingerprint() != tiny.changed(before, {"data__tune": None}).fingerprint()
