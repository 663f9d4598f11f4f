import json
import math
from dataclasses import replace

import pytest
import torch

from shoestring.core.progress import Progress
from shoestring.metrics.features.extractor import FeatureSet
from shoestring.metrics.generative import real_baseline as real_baseline
from shoestring.metrics.generative.real_baseline import real_baseline_metrics
from shoestring.metrics.generative.suite import ImageFeatures, Naming, scores

torch.set_num_threads(1)

NAMING = Naming("net 4 clean 0123", "_4_clean", "judge", 3)


class Heard(Progress):
    def __init__(self):
        self.messages = []

    def say(self, message):
        self.messages.append(message)


def seen(seed, count=60):
    generator = torch.Generator().manual_seed(seed)
    images = torch.randint(256, (count, 3, 8, 8), generator=generator, dtype=torch.uint8)
    features = torch.randn(count, 4, generator=generator)
    return ImageFeatures(
        images,
        FeatureSet(features, NAMING.inception),
        FeatureSet(features[:, :2], "judge"),
        images[:, 0, 0, 0].long() % 3,
    )


@pytest.fixture
def measured(monkeypatch):
    """How often something was measured."""
    calls = []
    monkeypatch.setattr(real_baseline, "scores", lambda *given: calls.append(given) or scores(*given))
    return calls


def test_the_floor_is_that_of_the_scores_and_measured_once(tmp_path, measured):
    expected = scores(seen(1), seen(2), NAMING, Progress())
    assert {"fid_4_clean", "kid_4_clean", "spectrum", "class_histogram", "diversity_cifar_resnet"} <= set(expected)
    first, again = (real_baseline_metrics(seen(1), seen(2), NAMING, tmp_path / "cache", Progress()) for _ in range(2))
    assert first == expected
    assert again == expected  # intervals, deviations, lists and notes too
    assert list(again) == list(expected)
    assert len(measured) == 1


def test_another_set_order_extractor_or_code_is_another_floor(tmp_path, measured, monkeypatch):
    real, further = seen(1), seen(2)

    def ask(real, further, naming=NAMING):
        before = len(measured)
        real_baseline_metrics(real, further, naming, tmp_path, Progress())
        return len(measured) - before

    assert ask(real, further) == 1
    assert ask(real, further) == 0
    assert ask(further, real) == 1
    assert ask(real, seen(3)) == 1
    assert ask(real, seen(2, count=59)) == 1
    order = torch.arange(59, -1, -1)
    assert ask(replace(real, images=real.images[order]), further) == 1
    for changed in ("net 4 legacy 0123", "net 4 clean 9999"):
        assert ask(real, further, replace(NAMING, inception=changed)) == 1
    monkeypatch.setattr(real_baseline, "computed_by", lambda _: "changed")
    assert ask(real, further) == 1


def test_a_damaged_file_is_told_of_and_measured_anew(tmp_path, measured):
    found = real_baseline_metrics(seen(1), seen(2), NAMING, tmp_path, Progress())
    (file,) = tmp_path.iterdir()
    whole = file.read_text()
    value = json.dumps(found["fid_4_clean"].value)
    assert value in whole
    for damaged in (whole[:100], whole.replace(value, "0.25"), "{}", ""):
        file.write_text(damaged)
        heard = Heard()
        assert real_baseline_metrics(seen(1), seen(2), NAMING, tmp_path, heard) == found
        assert any("damaged" in message and str(file) in message for message in heard.messages)
        assert file.read_text() == whole
    assert len(measured) == 5


def test_numbers_are_kept_to_the_last_bit(tmp_path):
    found = [real_baseline_metrics(seen(1), seen(2), NAMING, tmp_path, Progress()) for _ in range(2)]
    for name, score in found[0].items():
        if isinstance(score.value, float):
            assert math.copysign(1, score.value) == math.copysign(1, found[1][name].value)
            assert score.value.hex() == found[1][name].value.hex()
