"""The digits that `predict` shows beside its answer: by a reader of known certainty, and by a trained net."""

import itertools
import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from shoestring import api
from shoestring.cli.main import main
from shoestring.core.device import Machine
from shoestring.core.run import Run
from shoestring.data.embedded_digits import read_embedded_digits
from shoestring.model.classifier import Classifier
from shoestring.nets.digit_sum import DigitAdder, DigitReader, DigitSum
from shoestring.recipes import RECIPES

RUN = Path(__file__).parent.parent / "results" / "addnist-quick"
TRIPLES = ((3, 8, 7), (0, 0, 1), (9, 2, 9), (4, 5, 6))
CERTAINTY = 0.9


class OfBrightness(nn.Module):
    """Reads the digit d off pixels of brightness 20 d, and gives it a probability of 0.9, the nine others the rest."""

    def forward(self, x: Tensor) -> Tensor:
        digits = ((x[:, 0, 0, 0] * 0.3081 + 0.1307) * 255 / 20).round().long()
        return math.log(9 * CERTAINTY / (1 - CERTAINTY)) * nn.functional.one_hot(digits, 10).float()


def model(net: nn.Module) -> Classifier:
    machine = Machine(torch.device("cpu"), torch.float32, channels_last=False, graphs=False, compile=False)
    return Classifier(RECIPES["addnist-quick"](), nn.ModuleDict({"classifier": net}).eval(), machine)


def plain_pictures(folder: Path) -> list[Path]:
    """One file for each triple, whose channels are as bright as their digits."""
    files = [folder / f"{''.join(map(str, triple))}.png" for triple in TRIPLES]
    for file, triple in zip(files, TRIPLES, strict=True):
        Image.new("RGB", (28, 28), tuple(20 * digit for digit in triple)).save(file)
    return files


def written_pictures(folder: Path) -> list[Path]:
    """One file for each triple, of MNIST digits that nothing was trained on."""
    digits = read_embedded_digits("test")
    files = [folder / f"{''.join(map(str, triple))}.png" for triple in TRIPLES]
    for file, triple in zip(files, TRIPLES, strict=True):
        channels = [digits.images[np.flatnonzero(digits.labels == digit)[0]] for digit in triple]
        Image.fromarray(np.stack(channels, 2)).save(file)
    return files


def test_digits_and_sum_have_the_probabilities_of_the_closed_form(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shoestring.api.models.load", lambda *_, **__: model(DigitAdder(OfBrightness(), 3, 20)))
    for triple, found in zip(TRIPLES, api.predict("any", plain_pictures(tmp_path), top=20), strict=True):
        assert found["digits"] == [
            {"channel": channel, "digit": digit, "probability": pytest.approx(CERTAINTY, abs=1e-6)}
            for channel, digit in zip(("red", "green", "blue"), triple, strict=True)
        ]
        chances = [0.0] * 28
        for other in itertools.product(range(10), repeat=3):
            chances[sum(other)] += math.prod(
                CERTAINTY if seen == true else (1 - CERTAINTY) / 9 for seen, true in zip(other, triple, strict=True)
            )
        expected = {f"sum {k}": chances[k] / sum(chances[1:21]) for k in range(1, 21)}
        assert {c["class"]: c["probability"] for c in found["classes"]} == pytest.approx(expected, abs=2e-6)


def test_probabilities_of_the_digits_are_those_of_the_net() -> None:
    torch.manual_seed(0)
    net = DigitSum(width=2).build((3, 28, 28), 20)["classifier"]
    images = torch.randint(256, (5, 3, 28, 28), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    found = model(net).digits(images)
    assert found is not None
    assert found.shape == (5, 3, 10)
    floats = (images.float() / 255 - 0.1307) / 0.3081
    torch.testing.assert_close(found, torch.stack([net.reader(floats[:, c : c + 1]).softmax(1) for c in range(3)], 1))


def test_a_net_is_a_reader_by_its_method_alone(classifier_run: Run, pictures: Path) -> None:
    class Other(nn.Module):
        def digits(self, x: Tensor) -> Tensor:
            return torch.full((len(x), 3, 10), -math.log(10))

    assert isinstance(Other(), DigitReader)
    found = model(Other()).digits(torch.zeros(2, 3, 28, 28))
    assert found is not None
    torch.testing.assert_close(found, torch.full((2, 3, 10), 0.1))
    picture = pictures / "test" / "red" / "00.png"
    assert api.load(classifier_run.folder, "cpu").digits(torch.zeros(1, 3, 32, 32)) is None
    assert set(api.predict(classifier_run.folder, [picture], device="cpu")[0]) == {"image", "classes"}


@pytest.mark.skipif(not RUN.is_dir(), reason="the runs are only in a checkout")
def test_digits_are_read_that_were_never_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The shipped run of addnist-quick, which learned sums only, through the command line."""
    monkeypatch.chdir(tmp_path)
    words = ["predict", str(RUN), *(file.name for file in written_pictures(tmp_path)), "--top", "1", "--device", "cpu"]
    assert main([*words, "--json"]) == 0
    for triple, found in zip(TRIPLES, json.loads(capsys.readouterr().out)["predictions"], strict=True):
        assert tuple(digit["digit"] for digit in found["digits"]) == triple
        assert found["classes"][0]["class"] == f"sum {sum(triple)}"
    assert main(words) == 0
    title, _, head, _, *rows = capsys.readouterr().out.split("Digits it read")[1].splitlines()
    assert title.strip() == ", by channel"
    assert head.split() == ["image", "red", "green", "blue"]
    for triple, row in zip(TRIPLES, rows, strict=False):
        name, *cells = row.split()
        assert name == f"{''.join(map(str, triple))}.png"
        assert tuple(int(cell) for cell in cells[0::3]) == triple
        assert all(50 < float(cell.strip("(")) <= 100 for cell in cells[1::3])


def test_no_digits_are_shown_of_a_net_that_reads_none(
    classifier_run: Run, pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", str(classifier_run.folder), str(pictures / "test" / "red" / "00.png")]) == 0
    assert "Digits" not in capsys.readouterr().out
