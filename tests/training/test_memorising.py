"""The discriminator's logits of held-out images beside those of train and of made ones, logged during every GAN."""

from pathlib import Path

import pytest
import tiny
import torch

from shoestring import api
from shoestring.core.progress import Progress
from shoestring.core.rng import generator
from shoestring.core.run import Run
from shoestring.data.dataset import normalise
from shoestring.model.build import build
from shoestring.recipes.recipe import Recipe
from shoestring.training.train import train


def trained(recipe: Recipe, folder: Path) -> Run:
    """The run of a training without what follows it, which takes longer."""
    run = Run(folder)
    train(recipe, run, folder, "cpu", Progress(), {})
    return run


@pytest.mark.parametrize("kind", ["plain-dcgan", "conditional-dcgan"])
def test_mean_logits_are_those_of_the_nets_as_they_stand(kind: str, pictures: Path, tmp_path: Path) -> None:
    conditional = kind == "conditional-dcgan"
    widths = {"generator": (8,) * 4, "discriminator": (8,) * 4, "embedding": 4} if conditional else {"width": 4}
    recipe = tiny.gan(
        pictures,
        net={"kind": kind, "latent": 4, **widths},
        task__conditional=conditional,
        data__tune=6,
        ema=(0.9,),
        budget__parameters=30_000,
        cadence__evaluate=4,
    )
    run = trained(recipe, tmp_path / "often")
    records = run.log("logits")
    assert [record["step"] for record in records] == [4, 8, 12]
    assert all(record["n"] == 6 for record in records)  # as many of each as the smallest split has
    nets = build(recipe).nets.eval()
    nets.load_state_dict(torch.load(run.checkpoints.last(), weights_only=True)["nets"])
    found = {}
    for split in ("train", "tune"):
        images = recipe.data.load(split, tmp_path, Progress())
        chosen = torch.arange(6) * len(images) // 6
        labels = (images.labels[chosen],) if conditional else ()
        found[split] = nets["discriminator"](normalise(images.images[chosen], recipe.normalisation), *labels)
        if split == "train":
            latents = torch.randn(6, *recipe.latent_shape, generator=generator(recipe.seed, "logits"))
            found["generated"] = nets["discriminator"](nets["generator"](latents, *labels), *labels)
    expected = {name: logits.double().mean().item() for name, logits in found.items()}
    assert records[-1]["mean"] == pytest.approx(expected, rel=1e-4, abs=1e-5)
    assert len(set(expected.values())) == 3

    rarely = trained(tiny.changed(recipe, {"cadence__evaluate": 12}), tmp_path / "rarely")
    assert rarely.weights_file.read_bytes() == run.weights_file.read_bytes()


def test_where_nothing_is_held_out_there_is_no_logit_of_it(pictures: Path, tmp_path: Path) -> None:
    run = api.train(tiny.gan(pictures), tmp_path / "run", device="cpu")
    assert [set(record["mean"]) for record in run.log("logits")] == [{"train", "generated"}] * 2


def test_classifiers_have_no_such_record(classifier_run) -> None:
    assert not classifier_run.log("logits")
