import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import tiny
from PIL import Image

import shoestring
from shoestring.core.errors import DataError, RecipeError
from shoestring.core.run import Run
from shoestring.report.page import build


def noise(seed: int, side: int = 8, channels: int = 3) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (side, side, 3), np.uint8)
    return Image.fromarray(pixels if channels == 3 else pixels[:, :, 0])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Uneven classes in train and test, with everything wrong that a folder can have."""
    root = tmp_path / "mine"
    seed = 0
    for part, counts in {"train": {"ant": 40, "bee": 12, "cow": 3}, "test": {"ant": 10, "bee": 4, "cow": 0}}.items():
        for name, count in counts.items():
            (root / part / name).mkdir(parents=True)
            for number in range(count):
                noise(seed := seed + 1, side=8 + seed % 3).save(root / part / name / f"{number}.png")
    shutil.copy(root / "train" / "ant" / "0.png", root / "test" / "ant" / "again.png")
    Image.open(root / "train" / "bee" / "1.png").save(root / "train" / "ant" / "other form.bmp")
    shutil.copy(root / "train" / "ant" / "5.png", root / "train" / "ant" / "twice.png")
    (root / "train" / "ant" / "torn.png").write_bytes((root / "train" / "ant" / "2.png").read_bytes()[:60])
    (root / "test" / "bee" / "empty.jpg").write_bytes(b"")
    (root / "notes.txt").write_text("")
    noise(999, channels=1).save(root / "train" / "bee" / "grey.png")
    Image.fromarray(np.full((8, 8), 900, np.uint16)).save(root / "train" / "bee" / "deep.png")
    return root


def test_all_that_is_wrong_is_found_at_once(folder: Path) -> None:
    found = shoestring.inspect(folder, size=9, tune=0)
    assert found.classes == ("ant", "bee", "cow")
    assert found.counts == {"train": (42, 14, 3), "test": (11, 4, 0)}
    assert (found.formats, found.carved) == ({"PNG": 73, "BMP": 1}, ())
    assert (found.widths, found.heights) == ((8, 9, 10), (8, 9, 10))
    assert [one.path.name for one in found.passed_over] == ["notes.txt"]
    assert {one.path.name for one in found.bad} == {"torn.png", "empty.jpg"}
    copies = {tuple(path.name for path in one.paths): (one.splits, one.classes) for one in found.copies}
    assert copies == {
        ("again.png", "0.png"): (("train", "test"), ("ant",)),
        ("other form.bmp", "1.png"): (("train",), ("ant", "bee")),
        ("5.png", "twice.png"): (("train",), ("ant",)),
    }
    assert found.grey == 2
    said = "\n".join(found.warnings)
    for part in (
        "the same in two splits, so that what is measured was seen before: 1 image, ",
        "the same under two labels: 1 image, ",
        "more than once in one class and split: 1 image",
        "no image of cow is in test",
        "few images to learn from: cow (3)",
        f"always answering ant would be right for {53 / 74:.1%}",
        "deep.png with 16 bits reach only 1.2% of white",
        "grey, while the others are in colour: 2 images",
        "smaller than 9x9, and so enlarged: ",
    ):
        assert part in said
    assert json.loads(json.dumps(found.to_json()))["warnings"] == list(found.warnings)


def test_a_folder_without_faults_has_no_warnings(tmp_path: Path) -> None:
    pictures = tiny.write_pictures(tmp_path / "mine", train=20)
    found = shoestring.inspect(pictures, size=8)
    assert found.warnings == ()
    assert found.carved == ("tune",)
    assert sum(found.counts["train"]) + sum(found.counts["tune"]) == 60
    for file in pictures.rglob("*.png"):
        Image.open(file).convert("L").save(file)
    assert shoestring.inspect(pictures, size=8).warnings[-1] == "all images are grey: three channels hold the same"


def test_a_recipe_file_says_how_its_folder_is_read(tmp_path: Path) -> None:
    tiny.write_pictures(tmp_path / "mine")
    file = tmp_path / "mine.toml"
    start = 'base = "cifar100-best"\nname = "mine"\n'
    file.write_text(f'{start}[data]\nkind = "folder"\npath = "{tmp_path / "mine"}"\nsize = 8\ntune = 6\n')
    found = shoestring.inspect(file)
    assert (found.size, sum(found.counts["tune"])) == (8, 6)
    file.write_text(start)
    with pytest.raises(RecipeError, match="data of kind 'cifar100'; only folders"):
        shoestring.inspect(file)
    with pytest.raises(DataError, match="nowhere does not exist"):
        shoestring.inspect(tmp_path / "nowhere")


def test_a_run_keeps_what_its_folder_was_like_and_its_report_shows_it(folder: Path, tmp_path: Path) -> None:
    recipe = tiny.classifier(folder, data={"kind": "folder", "path": str(folder), "size": 8, "skip_bad": True})
    heard = tiny.Heard()
    run = shoestring.train(recipe, tmp_path / "run", device="cpu", progress=heard)
    assert any(message.startswith("mine: 74 images of 3 classes (train ") for message in heard.messages)
    assert any("the same in two splits" in message for message in heard.messages)
    kept = run.read_json("inspection.json")
    assert kept["counts"]["test"] == [11, 4, 0]
    manifests = run.read_json("splits.json")
    assert {split: sum(counts) for split, counts in kept["counts"].items()} == {
        split: one["count"] for split, one in manifests.items()
    }
    page = build([Run(run.folder)], tmp_path / "page.html").read_text(encoding="utf-8")
    for part in ("Own images", "74 images of 3 classes", "torn.png", "notes.txt", "few images to learn from: cow"):
        assert part in page
    again = tiny.Heard()
    shoestring.train(recipe, tmp_path / "run", device="cpu", progress=again)
    assert not any("images of 3 classes" in message for message in again.messages)
