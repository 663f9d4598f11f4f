"""Nets of users: what they are given, what they may be, and that all that is done with nets is done with theirs."""

from pathlib import Path
from typing import Any

import own_parts
import pytest
import tiny
import torch
from torch import nn

from shoestring.core.config import Spec
from shoestring.core.errors import OverBudgetError, RecipeError
from shoestring.model.build import build, initialise
from shoestring.recipes.lookup import recipe
from shoestring.recipes.recipe import Recipe


def with_net(pictures: Path, file: Path, name: str, gan: bool = False, **changes: Any) -> Recipe:
    start = tiny.gan(pictures, **changes) if gan else tiny.classifier(pictures, **changes)
    return recipe(start, net=f"{file}:{name}")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return own_parts.write(tmp_path)


def test_a_plain_module_is_a_net(pictures: Path, file: Path) -> None:
    made = with_net(pictures, file, "TinyNet")
    built = build(made)
    # Its saved buffers count, too: one scale and the order of six channels.
    assert built.parameters == sum(p.numel() for p in initialise(made).parameters()) + 1 + 6
    rows = {row.name: row for row in built.layers}
    assert rows["classifier.stem"].output == (6, 4, 4)
    assert rows["classifier.two"].parameters == 6  # its weight is counted where it was used first
    assert rows["classifier.two"].multiply_adds == rows["classifier.one"].multiply_adds == 6 * 6 * 9 * 16


def test_options_are_typed_and_lossless(pictures: Path, file: Path) -> None:
    made = recipe(tiny.classifier(pictures), net={"kind": f"{file}:TinyNet", "options": {"width": 3}})
    assert initialise(made)["classifier"].stem.out_channels == 3
    assert Recipe.from_json(made.to_json()) == made
    assert recipe(made, net={"options": {"dropout": 0.2}}).to_json()["net"]["options"] == {"width": 3, "dropout": 0.2}
    with pytest.raises(RecipeError, match=r"net.options: unknown key of TinyNet 'widht'; did you mean 'width'\?"):
        recipe(made, net={"options": {"widht": 3}})
    with pytest.raises(RecipeError, match=r"net.options.width: Input should be a valid integer"):
        recipe(made, net={"options": {"width": "wide"}})


def test_the_code_counts_in_the_fingerprint_and_the_folder_does_not(pictures: Path, file: Path) -> None:
    made = with_net(pictures, file, "TinyNet")
    moved = file.parent.parent / "my_net.py"
    moved.write_bytes(file.read_bytes())
    assert with_net(pictures, moved, "TinyNet").fingerprint() == made.fingerprint()
    moved.write_text(moved.read_text() + "# another\n")
    assert with_net(pictures, moved, "TinyNet").fingerprint() != made.fingerprint()


def test_constructors_of_timms_style_are_given_what_they_name(pictures: Path, file: Path) -> None:
    made = with_net(pictures, file, "timm_style")
    assert initialise(made)["classifier"][1].weight.shape == (3, 3 * 64)
    plain = recipe(made, net={"kind": made.net.kind, "source": made.net.source, "options": {"bias": False}})
    assert initialise(plain)["classifier"][1].bias is None
    with pytest.raises(RecipeError, match=r"net 'my_net.py:timm_style' fails: TypeError: .*'biass' \(my_net.py, line"):
        build(recipe(made, net={"kind": made.net.kind, "source": made.net.source, "options": {"biass": False}}))


def test_attention_is_counted(pictures: Path, file: Path) -> None:
    rows = {row.name: row for row in build(with_net(pictures, file, "Attention")).layers}
    tokens, width = 4, 8
    projections, products = 4 * tokens * width * width, 2 * tokens * tokens * width
    assert rows["classifier.mix"].multiply_adds == projections + products
    assert rows["classifier.mix"].output == (tokens, width)


def test_one_parameter_too_many_is_refused_with_the_table(tmp_path: Path, pictures: Path) -> None:
    text = "from torch import nn\ndef net(): return nn.Sequential(nn.Flatten(), nn.Linear(192, 3), Extra())\n" + (
        "class Extra(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        "        self.extra = nn.Parameter(__import__('torch').zeros(100_001 - 579))\n"
        "    def forward(self, x): return x + self.extra.sum()\n"
    )
    file = own_parts.write(tmp_path, text)
    with pytest.raises(OverBudgetError, match=r"100,001 parameters, 1 over the budget of 100,000:\n.*Linear +579") as e:
        build(with_net(pictures, file, "net", budget__parameters=100_000))
    assert "Extra" in str(e.value)
    assert build(with_net(pictures, file, "net", budget__parameters=100_001)).parameters == 100_001


def test_two_modules_are_a_gan(tmp_path: Path, pictures: Path) -> None:
    file = own_parts.write(tmp_path, own_parts.GAN)
    made = with_net(pictures, file, "gan", gan=True)
    assert made.latent_shape == (4,)
    assert {row.name.split(".")[0] for row in build(made).layers} == {"generator", "discriminator"}
    conditional = {"conditional": True}
    told = recipe(tiny.gan(pictures), net=f"{file}:told_gan", task=conditional)
    nets = build(told).nets
    half = torch.tensor([[0.2, 0.8, 0.0]])
    latent = torch.ones(1, 4)
    nets.eval()
    assert torch.equal(nets["generator"](latent, half), nets["generator"](latent, torch.tensor([1])))
    with pytest.raises(RecipeError, match=r"task.conditional gives both nets the class, but this net takes"):
        recipe(tiny.gan(pictures), net=f"{file}:gan", task=conditional)
    with pytest.raises(RecipeError, match=r"told_gan' takes num_classes, so its nets are conditional, but the task"):
        build(with_net(pictures, file, "told_gan", gan=True))
    with pytest.raises(RecipeError, match=r"makes discriminator and generator, but task 'classify' trains classifier"):
        build(with_net(pictures, file, "gan"))


def test_a_spec_takes_part_as_it_is(tmp_path: Path, pictures: Path) -> None:
    text = (
        "import torch\nfrom torch import nn\nfrom pydantic import PositiveInt\n"
        "from shoestring.core.config import Spec\n"
        "class Mine(Spec):\n    width: PositiveInt = 5\n"
        "    def build(self, shape, num_classes):\n"
        "        layers = nn.Flatten(), nn.Linear(192, self.width), nn.Linear(self.width, num_classes)\n"
        "        return nn.ModuleDict({'classifier': nn.Sequential(*layers)})\n"
        "    def examples(self, shape): return {'classifier': (torch.zeros(1, *shape),)}\n"
    )
    file = own_parts.write(tmp_path, text)
    made = recipe(tiny.classifier(pictures), net={"kind": f"{file}:Mine", "width": 7})
    assert made.to_json()["net"].keys() == {"width", "kind", "source"}
    assert Recipe.from_json(made.to_json()) == made
    assert build(made).parameters == 193 * 7 + 8 * 3
    with pytest.raises(RecipeError, match=r"unknown key of Mine 'widht'; did you mean 'width'\?"):
        recipe(tiny.classifier(pictures), net={"kind": f"{file}:Mine", "widht": 7})


class Here(nn.Module):
    def __init__(self, num_classes: int, hidden: int = 4) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(192, hidden), nn.Linear(hidden, num_classes))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.net(images)


class HereSpec(Spec):
    hidden: int = 4

    def build(self, shape: tuple[int, int, int], num_classes: int) -> nn.ModuleDict:
        return nn.ModuleDict({"classifier": Here(num_classes, self.hidden)})

    def examples(self, shape: tuple[int, int, int]) -> dict[str, tuple[torch.Tensor, ...]]:
        return {"classifier": (torch.zeros(1, *shape),)}


def test_classes_and_specs_of_the_program_are_given_as_they_are(pictures: Path) -> None:
    made = recipe(tiny.classifier(pictures), net=Here)
    assert made.net.kind == "test_custom.py:Here"
    assert build(made).parameters == 193 * 4 + 5 * 3
    made = recipe(tiny.classifier(pictures), net={"kind": Here, "options": {"hidden": 2}})
    assert build(made).parameters == 193 * 2 + 3 * 3
    made = recipe(tiny.classifier(pictures), net=HereSpec(hidden=3))
    assert build(made).parameters == 193 * 3 + 4 * 3
    assert Recipe.from_json(made.to_json()) == made
    with pytest.raises(RecipeError, match="a lambda cannot be found again"):
        recipe(tiny.classifier(pictures), net=lambda num_classes: Here(num_classes))
    with pytest.raises(RecipeError, match=r"net=Here\(…\) is built already; give its class, or a function"):
        recipe(tiny.classifier(pictures), net=Here(3))
