import math

import pytest
import torch

from shoestring.core.errors import ExportError
from shoestring.exporting.parity import accuracies, compare


def test_the_worst_image_is_named() -> None:
    reference = torch.tensor([[0.0, 1.0], [2.0, 0.0], [0.0, 5.0]])
    answers = reference.clone()
    answers[1, 1] += 3
    answers[2, 0] += 1e-6
    parity = compare(answers, reference, 1e-4, "test", classify=True)
    assert (parity.n, parity.worst, parity.largest, parity.differing) == (3, 1, 3.0, 1)
    with pytest.raises(ExportError, match=r"the file .* off by 3 on image 1 of test, .* 1 of 3 answers"):
        parity.require("the file", "tiny")


def test_nan_is_as_wrong_as_can_be() -> None:
    reference = torch.zeros(2, 3)
    answers = reference.clone()
    answers[1, 2] = math.nan
    parity = compare(answers, reference, 1e-4, "test", classify=False)
    assert (parity.largest, parity.worst, parity.differing) == (math.inf, 1, None)
    with pytest.raises(ExportError, match="image 1"):
        parity.require("the file", "tiny")


def test_rounding_is_allowed() -> None:
    reference = torch.tensor([[0.0, 1.0]])
    compare(reference + 5e-5, reference, 1e-4, "test", classify=True).require("the file", "tiny")


def test_another_class_is_refused_within_the_tolerance() -> None:
    reference = torch.tensor([[1.0, 1.00001]])
    parity = compare(reference.flip(1), reference, 1e-4, "test", classify=True)
    with pytest.raises(ExportError, match="1 of 1 answers"):
        parity.require("the file", "tiny")


def test_accuracy_before_and_after() -> None:
    labels = torch.zeros(100, dtype=torch.int64)
    right, wrong = torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0])
    before = torch.stack([right] * 90 + [wrong] * 10)
    after = torch.stack([wrong] * 5 + [right] * 87 + [wrong] * 8)
    found = accuracies(before, after, labels)
    assert found["before"].value == 0.9
    assert found["after"].value == 0.87
    assert found["difference"].value == pytest.approx(-0.03)
    low, high = found["difference"].interval or (0, 0)
    assert low < -0.03 < high


def test_images_are_compared_by_their_root_mean_square() -> None:
    reference = torch.randn(5, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    answers = reference.clone()
    answers[3] += 0.5
    answers[1, 0, 0, 0] += 1.0  # one number of 48
    found = compare(answers, reference, 0.05, "made-up inputs", classify=False, by="image")
    assert found.worst == 3
    assert found.largest == pytest.approx(0.5 / float(reference.double().std()), rel=1e-6)
    with pytest.raises(ExportError, match=r"where 0\.05 is allowed"):
        found.require("the page", "net")
