"""The darkest and the lightest pixel on their way into a generator's training and out of a trained generator."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from shoestring.core.budget import Budget
from shoestring.core.device import Machine
from shoestring.core.progress import Progress
from shoestring.core.run import Run
from shoestring.data.addnist import AddNIST
from shoestring.data.cifar100 import CIFAR100
from shoestring.data.dataset import Images
from shoestring.data.image_folder import ImageFolder
from shoestring.data.mnist import MNISTDigits
from shoestring.model.generator import Generator
from shoestring.model.load import recipe_of
from shoestring.model.train_state import State
from shoestring.nets.conditional_dcgan import ConditionalDCGAN
from shoestring.nets.dcgan import PlainDCGAN, RefinedDCGAN
from shoestring.nets.resnet import BasicNet
from shoestring.nets.unet import ThriftyUNet
from shoestring.recipes.recipe import Data, Learning, Net, Recipe
from shoestring.tasks.classification import Classify
from shoestring.tasks.flow.flow_matching import Flow
from shoestring.tasks.gan.diffaugment import DiffAugment
from shoestring.tasks.gan.discriminator_guidance import DiscriminatorGuidance
from shoestring.tasks.gan.guided_sampler import GuidedSampler
from shoestring.tasks.gan.task import Adversarial
from shoestring.training.step import TrainStep

DATA: tuple[Data, ...] = (
    CIFAR100(),
    CIFAR100(scale="signed"),
    MNISTDigits(),
    AddNIST(),
    ImageFolder(path=Path("mine"), names=("a", "b")),
)
GENERATORS: tuple[tuple[Net, Learning], ...] = (
    (PlainDCGAN(), Adversarial()),
    (RefinedDCGAN(), Adversarial()),
    (ConditionalDCGAN(), Adversarial(conditional=True)),
    (ThriftyUNet(), Flow()),
)


def made_of(data: Data, net: Net, task: Learning) -> Recipe:
    return Recipe(name="pair", budget=Budget(parameters=1, steps=1), data=data, net=net, task=task, batch_size=2)


def pixels_in(recipe: Recipe) -> Tensor:
    """What a net is given in training for a black and a white image, by channel."""
    images = torch.tensor([0, 255], dtype=torch.uint8).view(2, 1, 1, 1).expand(2, *recipe.data.shape)
    machine = Machine.choose(recipe.engine, "cpu")
    step = TrainStep(recipe, State(0, nn.ModuleDict(), {}), machine, Images(images, torch.tensor([0, 1]), "two"))
    return step.batch()["images"].amax((2, 3)).sort(0).values


def pixels_out(recipe: Recipe, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """What a net's -1 and 1 become."""

    class Ends(GuidedSampler):
        def generate(self, latents: Tensor, labels: Tensor) -> Tensor:
            ends = torch.tensor([-1.0, 1.0]).view(2, 1, 1, 1)
            return ends.expand(2, *recipe.data.shape)

    def sampler(_: object, nets: nn.ModuleDict, machine: Machine, *, mirrored: bool) -> Ends:
        return Ends(DiscriminatorGuidance(), DiffAugment(), False, nets, machine, mirrored)

    monkeypatch.setattr(type(recipe.task), "sampler", sampler)
    nets = nn.ModuleDict({recipe.task.generator_net or "": nn.Identity()})
    model = Generator(recipe, nets, Machine.choose(recipe.engine, "cpu"))
    images = model.decode(torch.zeros(2, *recipe.latent_shape), Progress())
    return images.unique().tolist()


@pytest.mark.parametrize("pair", GENERATORS, ids=lambda pair: pair[0].kind)
@pytest.mark.parametrize("data", DATA, ids=lambda data: f"{data.kind}-{getattr(data, 'scale', '')}")
def test_a_generator_sees_and_makes_all_pixels(
    data: Data, pair: tuple[Net, Learning], monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = made_of(data, *pair)
    assert pixels_in(recipe).tolist() == [[-1.0] * data.shape[0], [1.0] * data.shape[0]]
    assert pixels_out(recipe, monkeypatch) == [0, 255]


@pytest.mark.parametrize("data", DATA, ids=lambda data: f"{data.kind}-{getattr(data, 'scale', '')}")
def test_a_classifier_sees_pixels_as_the_data_normalises_them(data: Data) -> None:
    seen = pixels_in(made_of(data, BasicNet(), Classify()))
    expected = torch.tensor([[0.0], [1.0]]).sub(torch.tensor(data.mean)).div(torch.tensor(data.std))
    assert seen.allclose(expected, atol=1e-5)


def test_a_run_from_before_pixels_were_scaled_still_makes_what_it_learnt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = made_of(DATA[4], PlainDCGAN(), Adversarial()).to_json()
    del values["task"]["pixel_range"]
    run = Run(tmp_path)
    run.write_json("recipe.json", values)
    before = recipe_of(run)
    assert pixels_in(before)[:, 0].tolist() == [-2.0, 2.0]
    assert pixels_out(before, monkeypatch) == [64, 191]
    run.write_json("recipe.json", before.to_json())
    assert recipe_of(run) == before
    assert before.fingerprint() != made_of(DATA[4], PlainDCGAN(), Adversarial()).fingerprint()
