"""Images as users have them: every form that is taken gives the same pixels, and each fault one message."""

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from PIL import Image

from shoestring.core.errors import DataError
from shoestring.core.progress import Progress
from shoestring.data.given import given_data, labelled

PIXELS = np.random.default_rng(0).integers(0, 256, (12, 3, 5, 5), dtype=np.uint8)
LABELS = np.arange(12) % 3


class TorchSet(torch.utils.data.Dataset[Any]):
    classes = ("a", "b", "c")

    def __len__(self) -> int:
        return 12

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return torch.from_numpy(PIXELS[index]).float() / 255, int(LABELS[index])


class ClassLabel:
    names = ("a", "b", "c")


class HuggingFaceSet:
    """What a `datasets.Dataset` shows of itself."""

    features: ClassVar = {"img": None, "fine_label": ClassLabel()}

    def __len__(self) -> int:
        return 12

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {"img": Image.fromarray(PIXELS[index].transpose(1, 2, 0)), "fine_label": LABELS[index]}


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ((PIXELS, LABELS), ()),
        ((PIXELS.transpose(0, 2, 3, 1), LABELS.astype(np.uint8), ["a", "b", "c"]), ("a", "b", "c")),
        ((torch.from_numpy(PIXELS), torch.from_numpy(LABELS)), ()),
        ([PIXELS, LABELS.tolist()], ()),
        (torch.utils.data.TensorDataset(torch.from_numpy(PIXELS), torch.from_numpy(LABELS)), ()),
        (TorchSet(), ("a", "b", "c")),
        (HuggingFaceSet(), ("a", "b", "c")),
    ],
    ids=["numpy", "channels last", "torch", "list", "TensorDataset", "torch Dataset", "Hugging Face"],
)
def test_every_form_gives_the_same(given: Any, names: tuple[str, ...]) -> None:
    found = labelled(given, "it")
    assert torch.equal(found.images, torch.from_numpy(PIXELS))
    assert torch.equal(found.labels, torch.from_numpy(LABELS))
    assert found.names == names


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            (PIXELS.astype(np.float32), LABELS),
            r"images must be uint8 and at least one, got float32 \(12, 3, 5, 5\)",
        ),
        ((PIXELS[:0], LABELS[:0]), "at least one"),
        ((PIXELS[:, :2], LABELS), r"with 1 or 3 channels, or \(n, h, w\), got \(12, 2, 5, 5\)"),
        ((PIXELS, LABELS[:5]), r"it: labels must be 12 whole numbers from 0, got int64 \(5,\)"),
        ((PIXELS, LABELS - 1), "whole numbers from 0"),
        ((PIXELS, LABELS / 2), "whole numbers from 0, got float64"),
        (
            [(PIXELS[0], 0), (PIXELS[0, :, :4], 1)] * 2,
            r"image 1 is \(3, 4, 5\), the first \(3, 5, 5\); resize",
        ),
        ([(PIXELS[0] / 2, 0)] * 4, "images must be uint8, of Pillow, or floats in 0..1, got float64"),
        ([{"picture": PIXELS[0], "label": 0}] * 4, "it has items with picture, label; an image and a label are"),
        (3, "it is a int, not"),
    ],
)
def test_what_is_no_data_is_refused(given: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        labelled(given, "it")


def test_splits_are_by_content_and_hold_out_what_is_asked() -> None:
    spec = given_data((PIXELS, LABELS)).replace(tune=3)
    parts = {split: spec.load(split, Path(), Progress()) for split in ("train", "tune", "test")}
    assert {split: len(images) for split, images in parts.items()} == {"train": 7, "tune": 3, "test": 2}
    together = torch.cat([images.images for images in parts.values()]).flatten(1)
    assert len(together.unique(dim=0)) == 12
    backwards = given_data((PIXELS[::-1], LABELS[::-1])).replace(tune=3)
    assert torch.equal(backwards.load("test", Path(), Progress()).images, parts["test"].images)


def test_test_images_are_of_the_shape_and_classes_of_train() -> None:
    spec = given_data({"train": (PIXELS, LABELS), "test": (PIXELS[..., :4], LABELS)})
    with pytest.raises(DataError, match=r"test images are \(3, 5, 4\), not \(3, 5, 5\)"):
        spec.load("test", Path(), Progress())
    spec = given_data({"train": (PIXELS, LABELS), "test": (PIXELS, LABELS + 1)})
    with pytest.raises(DataError, match="test has labels up to 3, but there are 3 classes"):
        spec.load("test", Path(), Progress())


def test_images_without_labels_are_of_one_class() -> None:
    assert given_data((PIXELS, None)).classes == ("0",)
