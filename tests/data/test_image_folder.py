import os
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from pydantic import ValidationError

from shoestring.core.errors import DataError
from shoestring.core.progress import Progress
from shoestring.data.dataset import Images, Split
from shoestring.data.image_folder import ImageFolder

SPLITS: tuple[Split, ...] = ("train", "tune", "test")


def colour(label: int, number: int) -> tuple[int, int, int]:
    return 10 * label, number, 255 - number


def fill(root: Path, counts: dict[str, int], first: int = 0) -> Path:
    for label, (name, count) in enumerate(counts.items()):
        (root / name).mkdir(parents=True)
        for number in range(first, first + count):
            Image.new("RGB", (40, 30), colour(label, number)).save(root / name / f"{number}.png")
    return root


class Listening(Progress):
    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, message: str) -> None:
        self.said.append(message)


def colours(images: Images) -> set[tuple[int, ...]]:
    assert (images.images == images.images[:, :, :1, :1]).all()
    return {tuple(pixel) for pixel in images.images[:, :, 0, 0].tolist()}


def test_train_and_test_folders_are_kept_apart(tmp_path: Path) -> None:
    fill(tmp_path / "mine" / "train", {"ant": 12, "bee": 6})
    fill(tmp_path / "mine" / "test", {"ant": 3, "bee": 2}, first=100)
    source = ImageFolder(path=Path("mine"), size=16, tune=6)
    train, tune, test = (source.load(split, tmp_path, Progress()) for split in SPLITS)
    assert train.images.shape == (12, 3, 16, 16)
    assert torch.bincount(train.labels).tolist() == [8, 4]
    assert torch.bincount(tune.labels).tolist() == [4, 2]
    assert torch.bincount(test.labels).tolist() == [3, 2]
    assert colours(test) == {colour(0, n) for n in range(100, 103)} | {colour(1, n) for n in range(100, 102)}
    assert colours(train) | colours(tune) == {colour(0, n) for n in range(12)} | {colour(1, n) for n in range(6)}
    for images in (train, tune, test):
        assert (images.images[:, 0, 0, 0] == 10 * images.labels).all()


def carved(source: ImageFolder) -> dict[Split, set[tuple[int, ...]]]:
    loaded = {split: source.load(split, Path("/elsewhere"), Progress()) for split in SPLITS}
    assert all((images.images[:, 0, 0, 0] == 10 * images.labels).all() for images in loaded.values())
    found = {split: colours(images) for split, images in loaded.items()}
    assert sum(map(len, found.values())) == len(set.union(*found.values())), "an image is in two splits"
    return found


def test_a_test_set_is_carved_by_content(tmp_path: Path) -> None:
    fill(tmp_path / "mine", {"ant": 200, "bee": 100})
    source = ImageFolder(path=tmp_path / "mine", size=8, tune=30)
    loaded = {split: source.load(split, Path("/elsewhere"), Progress()) for split in SPLITS}
    assert 40 <= len(loaded["test"]) <= 80  # 60 +- 7 of 300
    assert torch.bincount(loaded["tune"].labels).sum() == 30
    assert len(set.union(*(colours(images) for images in loaded.values()))) == 300
    # Names of files decide nothing.
    for number, file in enumerate(sorted((tmp_path / "mine" / "ant").iterdir(), reverse=True)):
        file.rename(file.with_name(f"renamed-{number}.png"))
    for split, images in loaded.items():
        again = source.load(split, Path("/elsewhere"), Progress())
        assert torch.equal(again.images, images.images)
        assert torch.equal(again.labels, images.labels)
    other = source.replace(split_seed=1).load("test", Path("/elsewhere"), Progress())
    assert colours(other) != colours(loaded["test"])
    more = source.replace(test_fraction=0.5).load("test", Path("/elsewhere"), Progress())
    assert 120 <= len(more) <= 180
    assert colours(more) > colours(loaded["test"])


def test_no_other_image_and_no_way_to_save_it_moves_an_image_into_or_out_of_test(tmp_path: Path) -> None:
    root = fill(tmp_path / "mine", {"ant": 60, "bee": 40})
    source = ImageFolder(path=root, size=8)
    before = carved(source)
    for label, name in enumerate(("ant", "bee")):
        for number in range(100, 150):
            Image.new("RGB", (40, 30), colour(label, number)).save(root / name / f"{number}.png")
    grown = carved(source)
    assert grown["test"] > before["test"]
    assert grown["train"] > before["train"]
    for file in [*(root / "ant").iterdir()][:70]:
        file.unlink()
    shrunk = carved(source)
    assert shrunk["test"] < grown["test"]
    assert shrunk["train"] < grown["train"]
    forms = {
        ".bmp": {},
        ".tif": {"compression": "tiff_lzw"},
        ".webp": {"lossless": True},
        ".png": {"compress_level": 1},
    }
    for number, file in enumerate(sorted(root.glob("*/*"))):
        ending, options = [*forms.items()][number % len(forms)]
        image = Image.open(file).convert("RGBA" if ending == ".png" and number % 8 == 3 else "RGB")
        file.unlink()
        image.save(file.with_name(f"{number}-anew{ending}"), **options)
    assert carved(source) == shrunk


def test_copies_of_the_same_pixels_share_a_split(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for number in range(40):
        image = Image.fromarray(random.integers(0, 256, (8, 8, 3), dtype=np.uint8))
        for name in ("ant", "bee"):  # and with another label, in another form
            (tmp_path / name).mkdir(exist_ok=True)
            image.save(tmp_path / name / f"{number}.png")
            image.save(tmp_path / name / f"{number}.bmp")
    source = ImageFolder(path=tmp_path, size=8, tune=13)
    loaded = [source.load(split, tmp_path, Progress()).images for split in SPLITS]
    kinds = [{image.numpy().tobytes() for image in images} for images in loaded]
    assert [len(images) for images in loaded] == [4 * len(kind) for kind in kinds]
    assert sum(map(len, kinds)) == len(set.union(*kinds)) == 40
    assert len(loaded[1]) >= 13


def test_a_class_with_nothing_to_train_on_is_refused_and_one_with_nothing_in_test_is_said(tmp_path: Path) -> None:
    fill(tmp_path, {"ant": 30, "bee": 1, "cow": 1})
    sources = [ImageFolder(path=tmp_path, size=8, split_seed=seed, tune=0) for seed in range(60)]
    seen = set[str]()
    for source in sources:
        progress = Listening()
        labels = source.load("test", tmp_path, progress).labels.tolist()
        absent = [name for label, name in enumerate(("ant", "bee", "cow")) if label not in labels]
        assert progress.said == (
            [f"{tmp_path}: no image of {', '.join(absent)} is in test, so its accuracy will not be known"]
            if absent
            else []
        )
        if len(absent) == 2:
            assert source.load("train", tmp_path, Progress()).labels.bincount()[1:].tolist() == [1, 1]
        else:
            gone = " ".join({"bee", "cow"} - set(absent))
            with pytest.raises(DataError, match="is left to train on; hold out fewer by"):
                source.load("train", tmp_path, Progress())
            seen.add(gone)
    assert {"bee", "cow"} <= seen
    for file in (tmp_path / "ant").iterdir():
        if file.name not in ("0.png", "1.png"):
            file.unlink()
    empty = 0
    for source in sources:
        try:
            assert len(source.load("test", tmp_path, Progress())) > 0
        except DataError as error:
            empty += "no image is in test" in str(error)
    assert 10 < empty < 40  # of 60 with 4 images: 0.8^4 = 41 %


def test_runs_from_before_there_were_records_are_divided_as_they_were(tmp_path: Path) -> None:
    for label, (name, count) in enumerate({"ant": 20, "bee": 10}.items()):
        (tmp_path / name).mkdir()
        for number in range(count):  # in a form whose bytes are the same in every version of Pillow
            Image.new("RGB", (4, 4), colour(label, number)).save(tmp_path / name / f"{number}.ppm")
    source = ImageFolder(path=tmp_path, size=8, tune=4).former()
    train, tune, test = (source.load(split, tmp_path, Progress()) for split in SPLITS)
    # As version 0.1.0 divided them.
    assert train.images[:5, 1, 0, 0].tolist() == [3, 7, 5, 4, 8]
    assert train.labels[:6].tolist() == [1, 1, 1, 1, 1, 0]
    assert (train.labels.bincount().tolist(), tune.images[:, 1, 0, 0].tolist()) == ([13, 7], [2, 2, 11, 14])
    assert test.images[:, 1, 0, 0].tolist() == [9, 0, 1, 9, 12, 10]
    assert test.labels.tolist() == [0, 0, 1, 1, 0, 0]


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    fill(tmp_path / "mine", {"test": 5, "train": 5})
    source = ImageFolder(path=Path("mine")).named(tmp_path)
    assert source.classes == ("test", "train")
    assert sum(len(source.load(split, tmp_path, Progress())) for split in SPLITS) == 10


def test_classes_come_from_the_folder_or_the_spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path / "mine", {"bee": 2, "ant": 2})
    source = ImageFolder(path=Path("mine"))
    monkeypatch.setenv("SHOESTRING_DATA", str(tmp_path))
    assert source.classes == ("ant", "bee")
    named = source.named(tmp_path)
    assert named.path == tmp_path / "mine"
    monkeypatch.setenv("SHOESTRING_DATA", "/nowhere")
    assert named.classes == ("ant", "bee")
    assert ImageFolder.model_validate_json(named.model_dump_json()) == named
    with pytest.raises(DataError, match="nowhere/mine does not exist"):
        _ = source.classes
    with pytest.raises(DataError, match="has the classes ant, bee, not ant, cow"):
        ImageFolder(path=tmp_path / "mine", names=("ant", "cow")).load("train", tmp_path, Progress())


def test_a_folder_is_found_where_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    there = fill(tmp_path / "home" / "mine", {"bee": 2, "ant": 2})
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert ImageFolder(path=Path("~/mine")).named(Path("/nowhere")).path == there
    monkeypatch.chdir(tmp_path / "home")
    named = ImageFolder(path=Path("mine"), tune=0).named(Path("/nowhere"))
    assert named.path == there
    (tmp_path / "other").mkdir()
    moved = there.rename(tmp_path / "other" / "mine")
    for data in (moved, moved.parent):
        assert len(named.load("train", data, Progress())) == 3
    with pytest.raises(DataError, match="where the folder is now with --data-folder"):
        named.load("train", tmp_path, Progress())


def read_one(tmp_path: Path, image: Image.Image, name: str, size: int = 8, **options: object) -> np.ndarray:
    folder = fill(tmp_path / "mine", {"ant": 1}) / "train" / "ant"
    folder.mkdir(parents=True)
    (tmp_path / "mine" / "test" / "ant").mkdir(parents=True)
    image.save(folder / name, **options)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        loaded = ImageFolder(path=tmp_path / "mine", size=size).load("train", tmp_path, Progress())
    return loaded.images[0].numpy()


def test_the_centre_is_kept(tmp_path: Path) -> None:
    pixels = np.zeros((8, 12, 3), np.uint8)
    pixels[:, 2:10] = np.random.default_rng(0).integers(0, 256, (8, 8, 3))
    found = read_one(tmp_path, Image.fromarray(pixels), "wide.png")
    np.testing.assert_array_equal(found, pixels[:, 2:10].transpose(2, 0, 1))


def test_shrinking_is_antialiased(tmp_path: Path) -> None:
    # A checkerboard of single pixels: taking every fourth pixel would give pure black or white.
    board = (np.indices((32, 32)).sum(axis=0) % 2 * 255).astype(np.uint8)
    found = read_one(tmp_path, Image.fromarray(board), "board.png")
    assert found.shape == (3, 8, 8)
    assert np.abs(found[:, 2:-2, 2:-2].astype(int) - 127).max() <= 2


@pytest.mark.parametrize(
    ("image", "name", "expected"),
    [
        (Image.new("L", (9, 9), 77), "grey.png", (77, 77, 77)),
        (Image.fromarray(np.full((9, 9), 200 * 256 + 9, np.uint16)), "deep.png", (200, 200, 200)),
        (Image.new("1", (9, 9), 1), "bit.png", (255, 255, 255)),
        (Image.new("RGBA", (9, 9), (10, 20, 30, 0)), "clear.png", (255, 255, 255)),
        (Image.new("RGB", (9, 9), (10, 20, 30)).quantize(2), "palette.gif", (10, 20, 30)),
        (Image.new("CMYK", (9, 9), (0, 0, 0, 0)), "print.tiff", (255, 255, 255)),
        (Image.new("RGB", (9, 9), (10, 20, 30)), "web.WEBP", (10, 20, 30)),
    ],
)
def test_any_format_becomes_rgb(tmp_path: Path, image: Image.Image, name: str, expected: tuple[int, ...]) -> None:
    options = {"lossless": True} if name.endswith("WEBP") else {}
    found = read_one(tmp_path, image, name, **options)
    assert found.reshape(3, -1).T.tolist() == [list(expected)] * 64


def test_photographs_are_turned_upright(tmp_path: Path) -> None:
    pixels = np.zeros((8, 8, 3), np.uint8)
    pixels[0] = 255  # the first row is white; orientation 6 says: turn by 90 degrees clockwise to view
    exif = Image.Exif()
    exif[0x0112] = 6
    found = read_one(tmp_path, Image.fromarray(pixels), "turned.png", exif=exif)
    assert (found[:, :, -1] == 255).all()
    assert (found[:, :, :-1] == 0).all()


def test_damaged_images_are_named_and_other_files_passed_over(tmp_path: Path) -> None:
    folder = fill(tmp_path / "mine", {"ant": 5}) / "ant"
    (folder / "notes.txt").write_text("not an image")
    (folder / "paper.pdf").write_bytes(b"%PDF-1.4")
    (folder / "features.h5").write_bytes(b"\x89HDF\r\n\x1a\n")
    (folder / "._0.png").write_text("what a Mac leaves behind")
    source, progress = ImageFolder(path=tmp_path / "mine", split_seed=1), Listening()
    assert sum(len(source.load(split, tmp_path, progress)) for split in SPLITS) == 5
    assert progress.said == [f"passed over {folder / 'features.h5'} (.h5 is no format of images) and 2 more"]
    for damage in (b"", b"nonsense", (folder / "0.png").read_bytes()[:60]):
        (folder / "0.png").write_bytes(damage)
        for split in SPLITS:
            with pytest.raises(DataError, match=r"ant.0\.png cannot be read as an image"):
                source.load(split, tmp_path, Progress())


def test_folders_that_do_not_fit_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="mine does not exist"):
        ImageFolder(path=Path("mine")).load("train", tmp_path, Progress())
    (tmp_path / "mine").mkdir()
    with pytest.raises(DataError, match="has no folders of images"):
        ImageFolder(path=Path("mine")).load("train", tmp_path, Progress())
    fill(tmp_path / "mine" / "train", {"ant": 2})
    fill(tmp_path / "mine" / "test", {"ant": 2, "cow": 2})
    with pytest.raises(DataError, match="has classes that train has not: cow"):
        ImageFolder(path=Path("mine")).load("test", tmp_path, Progress())
    (tmp_path / "mine" / "train" / "bee").mkdir()
    with pytest.raises(DataError, match="bee has no images"):
        ImageFolder(path=Path("mine")).load("train", tmp_path, Progress())


@pytest.mark.parametrize("fraction", [0, 1, -0.1])
def test_a_test_fraction_must_leave_both_sides_some(fraction: float) -> None:
    with pytest.raises(ValidationError):
        ImageFolder(path=Path("mine"), test_fraction=fraction)


def not_utf8(folder: Path, name: bytes) -> Path:
    """A path whose name is no text, where the file system takes such names."""
    path = folder / os.fsdecode(name)
    try:
        path.mkdir(parents=True)
    except OSError:
        pytest.skip("this file system takes no names that are not UTF-8")
    path.rmdir()
    return path


def test_a_class_whose_name_is_not_utf8_is_refused_and_shown(tmp_path: Path) -> None:
    strange = not_utf8(tmp_path / "mine", b"caf\xe9")
    fill(tmp_path / "mine", {"tea": 20, strange.name: 20})
    source = ImageFolder(path=tmp_path / "mine", size=8)
    for use in (lambda: source.named(tmp_path), lambda: source.load("train", tmp_path, Progress())):
        with pytest.raises(DataError, match=r"mine.caf\? is no name for a class.*rename the folder") as caught:
            use()
        str(caught.value).encode()  # any output takes it
    strange.rename(tmp_path / "mine" / "café")
    assert source.named(tmp_path).classes == ("café", "tea")


def test_files_whose_names_are_not_utf8_are_read_and_named_in_errors(tmp_path: Path) -> None:
    strange = not_utf8(tmp_path, b"\xe9.png")
    root = fill(tmp_path / "mine", {"ant": 30, "bee": 30})
    file = (root / "ant" / "7.png").rename(root / "ant" / strange.name)
    source = ImageFolder(path=root, size=8)
    assert sum(len(source.load(split, tmp_path, Progress())) for split in SPLITS) == 60
    file.write_bytes(b"damaged")
    with pytest.raises(DataError, match=r"ant.\?\.png cannot be read as an image") as caught:
        source.load("train", tmp_path, Progress())
    str(caught.value).encode()
