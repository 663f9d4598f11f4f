from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from shoestring.core.errors import DataError
from shoestring.core.progress import Progress
from shoestring.data.dataset import SPLITS
from shoestring.data.folder_layout import listing
from shoestring.data.image_folder import ImageFolder


def fill(root: Path, *folders: str, count: int = 4, first: int = 0) -> Path:
    """Noise pictures in each of some folders, no two alike."""
    for place in folders:
        (root / place).mkdir(parents=True, exist_ok=True)
        for number in range(first, first + count):
            seed = [number, *place.encode()]
            noise = np.random.default_rng(seed).integers(0, 256, (8, 8, 3), np.uint8)
            Image.fromarray(noise).save(root / place / f"{number}.png")
    return root


def counts(root: Path, **fields: object) -> dict[str, int]:
    read = ImageFolder(path=root, size=8).replace(**fields).read(root, Progress())
    return {split: len(read.chosen(split)) for split in SPLITS}


@pytest.mark.parametrize(
    ("folders", "own"),
    [
        (("train", "test"), {"train", "test"}),
        (("Train", "Test"), {"train", "test"}),
        (("training", "testing"), {"train", "test"}),
        (("train", "eval"), {"train", "test"}),
        (("train", "val"), {"train", "tune"}),
        (("train", "valid", "test"), {"train", "tune", "test"}),
        (("TRAIN", "Validation", "test"), {"train", "tune", "test"}),
        (("train", "eval", "test"), {"train", "tune", "test"}),
        (("train",), {"train"}),
    ],
)
def test_the_splits_of_a_folder_are_known_by_their_usual_names(
    tmp_path: Path, folders: tuple[str, ...], own: set[str]
) -> None:
    fill(tmp_path, *(f"{folder}/{name}" for folder in folders for name in ("ant", "bee")), count=40)
    found = listing(tmp_path)
    assert (found.classes, found.splits) == (("ant", "bee"), own)
    held = counts(tmp_path)
    assert sum(held.values()) == 80 * len(folders)
    for split in own - {"train"}:
        assert held[split] == 80, "a split that is there is taken as it is"
    assert all(held[split] > 0 for split in SPLITS), "what is not there is carved"


def test_an_own_tune_split_is_used_unless_the_recipe_says_what_to_hold_out(tmp_path: Path) -> None:
    fill(tmp_path, "train/ant", "train/bee", "val/ant", "val/bee", "test/ant", "test/bee", count=20)
    assert counts(tmp_path) == {"train": 40, "tune": 40, "test": 40}
    assert counts(tmp_path, tune=0) == {"train": 40, "tune": 0, "test": 40}
    assert counts(tmp_path, tune=10) == {"train": 30, "tune": 10, "test": 40}
    (passed,) = listing(tmp_path, own_tune=False).passed_over
    assert (passed.path, passed.reason) == (tmp_path / "val", "data.tune says what to hold out, of train")


def test_folders_inside_classes_are_read_and_links_are_not_followed(tmp_path: Path) -> None:
    fill(tmp_path, "ant", "ant/2021/june", "bee/all", "bee/.hidden")
    (tmp_path / "ant" / "loop").symlink_to(tmp_path, target_is_directory=True)
    found = listing(tmp_path)
    assert [file.label for file in found.files] == [0] * 8 + [1] * 4
    assert [(one.path, one.reason) for one in found.passed_over] == [(tmp_path / "ant" / "loop", "a link to a folder")]
    with pytest.raises(DataError, match="bee has no images, but the folder all"):
        listing(tmp_path, nested=False)


def test_all_that_is_not_used_is_named_with_a_reason(tmp_path: Path) -> None:
    fill(tmp_path, "train/ant", "train/bee", "val_old/ant", "test")
    place = tmp_path / "train" / "ant"
    picture = (place / "0.png").read_bytes()
    for name, content in {
        "photo": picture,
        "words": b"no image",
        "paper.pdf": b"%PDF",
        "shot.nef": b"",
        "clip.mp4": b"",
        "notes.txt": b"",
        "IMG_1.HEIC": b"",
    }.items():
        (place / name).write_bytes(content)
    (tmp_path / "train" / "stray.png").write_bytes(picture)
    (tmp_path / "labels.csv").write_text("")
    (tmp_path / ".DS_Store").write_text("")
    found = {str(one.path.relative_to(tmp_path)): one.reason for one in listing(tmp_path).passed_over}
    heic = found.pop("train/ant/IMG_1.HEIC", "")
    assert "shoestring[heic]" in heic or not heic  # read where pillow-heif is installed
    assert found == {
        "labels.csv": ".csv is no format of images",
        "test": "images without folders of classes",
        "val_old": "a folder beside train",
        "train/stray.png": "in no folder of a class",
        "train/ant/photo": "no ending; by its content it is PNG, so end its name in .png",
        "train/ant/words": "no ending",
        "train/ant/paper.pdf": "PDF; save its pages as images",
        "train/ant/shot.nef": "raw; export it as JPEG or TIFF",
        "train/ant/clip.mp4": "a video; save frames of it as images",
        "train/ant/notes.txt": ".txt is no format of images",
    }


def test_two_folders_of_one_split_are_refused(tmp_path: Path) -> None:
    fill(tmp_path, "train/ant", "train/bee", "val/ant", "valid/ant")
    with pytest.raises(DataError, match="has val and valid, which are both tune; keep one"):
        listing(tmp_path)


def test_what_is_held_out_by_default_stays_when_images_are_added(tmp_path: Path) -> None:
    fill(tmp_path, "ant", "bee", count=100)
    source = ImageFolder(path=tmp_path, size=8)
    before = source.read(tmp_path, Progress())
    held = {split: {before.read[index].pixels for index in before.chosen(split)} for split in SPLITS}
    assert 6 <= len(held["tune"]) <= 28  # 16 +- 4 of 200
    assert 22 <= len(held["test"]) <= 60  # 40 +- 6
    fill(tmp_path, "ant", "bee", count=50, first=100)
    after = source.read(tmp_path, Progress())
    for split in SPLITS:
        assert {after.read[index].pixels for index in after.chosen(split)} > held[split]


def test_a_class_is_never_held_out_as_a_whole_by_default(tmp_path: Path) -> None:
    fill(tmp_path, "train/ant", "test/ant", "test/bee", count=30)
    fill(tmp_path, "train/bee", count=1)
    for seed in range(40):
        source = ImageFolder(path=tmp_path, size=8, split_seed=seed)
        assert source.load("train", tmp_path, Progress()).labels.bincount()[1] == 1


def table(root: Path, text: str) -> Path:
    (root / "labels.csv").write_text(text, encoding="utf-8-sig")
    return root / "labels.csv"


def test_a_table_of_files_and_labels_is_a_folder_of_classes(tmp_path: Path) -> None:
    fill(tmp_path, "images", count=30)
    lines = [f"images/{n}.png;{'bee' if n % 3 else 'ant'}" for n in range(30)]
    csv = table(tmp_path, "Filename;Label\n" + "\n".join(lines))
    source = ImageFolder(path=csv, size=8, tune=0).named(tmp_path)
    assert source.classes == ("ant", "bee")
    found = listing(csv)
    assert [(file.path.stem, file.label) for file in found.files][:3] == [("0", 0), ("1", 1), ("10", 1)]
    loaded = [source.load(split, tmp_path, Progress()) for split in ("train", "test")]
    assert sum(int(images.labels.sum()) for images in loaded) == 20
    assert sum(len(images) for images in loaded) == 30


def test_a_table_may_name_splits_and_leave_out_endings(tmp_path: Path) -> None:
    fill(tmp_path, "train", count=20)
    lines = [f"{n},{n % 2 + 9},{'val' if n < 4 else 'Train' if n < 16 else 'test'}" for n in range(20)]
    csv = table(tmp_path, "id,label,split\n" + "\n".join([*lines, "3,,train"]))
    found = listing(csv)
    assert found.classes == ("9", "10"), "numbers by their size"
    assert [one.reason for one in found.passed_over] == ["no label in labels.csv"]
    assert counts(csv) == {"train": 12, "tune": 4, "test": 4}
    assert counts(csv, tune=2) == {"train": 10, "tune": 2, "test": 4}


def test_a_table_that_does_not_fit_is_refused_with_its_columns(tmp_path: Path) -> None:
    for text, said in {
        "photo,label\na.png,ant": "has the columns photo, label; it should have one of files",
        "file,label,split\na.png,ant,holdout": "puts a.png into the split 'holdout'; known are train",
        "file,label,split\na.png,ant,test": "has no image of ant to train on",
        "file,label\na\0.png,ant\nb.png,bee": "it has a NUL character",
    }.items():
        with pytest.raises(DataError, match=said):
            listing(table(tmp_path, text))
    csv = table(tmp_path, "file,label\na.png,ant\nb.png,bee")
    with pytest.raises(DataError, match=r"2 of 2 files cannot be read(.|\n)*there is no image .*a\.png"):
        ImageFolder(path=csv, size=8).load("train", tmp_path, Progress())
