"""What is refused of users' nets before any training, and in which words."""

from pathlib import Path

import own_parts
import pytest
import tiny

from shoestring import api
from shoestring.core.errors import RecipeError
from shoestring.core.run import Run
from shoestring.model.build import build
from shoestring.recipes.lookup import recipe

HEAD = """
import random
import torch
from torch import nn

class Flat(nn.Module):
    def __init__(self, num_classes):
        super().__init__()
        self.net = nn.Linear(192, num_classes)
    def forward(self, x):
        return self.net(x.flatten(1))
"""

FAULTS = {
    "another count each time": (
        "sizes = iter(range(1, 99))\ndef net(num_classes):\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(192, next(sizes)), nn.LazyLinear(num_classes))",
        "lazy layers",
    ),
    "a count that changes": (
        "sizes = iter(range(1, 99))\ndef net(num_classes):\n    k = next(sizes)\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(192, k), nn.Linear(k, num_classes))",
        r"has 199 parameters, and 395 when it is built again",
    ),
    "no parameters": (
        "class net(nn.Module):\n    def forward(self, x): return x.mean((2, 3))",
        "classifier has no parameters to train",
    ),
    "NaN": (
        "class net(Flat):\n    def forward(self, x): return super().forward(x) * float('nan')",
        "classifier gives NaN or infinity before any training",
    ),
    "too few logits": (
        "def net(): return Flat(2)",
        r"classifier gives \(2, 2\) for 2 images, not \(2, 3\), logits of 3 classes",
    ),
    "no tensor": (
        "class net(Flat):\n    def forward(self, x): return (super().forward(x),)",
        "classifier gives a tuple, not a tensor",
    ),
    "no module": ("def net(): return 3", "makes int as classifier, not a torch.nn.Module"),
    "a tensor that is no buffer": (
        "class net(Flat):\n    def __init__(self, num_classes):\n        super().__init__(num_classes)\n"
        "        self.mask = torch.rand(192)\n    def forward(self, x): return self.net(x.flatten(1) * self.mask)",
        "answers otherwise when it is built anew and given its weights",
    ),
    "a number that counts calls": (
        "class net(Flat):\n    calls = 0\n    def forward(self, x):\n        self.calls += self.training\n"
        "        return super().forward(x) * (1 + self.calls)",
        "answers otherwise when it is built anew and given its weights",
    ),
    "one image alone": (
        "class net(Flat):\n    def forward(self, x): return super().forward(x.squeeze())",
        r"fails as classifier on a batch of 1 in evaluation mode: RuntimeError: .* \(my_net.py, line 11\)",
    ),
    "other images matter": (
        "class net(Flat):\n    def forward(self, x): return super().forward(x - x.mean(0))",
        "answers otherwise about an image when another one is in its batch",
    ),
    "infinity in a buffer": (
        "class net(Flat):\n    def __init__(self, num_classes):\n        super().__init__(num_classes)\n"
        "        self.register_buffer('mask', torch.tensor(float('-inf')))",
        "its buffer mask is not finite",
    ),
    "nothing to learn": (
        "class net(Flat):\n    def forward(self, x): return super().forward(x).detach()",
        "fails in a training step of 2 images: RuntimeError: element 0 of tensors does not require grad",
    ),
    "an error while it is built": (
        "def net(num_classes): return nn.Linear(num_classes)",
        r"net 'my_net.py:net' fails: TypeError: .* \(my_net.py, line 12\)",
    ),
    "no copy": (
        "class net(Flat):\n    def __init__(self, num_classes):\n        super().__init__(num_classes)\n"
        "        self.scale = self.net.weight.sum()",
        "cannot be copied, as EMA weights are: RuntimeError",
    ),
}


@pytest.mark.parametrize(("code", "message"), FAULTS.values(), ids=FAULTS)
def test_what_could_not_be_trained_or_loaded_is_refused(
    code: str, message: str, tmp_path: Path, pictures: Path
) -> None:
    file = own_parts.write(tmp_path, f"{HEAD}{code}\n")
    with pytest.raises(RecipeError, match=message) as error:
        api.train(tiny.classifier(pictures), tmp_path / "run", device="cpu", net=f"{file}:net")
    assert "\n" not in str(error.value)
    assert not Run(tmp_path / "run").folder.exists()


@pytest.mark.parametrize("name", ["TinyNet", "timm_style", "Attention"])
def test_what_can_be_is_admitted(name: str, tmp_path: Path, pictures: Path) -> None:
    build(recipe(tiny.classifier(pictures), net=f"{own_parts.write(tmp_path)}:{name}"))
