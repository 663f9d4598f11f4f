import json
import math

import numpy as np
import pytest
import torch
from scipy import stats
from scipy.special import expit, logit
from sklearn import metrics as sklearn_metrics

from shoestring.core.errors import DataError, DivergedError
from shoestring.metrics.classification import Predictions, calibration, classification_metrics, predictions

torch.set_num_threads(1)
CLASSES, N = 10, 500


@pytest.fixture(scope="module")
def fake():
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(CLASSES, (N,), generator=generator)
    logits = torch.randn(N, CLASSES, generator=generator) + 1.5 * torch.eye(CLASSES)[labels]
    batches = [{"images": a, "labels": b} for a, b in zip(logits.split(64), labels.split(64), strict=True)]
    return predictions(lambda images: images, batches)


def test_answers_are_whole_in_order_and_float32():
    images = torch.arange(10.0).view(5, 2)
    batches = [{"images": images[i : i + 2], "labels": torch.arange(i, min(i + 2, 5))} for i in (0, 2, 4)]
    given = predictions(lambda batch: (2 * batch).to(torch.bfloat16), batches)
    assert given.logits.dtype == torch.float32
    assert torch.equal(given.logits, 2 * images)
    assert torch.equal(given.labels, torch.arange(5))
    assert given.batch_sizes == (2, 2, 1)


def test_answers_survive_a_reused_buffer_and_need_no_gradient():
    buffer, weight = torch.zeros(1, 2), torch.ones(1, requires_grad=True)

    def logits_of(images):
        assert not (images * weight).requires_grad
        return buffer.copy_(images)

    batches = [{"images": torch.full((1, 2), float(i)), "labels": torch.tensor([0])} for i in range(3)]
    assert predictions(logits_of, batches).logits[:, 0].tolist() == [0, 1, 2]


def test_no_images_and_broken_nets_are_the_users_to_mend():
    with pytest.raises(DataError, match="no images"):
        predictions(lambda images: images, [])
    with pytest.raises(DivergedError, match="NaN"):
        predictions(lambda images: images / 0, [{"images": torch.zeros(1, 2), "labels": torch.zeros(1).long()}])


def test_shares_and_confusion_are_sklearns(fake):
    metrics = classification_metrics(fake, CLASSES)
    truth, predicted = fake.labels.numpy(), fake.logits.argmax(1).numpy()
    correct = int((truth == predicted).sum())
    assert metrics["accuracy"].value == sklearn_metrics.accuracy_score(truth, predicted)
    assert metrics["accuracy"].n == N
    expected = stats.binomtest(correct, N).proportion_ci(0.95, method="wilson")
    assert metrics["accuracy"].interval == pytest.approx((expected.low, expected.high))
    top5 = sklearn_metrics.top_k_accuracy_score(truth, fake.logits.numpy(), k=5)
    assert metrics["top5_accuracy"].value == pytest.approx(top5)
    assert metrics["confusion"].value == sklearn_metrics.confusion_matrix(truth, predicted).tolist()
    recalls = sklearn_metrics.recall_score(truth, predicted, average=None)
    assert [row["value"] for row in metrics["per_class_accuracy"].value] == pytest.approx(recalls.tolist())
    assert [row["n"] for row in metrics["per_class_accuracy"].value] == np.bincount(truth).tolist()
    assert json.loads(json.dumps({name: metric.to_json() for name, metric in metrics.items()}))


def test_loss_is_sklearns_with_students_interval(fake):
    loss = classification_metrics(fake, CLASSES)["loss"]
    each = -fake.logits.double().log_softmax(1)[torch.arange(N), fake.labels].numpy()
    assert loss.value == pytest.approx(sklearn_metrics.log_loss(fake.labels, fake.logits.double().softmax(1).numpy()))
    interval = np.exp(stats.t.interval(0.95, N - 1, np.log(each.mean()), stats.sem(each) / each.mean()))
    assert loss.interval == pytest.approx(interval)
    assert loss.std == pytest.approx(each.std(ddof=1))


def test_calibration_error_is_the_explicit_sum_over_bins(fake):
    probabilities = fake.logits.double().softmax(1).numpy()
    confidence, correct = probabilities.max(1), probabilities.argmax(1) == fake.labels.numpy()
    expected = 0.0
    for i in range(15):
        inside = (confidence > i / 15) & (confidence <= (i + 1) / 15)
        if inside.any():
            expected += inside.sum() / N * abs(correct[inside].mean() - confidence[inside].mean())
    metrics = classification_metrics(fake, CLASSES)
    assert metrics["calibration_error"].value == pytest.approx(expected, abs=1e-12)
    assert sum(row["n"] for row in metrics["calibration"].value) == N


def test_a_sure_classifier_is_miscalibrated_by_how_often_it_errs():
    logits = torch.tensor([[1000.0, 0.0]] * 8)
    given = Predictions(logits, torch.tensor([0, 0, 0, 0, 0, 0, 1, 1]), (8,))
    assert classification_metrics(given, 2)["calibration_error"].value == pytest.approx(0.25)
    rows = calibration(given)
    assert rows[-1] == {"low": pytest.approx(14 / 15), "high": 1.0, "n": 8, "confidence": 1.0, "accuracy": 0.75}
    assert rows[0]["n"] == 0
    assert rows[0]["confidence"] is None


def test_batch_accuracy_leaves_out_the_short_batch(fake):
    measured = classification_metrics(fake, CLASSES)["batch_accuracy"]
    correct = (fake.logits.argmax(1) == fake.labels).numpy()[: 7 * 64].reshape(7, 64).mean(1)
    assert (measured.value, measured.std) == pytest.approx((correct.mean(), correct.std(ddof=1)))
    assert measured.n == 7
    slope = correct.mean() * (1 - correct.mean())
    interval = expit(stats.t.interval(0.95, 6, logit(correct.mean()), stats.sem(correct) / slope))
    assert measured.interval == pytest.approx(interval)


def test_equal_logits_answer_the_lowest_class():
    given = Predictions(torch.zeros(4, 8), torch.tensor([0, 1, 4, 5]), (4,))
    metrics = classification_metrics(given, 8)
    assert metrics["accuracy"].value == 0.25
    assert metrics["top5_accuracy"].value == 0.75
    assert metrics["loss"].value == pytest.approx(math.log(8))
    assert metrics["per_class_accuracy"].value[2] == {"class": 2, "value": None, "n": 0, "interval": None}


def test_few_classes_have_no_top5_and_wrong_ones_are_refused():
    given = Predictions(torch.zeros(2, 3), torch.tensor([0, 2]), (2,))
    assert "top5_accuracy" not in classification_metrics(given, 3)
    with pytest.raises(ValueError, match="4 classes"):
        classification_metrics(given, 4)
    with pytest.raises(ValueError, match="3 classes"):
        classification_metrics(Predictions(torch.zeros(1, 3), torch.tensor([3]), (1,)), 3)


def uneven(counts: list[int], right: list[int]) -> Predictions:
    """Answers to so many images of each class, of which so many are right; the others are taken for the next class."""
    labels = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    said = torch.cat([
        torch.tensor([label] * r + [(label + 1) % len(counts)] * (n - r))
        for label, (n, r) in enumerate(zip(counts, right, strict=True))
    ]).long()  # fmt: skip
    return Predictions(5.0 * torch.eye(len(counts))[said], labels, (len(labels),))


def test_uneven_classes_have_balanced_accuracy_and_the_majority_beside_accuracy():
    given = uneven([400, 20, 3], [398, 5, 0])
    metrics = classification_metrics(given, 3)
    expected = sklearn_metrics.balanced_accuracy_score(given.labels, given.logits.argmax(1))
    assert metrics["balanced_accuracy"].value == pytest.approx(expected)
    assert metrics["balanced_accuracy"].n == 423
    assert metrics["majority_baseline"].value == 400 / 423
    low, high = metrics["balanced_accuracy"].interval
    assert 0.2 < low < expected < high < 0.7  # a third of it rests on three images


def test_even_classes_have_neither():
    even = classification_metrics(uneven([50] * CLASSES, list(range(CLASSES))), CLASSES)
    assert not {"balanced_accuracy", "majority_baseline"} & even.keys()
    assert "majority_baseline" not in classification_metrics(uneven([30, 20], [1, 1]), 2)
    assert "majority_baseline" in classification_metrics(uneven([31, 20], [1, 1]), 2)


def test_a_class_without_images_does_not_count_as_one_that_is_never_told():
    metrics = classification_metrics(uneven([10, 10, 0], [8, 6, 0]), 3)
    assert metrics["balanced_accuracy"].value == pytest.approx(0.7)
    assert "1 more have no image" in metrics["balanced_accuracy"].note


def test_the_interval_of_balanced_accuracy_holds_the_truth_as_often_as_it_says():
    random = np.random.default_rng(0)
    truth, sizes = np.array([0.9, 0.6, 0.3]), [300, 40, 12]
    held = 0
    for _ in range(400):
        measured = classification_metrics(uneven(sizes, random.binomial(sizes, truth).tolist()), 3)
        low, high = measured["balanced_accuracy"].interval
        held += low <= truth.mean() <= high
    assert 0.92 <= held / 400 <= 0.985
    perfect = classification_metrics(uneven([30, 3], [30, 3]), 2)["balanced_accuracy"]
    assert perfect.value == perfect.interval[1] == 1
    assert 0.4 < perfect.interval[0] < 0.95
