import math

import pytest
import torch
from torch import nn

from shoestring.tasks.classification import Classify, inverse_frequency
from shoestring.tasks.contract import Batch

NETS = nn.ModuleDict({"classifier": nn.Flatten()})  # an image of 1x1 pixels is its own logits


def batch_of(logits: list[list[float]], labels: list[int]) -> Batch:
    return {"images": torch.tensor(logits)[:, :, None, None], "labels": torch.tensor(labels)}


def drawn(task: Classify, batch: Batch, seed: int = 0) -> Batch:
    return task.draw(batch, (), 0, torch.Generator().manual_seed(seed))


def test_loss_is_the_mean_negative_log_probability_of_the_labels() -> None:
    batch = batch_of([[math.log(3), 0.0, 0.0], [0.0, 0.0, math.log(8)]], [0, 1])
    loss, metrics = Classify().loss("classifier", NETS, drawn(Classify(), batch))
    assert loss.item() == pytest.approx((-math.log(3 / 5) - math.log(1 / 10)) / 2)
    assert metrics["accuracy"].item() == 0.5


def test_label_smoothing_moves_probability_to_all_classes_alike() -> None:
    batch = batch_of([[math.log(3), 0.0, 0.0]], [0])
    loss, _ = Classify(label_smoothing=0.3).loss("classifier", NETS, batch)
    assert loss.item() == pytest.approx(-(0.8 * math.log(3 / 5) + 0.2 * math.log(1 / 5)))


def test_without_mixup_the_batch_is_left_as_it_is() -> None:
    batch = batch_of([[1.0, 2.0], [3.0, 4.0]], [0, 1])
    assert drawn(Classify(), batch) is batch


def test_mixup_blends_each_image_and_its_label_with_the_one_before_it() -> None:
    images, labels = torch.randn(1000, 4, 1, 1), torch.randint(4, (1000,))
    task = Classify(mixup=0.4)
    mixed = drawn(task, {"images": images, "labels": labels})
    weight = mixed["mixed_weight"]
    assert 0 <= weight.min() < 0.01
    assert 0.39 < weight.max() <= 0.4
    assert weight.mean().item() == pytest.approx(0.2, abs=0.015)
    other = torch.arange(1000) - 1
    w = weight.view(-1, 1, 1, 1)
    torch.testing.assert_close(mixed["images"], (1 - w) * images + w * images[other])
    assert torch.equal(mixed["labels"], labels)
    chances = mixed["images"].flatten(1).log_softmax(1)
    each = (1 - weight) * chances[torch.arange(1000), labels] + weight * chances[torch.arange(1000), labels[other]]
    loss, metrics = task.loss("classifier", NETS, mixed)
    torch.testing.assert_close(loss, -each.mean())
    torch.testing.assert_close(metrics["accuracy"], (chances.argmax(1) == labels).float().mean())


def test_mixup_depends_on_nothing_but_the_generator() -> None:
    task, batch = Classify(mixup=0.5), batch_of([[1.0, 2.0], [3.0, 5.0]], [0, 1])
    again = [drawn(task, batch, seed)["images"] for seed in (1, 1, 2)]
    assert torch.equal(again[0], again[1])
    assert not torch.equal(again[0], again[2])


def test_class_weights_make_every_class_count_alike() -> None:
    labels = torch.tensor([0] * 6 + [1] * 3 + [2])
    weights = inverse_frequency(labels, 4)
    torch.testing.assert_close(weights, torch.tensor([10 / 18, 10 / 9, 10 / 3, 0.0]))
    assert weights[labels].mean().item() == pytest.approx(1)
    logits = torch.randn(10, 4, generator=torch.Generator().manual_seed(0))
    batch = {"images": logits[:, :, None, None], "labels": labels, "class_weights": weights}
    loss, _ = Classify(class_weights=True).loss("classifier", NETS, batch)
    each = -logits.log_softmax(1)[torch.arange(10), labels]
    torch.testing.assert_close(loss, torch.stack([each[labels == label].mean() for label in range(3)]).mean())


def test_class_weights_of_mixed_images_are_those_of_both_classes() -> None:
    batch = batch_of([[1.0, 2.0], [3.0, 5.0]], [0, 1]) | {"class_weights": torch.tensor([2.0, 0.5])}
    task = Classify(class_weights=True, mixup=0.5)
    mixed = drawn(task, batch)
    loss, _ = task.loss("classifier", NETS, mixed)
    chances, weight = mixed["images"].flatten(1).log_softmax(1), mixed["mixed_weight"]
    expected = [
        (1 - weight[i]) * -chances[i, i] * (2.0, 0.5)[i] + weight[i] * -chances[i, 1 - i] * (0.5, 2.0)[i]
        for i in (0, 1)
    ]
    torch.testing.assert_close(loss, torch.stack(expected).mean())
