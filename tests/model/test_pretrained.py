"""Trainings that start from weights of another run."""

from pathlib import Path

import pytest
import tiny
import torch

from shoestring import api, zoo
from shoestring.core.errors import RecipeError, RunError
from shoestring.core.run import Run
from shoestring.model.build import initialise
from shoestring.model.load import load_nets, recipe_of
from shoestring.model.pretrained import start_from
from shoestring.recipes.recipe import Recipe
from shoestring.report.headline import notices
from shoestring.report.run_data import read


def classifier(pictures: Path) -> Recipe:
    """A net as that of `cifar100-best-small`, of three classes."""
    start = tiny.classifier(pictures, budget__parameters=30_000, pretrained="cifar100-best-small")
    return start.replace(net=api.recipe("cifar100-best-small").net)


def test_weights_are_taken_over_where_names_and_shapes_agree(tmp_path: Path) -> None:
    recipe = classifier(tiny.write_pictures(tmp_path))
    nets = initialise(recipe)
    before = {name: tensor.clone() for name, tensor in nets.state_dict().items()}
    found = start_from(recipe, nets)
    assert found is not None
    shipped = Run(zoo.FOLDER / "cifar100-best-small")
    given = load_nets(shipped, recipe_of(shipped)).state_dict()
    for name, tensor in nets.state_dict().items():
        assert torch.equal(tensor, before[name] if name in found.fresh else given[name])
    head = {name for name in before if name.startswith("classifier.11.")}  # 3 classes, not 100
    assert set(found.fresh) == head
    assert found.taken == sum(p.numel() for name, p in nets.named_parameters() if name not in head)
    assert (found.recipe, found.data) == ("cifar100-best-small", "cifar100")


def test_a_run_says_what_it_started_from(tmp_path: Path) -> None:
    recipe = classifier(tiny.write_pictures(tmp_path / "data"))
    run = Run(tmp_path / "run")
    api.train(recipe, run=run.folder, device="cpu")
    said = " ".join(notices(read([run])[0]))
    assert "started from the weights of cifar100-best-small, so other data was used, too: cifar100" in said


def test_what_cannot_be_started_from_is_refused(tmp_path: Path) -> None:
    recipe = tiny.classifier(tiny.write_pictures(tmp_path), pretrained="cifar100-best-small")
    with pytest.raises(RecipeError, match=r"no weight of cifar100-best-small has the name and shape.*net, 'basic'"):
        start_from(recipe, initialise(recipe))
    recipe = tiny.classifier(tmp_path, pretrained="cifar100-bst")
    with pytest.raises(RunError, match="did you mean 'cifar100-best'"):
        start_from(recipe, initialise(recipe))
