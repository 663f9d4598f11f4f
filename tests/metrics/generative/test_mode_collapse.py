import math

import pytest
import torch
from scipy import stats

from shoestring.metrics.generative.mode_collapse import class_collapse, predicted_classes

torch.set_num_threads(1)


def test_predicted_classes_are_the_argmax_in_order_and_in_batches():
    images = torch.arange(7, dtype=torch.uint8).view(7, 1, 1, 1).expand(7, 1, 2, 2)
    sizes = []

    def logits_of(part):
        sizes.append(len(part))
        assert part.dtype == torch.uint8
        return torch.nn.functional.one_hot(part[:, 0, 0, 0].long() % 3, 3).float()

    assert predicted_classes(logits_of, images, batch_size=3).tolist() == [0, 1, 2, 0, 1, 2, 0]
    assert sizes == [3, 3, 1]


def test_uniform_classes_have_entropy_log_k_and_one_class_has_none():
    uniform, single = torch.arange(100).repeat(4), torch.full((400,), 7)
    metrics = class_collapse(single, uniform, 100).metrics
    assert metrics["class_entropy_real"].value == pytest.approx(math.log(100))
    assert metrics["class_entropy"].value == 0
    assert metrics["effective_classes"].value == 1
    assert metrics["classes_missing"].value == 99
    assert class_collapse(uniform, uniform, 100).metrics["effective_classes"].value == pytest.approx(100)


def test_entropy_is_scipys_and_its_interval_covers_a_known_one():
    probabilities = torch.tensor([0.6, 0.3, 0.1], dtype=torch.float64)
    truth = stats.entropy(probabilities.numpy())
    covered = 0
    for seed in range(200):
        drawn = torch.multinomial(probabilities, 500, True, generator=torch.Generator().manual_seed(seed))
        entropy = class_collapse(drawn, drawn, 3).metrics["class_entropy"]
        assert entropy.value == pytest.approx(stats.entropy(torch.bincount(drawn, minlength=3).numpy()))
        covered += entropy.interval[0] <= truth <= entropy.interval[1]
    assert 180 <= covered <= 198


def test_the_stated_bias_is_about_the_real_one():
    generator = torch.Generator().manual_seed(0)
    short = []
    for _ in range(200):
        entropy = class_collapse(torch.randint(10, (500,), generator=generator), torch.arange(10), 10)
        short.append(math.log(10) - entropy.metrics["class_entropy"].value)
    stated = float(entropy.metrics["class_entropy"].note.split("about ")[1].split(" nats")[0])
    assert stated == pytest.approx(9 / 1000)
    assert sum(short) / 200 == pytest.approx(stated, rel=0.1)


def test_histograms_count_and_missing_classes_need_to_be_real():
    found = class_collapse(torch.tensor([0, 0, 2]), torch.tensor([0, 1, 1, 2]), 4)
    assert found.generated.tolist() == [2, 0, 1, 0]
    assert found.real.tolist() == [1, 2, 1, 0]
    assert found.metrics["classes_missing"].value == 1  # class 1; class 3 is not seen in real images either
    assert found.metrics["class_histogram"].value[1] == {"class": 1, "generated": 0, "real": 2}
    with pytest.raises(ValueError, match=r"0\.\.1"):
        class_collapse(torch.tensor([2]), torch.tensor([0]), 2)
