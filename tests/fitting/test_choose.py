"""From folders and limits to recipes."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import tiny
import torch

from shoestring import api
from shoestring.core.device import Engine
from shoestring.core.errors import OverBudgetError, RecipeError
from shoestring.core.image_grid import to_pil
from shoestring.core.progress import Progress
from shoestring.core.rng import generator
from shoestring.data.image_folder import ImageFolder
from shoestring.data.inspection import FolderReport, inspect
from shoestring.fitting import in_time
from shoestring.fitting.choose import Fitted, choose
from shoestring.fitting.choose import wanted as asked
from shoestring.model.build import build
from shoestring.profiling.autotune import EngineTiming
from shoestring.recipes.recipe import Recipe


@pytest.fixture(autouse=True)
def milliseconds(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What a step of 128 images takes: timing is not what these tests are about."""
    found = [100.0]

    def timed(recipe: Recipe, device: str | None, progress: Progress) -> Sequence[EngineTiming]:
        slow = EngineTiming(Engine(threads=2, precision="float32"), 1e9)
        return [slow, EngineTiming(Engine(threads=1, precision="float32"), found[0] * recipe.batch_size / 128)]

    monkeypatch.setattr(in_time, "try_choices", timed)
    return found


@pytest.fixture(scope="module")
def colour(tmp_path_factory: pytest.TempPathFactory) -> tuple[ImageFolder, FolderReport]:
    return looked_at(tiny.write_pictures(tmp_path_factory.mktemp("colour") / "photos", train=50, size=40))


@pytest.fixture(scope="module")
def grey(tmp_path_factory: pytest.TempPathFactory) -> tuple[ImageFolder, FolderReport]:
    root = tmp_path_factory.mktemp("grey") / "scans"
    for label, count in (("a", 40), ("b", 10)):
        (root / label).mkdir(parents=True)
        for index in range(count):
            noise = torch.randint(256, (1, 30, 50), generator=generator(0, label, index), dtype=torch.uint8)
            to_pil(noise.expand(3, -1, -1)).save(root / label / f"{index}.png")
    return looked_at(root)


def looked_at(root: Path) -> tuple[ImageFolder, FolderReport]:
    data = ImageFolder(path=root).named(root.parent)
    return data, inspect(data, root.parent, Progress())


def chosen(folder: tuple[ImageFolder, FolderReport], **wanted: object) -> Fitted:
    return choose("mine", *folder, asked(**wanted), "cpu", Progress())


def test_a_folder_of_colour_pictures(colour: tuple[ImageFolder, FolderReport]) -> None:
    found = chosen(colour)
    assert found.recipe.data.shape == (3, 32, 32)  # of 28, 32, 48, … the largest within 40
    assert found.recipe.augment.horizontal_flip
    assert found.recipe.net.kind == "basic"
    assert 95_000 < build(found.recipe).parameters <= 100_000
    # 540 s of 100 ms; 128 images are more than the 132 that train has, less tune.
    assert found.recipe.batch_size in (64, 128)
    assert found.recipe.budget.steps == int(0.9 * 600 / (0.1 * found.recipe.batch_size / 128))
    assert found.recipe.engine.threads == 1
    assert set(found.reasons) >= {"images", "net", "takes", "batch", "steps", "engine"}


def test_a_folder_of_uneven_grey_pictures(grey: tuple[ImageFolder, FolderReport]) -> None:
    found = chosen(grey)
    assert found.recipe.data.shape == (1, 28, 28)
    assert not found.recipe.augment.horizontal_flip
    assert found.recipe.task.class_weights
    assert "uneven" in found.reasons["loss"]


def test_time_decides_steps_and_batch(colour: tuple[ImageFolder, FolderReport], milliseconds: list[float]) -> None:
    data, seen = colour
    many = data, replace(seen, counts={split: tuple(100 * n for n in counts) for split, counts in seen.counts.items()})
    milliseconds[0] = 10.0
    fast = chosen(many, minutes=10).recipe
    assert (fast.batch_size, fast.budget.steps) == (512, 10_000)  # 54,000 steps of 128 would end at 10,000
    milliseconds[0] = 1_000.0
    slow = chosen(many, minutes=10).recipe
    assert (slow.batch_size, slow.budget.steps) == (64, 1_080)
    milliseconds[0] = 1e9
    assert chosen(many).recipe.budget.steps == 1


def test_the_largest_net_within_all_limits_is_taken(colour: tuple[ImageFolder, FolderReport]) -> None:
    wanted = {"multiply_adds": 12_500_000, "activation_bytes": 40_000, "weight_bytes": 70_000, "parameters": 78_666}
    recipe = chosen(colour, **wanted).recipe
    built = build(recipe)  # admits
    assert built.device is not None
    assert built.device.multiply_adds <= 12_500_000
    assert built.device.weight_bytes <= 70_000
    assert built.device.weight_bytes > 64_000  # one of them binds
    assert recipe.budget.multiply_adds == 12_500_000


def test_separable_nets_where_plain_ones_must_be_small(colour: tuple[ImageFolder, FolderReport]) -> None:
    found = chosen(colour, multiply_adds=3_000_000)
    assert found.recipe.net.kind == "separable"
    assert "within these limits a plain net has" in found.reasons["net"]
    assert build(found.recipe).parameters > 60_000
    assert chosen(colour, multiply_adds=3_000_000, family="basic").recipe.net.kind == "basic"


def test_memory_holds_the_image_too(colour: tuple[ImageFolder, FolderReport]) -> None:
    found = chosen(colour, activation_bytes=3_000)
    assert found.recipe.data.shape == (3, 28, 28)
    assert "would not fit into 3,000 bytes" in found.reasons["images"]


def test_limits_that_nothing_is_within_are_refused(colour: tuple[ImageFolder, FolderReport]) -> None:
    with pytest.raises(OverBudgetError, match=r"narrowest net .* 28x28: .*activation bytes.*--size"):
        chosen(colour, activation_bytes=100, size=28)
    with pytest.raises(OverBudgetError, match="parameters"):
        chosen(colour, parameters=20)
    with pytest.raises(RecipeError, match="minutes must be above 0"):
        chosen(colour, minutes=0.0)
    with pytest.raises(RecipeError, match="did you mean 'basic'"):
        chosen(colour, family="basik")
    with pytest.raises(RecipeError, match="did you mean 'minutes'"):
        chosen(colour, minute=3)


def test_shipped_weights_bring_their_net_and_size(colour: tuple[ImageFolder, FolderReport]) -> None:
    found = chosen(colour, pretrained="cifar100-best-small")
    assert found.recipe.pretrained == "cifar100-best-small"
    assert found.recipe.data.shape == (3, 32, 32)
    assert found.recipe.net == api.recipe("cifar100-best-small").net
    with pytest.raises(RecipeError, match="sees images of 32x32"):
        chosen(colour, pretrained="cifar100-best-small", size=48)
    with pytest.raises(RecipeError, match="no classifier of square images"):
        chosen(colour, pretrained="cifar100-dcgan-44")


def test_processes_that_are_the_fastest_are_told(
    colour: tuple[ImageFolder, FolderReport], monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Engine(processes=2, threads=1, precision="float32")
    monkeypatch.setattr(in_time, "try_choices", lambda recipe, device, progress: [EngineTiming(engine, 100.0)])
    found = chosen(colour)
    assert found.recipe.engine.processes == 2
    assert found.reasons["engine"] == "2 processes, 1 thread, float32: the fastest of those timed here"
