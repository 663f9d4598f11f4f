from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from shoestring.core.errors import DataError
from shoestring.core.progress import Progress
from shoestring.data.image_files import read_folder
from shoestring.data.image_folder import ImageFolder


class Listening(Progress):
    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, message: str) -> None:
        self.said.append(message)


def pixels(height: int, width: int, *channels: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, *channels), dtype=np.uint8)


def test_all_images_in_order_of_their_names(tmp_path: Path) -> None:
    pictures = {f"{name}.png": pixels(5, 7, 3, seed=seed) for seed, name in enumerate(("b", "a", "c10", "C"))}
    for name, picture in pictures.items():
        Image.fromarray(picture).save(tmp_path / name)
    Image.fromarray(pixels(5, 7, 3)).save(tmp_path / "UPPER.BMP", format="BMP")
    found = read_folder(tmp_path, Progress())
    assert found.shape == (5, 3, 5, 7)
    assert found.dtype == torch.uint8
    for image, name in zip(found, ("C.png", "UPPER.BMP", "a.png", "b.png", "c10.png"), strict=True):
        assert (image.permute(1, 2, 0).numpy() == pictures.get(name, pixels(5, 7, 3))).all()


def test_every_form_is_read_as_a_training_reads_it(tmp_path: Path) -> None:
    for name in ("ant", "bee"):
        (tmp_path / name).mkdir()
    grey = pixels(8, 8)
    Image.fromarray(grey).save(tmp_path / "ant" / "grey.png")
    Image.fromarray(grey).convert("P").save(tmp_path / "ant" / "palette.png")
    Image.fromarray(grey.astype(np.uint16) * 257).save(tmp_path / "ant" / "deep.png")
    Image.fromarray(pixels(8, 8, 4)).save(tmp_path / "bee" / "transparent.png")
    Image.fromarray(pixels(8, 8, 3)).save(tmp_path / "bee" / "photo.jpg")
    found = read_folder(tmp_path, Progress())  # of class folders
    for image in found[:3]:
        assert (image.numpy() == grey).all()
    source = ImageFolder(path=tmp_path, size=8, test_fraction=0.01, tune=0)
    trained_on = {image.numpy().tobytes() for image in source.load("train", tmp_path, Progress()).images}
    assert {image.numpy().tobytes() for image in found} == trained_on


def test_what_is_no_image_is_passed_over_and_counted(tmp_path: Path) -> None:
    for name in ("a.png", "b.jpeg", ".hidden.png"):
        Image.fromarray(pixels(4, 4, 3)).save(tmp_path / name)
    progress = Listening()
    assert len(read_folder(tmp_path, progress)) == 2
    assert progress.said == []
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / "more").mkdir()
    assert len(read_folder(tmp_path, progress)) == 2
    assert progress.said == [
        f"passed over {tmp_path / 'more'} and 1 more files or folders: no images, by their endings"
    ]


def test_a_folder_without_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"nowhere is not a folder"):
        read_folder(tmp_path / "nowhere", Progress())
    (tmp_path / "a.txt").write_text("no image")
    with pytest.raises(DataError, match=r"holds no images, nor folders of images; give one that does$"):
        read_folder(tmp_path, Progress())
    for part in ("test", "train"):
        (tmp_path / part / "ant").mkdir(parents=True)
        Image.fromarray(pixels(4, 4, 3)).save(tmp_path / part / "ant" / "a.png")
    with pytest.raises(DataError, match=r"give one that does, such as .*test$"):
        read_folder(tmp_path, Progress())
    assert len(read_folder(tmp_path / "test", Progress())) == 1


def test_mixed_sizes_name_both_files_and_a_remedy(tmp_path: Path) -> None:
    Image.fromarray(pixels(4, 5, 3)).save(tmp_path / "a.png")
    Image.fromarray(pixels(5, 4, 3)).save(tmp_path / "b.png")
    with pytest.raises(DataError, match=r"b\.png is 4x5, but .*a\.png is 5x4 .* such as mine.toml:test"):
        read_folder(tmp_path, Progress())


@pytest.mark.parametrize("kind", ["text", "truncated", "empty"])
def test_what_is_damaged_is_named(tmp_path: Path, kind: str) -> None:
    file = tmp_path / "bad.png"
    Image.fromarray(pixels(20, 20, 3)).save(file)
    file.write_bytes({"text": b"hello", "truncated": file.read_bytes()[:300], "empty": b""}[kind])
    with pytest.raises(DataError, match=r"bad\.png cannot be read as an image"):
        read_folder(tmp_path, Progress())
