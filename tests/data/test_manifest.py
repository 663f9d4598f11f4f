import json

import pytest
import torch
from pydantic import TypeAdapter

from shoestring.data.dataset import Images
from shoestring.data.manifest import Manifest, changes, manifest

PIXELS = torch.randint(0, 256, (40, 3, 4, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
LABELS = torch.arange(40) % 4


def of(indices: list[int], labels: torch.Tensor = LABELS, listed: bool = True) -> Manifest:
    return manifest(Images(PIXELS[indices], labels[indices], "patterns"), listed)


def test_the_order_of_images_does_not_matter_and_their_pixels_labels_and_number_do() -> None:
    whole = of(list(range(40)))
    assert of(list(range(39, -1, -1))) == whole
    assert (whole.count, len(whole.images), len(whole.pixels)) == (40, 40, 40)
    for other in (of(list(range(39))), of([*range(39), 0]), of(list(range(40)), LABELS.flip(0))):
        assert other.digest != whole.digest
    assert of(list(range(40)), listed=False) == Manifest(40, whole.digest)
    assert TypeAdapter(Manifest).validate_python(json.loads(json.dumps(whole.to_json()))) == whole


@pytest.mark.parametrize(
    ("train", "tune", "said"),
    [
        (range(30), range(30, 36), ""),
        (range(29, -1, -1), range(30, 36), ""),
        (range(28), range(30, 36), "2 removed"),
        (range(2, 30), range(30, 40), "4 added, 2 removed"),
        (range(1, 31), [0, *range(31, 36)], "2 moved between splits"),
        ([*range(30), 0], range(30, 36), "1 added"),
        ([*range(30), 30], range(31, 36), "1 moved between splits"),
    ],
)
def test_what_changed_is_told_image_by_image(train: list[int], tune: list[int], said: str) -> None:
    before = {"train": of(list(range(30))), "tune": of(list(range(30, 36)))}
    assert changes(before, {"train": of(list(train)), "tune": of(list(tune))}) == said


def test_another_label_is_a_change() -> None:
    labels = LABELS.clone()
    labels[3:5] += 1
    assert changes({"train": of([1, 2, 3, 4])}, {"train": of([1, 2, 3, 4], labels)}) == "2 labelled otherwise"


def test_what_is_not_listed_is_counted() -> None:
    before = {"train": of([1, 2, 3], listed=False), "tune": of([4, 5], listed=False)}
    now = {"train": of([1, 2, 4], listed=False), "tune": of([5], listed=False)}
    said = "train has other images or labels, as many as before; tune has 1 images and had 2"
    assert changes(before, now) == said
