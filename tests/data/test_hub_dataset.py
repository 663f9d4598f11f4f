import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from shoestring.core.errors import DataError
from shoestring.core.progress import Progress
from shoestring.data.folder_layout import listing
from shoestring.data.image_folder import ImageFolder
from shoestring.data.inspection import inspect

NAMES = ["zebra", "ant"]  # as data sets have them: in no order


def png(number: int) -> bytes:
    buffer = io.BytesIO()
    noise = np.random.default_rng(number).integers(0, 256, (8, 8, 3), np.uint8)
    Image.fromarray(noise).save(buffer, "PNG")
    return buffer.getvalue()


def table(numbers: range, labels: Any = None, features: bool = True) -> pa.Table:
    """Images whose label is the parity of their number, as the library `datasets` writes them."""
    struct = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    images = pa.array([{"bytes": png(n), "path": f"{n}.png"} for n in numbers], struct)
    found = pa.table({"picture": images, "label": pa.array(labels or [n % 2 for n in numbers])})
    info = {"picture": {"_type": "Image"}, "label": {"names": NAMES, "_type": "ClassLabel"}}
    return (
        found.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": info}})}) if features else found
    )


def check(root: Path, train: int, test: int) -> None:
    source = ImageFolder(path=root, size=8, tune=0).named(root)
    assert source.classes == tuple(NAMES)
    for split, first, count in (("train", 0, train), ("test", train, test)):
        images = source.load(split, root, Progress())  # type: ignore[arg-type]
        pixels = {
            image.numpy().tobytes(): int(label) for image, label in zip(images.images, images.labels, strict=True)
        }
        assert pixels == {
            np.asarray(Image.open(io.BytesIO(png(n)))).transpose(2, 0, 1).tobytes(): n % 2
            for n in range(first, first + count)
        }


def test_parquet_files_of_the_hub(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    pq.write_table(table(range(0, 12)), tmp_path / "data" / "train-00000-of-00002.parquet")
    pq.write_table(table(range(12, 20)), tmp_path / "data" / "train-00001-of-00002.parquet")
    pq.write_table(table(range(20, 26)), tmp_path / "data" / "test-00000-of-00001.parquet")
    pq.write_table(table(range(26, 30)), tmp_path / "data" / "validation-00000-of-00001.parquet")
    check(tmp_path, 20, 6)
    assert listing(tmp_path).splits == {"train", "tune", "test"}
    found = inspect(ImageFolder(path=tmp_path, size=8), tmp_path, Progress())
    assert found.counts == {"train": (10, 10), "tune": (2, 2), "test": (3, 3)}


def test_what_save_to_disk_wrote(tmp_path: Path) -> None:
    for split, numbers in (("train", range(0, 20)), ("test", range(20, 26))):
        (tmp_path / split).mkdir()
        (tmp_path / split / "state.json").write_text("{}")
        content = table(numbers)
        place = str(tmp_path / split / "data-00000-of-00001.arrow")
        with pa.OSFile(place, "wb") as file, pa.ipc.new_stream(file, content.schema) as writer:
            writer.write_table(content, max_chunksize=7)
    check(tmp_path, 20, 6)


def test_labels_may_be_words_and_tables_without_images_are_refused(tmp_path: Path) -> None:
    words = table(range(20), labels=["cow" if n % 4 else "bee" for n in range(20)], features=False)
    words = words.rename_columns(["image", "label"])
    pq.write_table(words, tmp_path / "all.parquet")
    assert ImageFolder(path=tmp_path).named(tmp_path).classes == ("bee", "cow")
    pq.write_table(pa.table({"x1": [1], "x2": [2]}), tmp_path / "all.parquet")
    with pytest.raises(
        DataError, match=r"has the columns x1, x2; the label is looked for under .*: say which in data\.label_column"
    ):
        ImageFolder(path=tmp_path).named(tmp_path)
    (tmp_path / "all.parquet").write_bytes(b"nonsense")
    with pytest.raises(DataError, match=r"all\.parquet cannot be read"):
        ImageFolder(path=tmp_path).named(tmp_path)


def test_columns_can_be_named(tmp_path: Path) -> None:
    found = table(range(0, 30))
    others = pa.table({"thumbnail": pa.array([b"no picture"] * 30), "fold": pa.array([0] * 30)})
    for name in others.column_names:
        found = found.append_column(name, others.column(name))
    found = found.rename_columns(["scan", "grade", "image", "label"])
    pq.write_table(found, tmp_path / "train.parquet")
    with pytest.raises(DataError, match="train"):
        ImageFolder(path=tmp_path, size=8, tune=0).named(tmp_path).load("train", tmp_path, Progress())
    named = ImageFolder(path=tmp_path, size=8, tune=0, image_column="scan", label_column="grade").named(tmp_path)
    assert named.classes == ("0", "1")
    assert len(named.load("train", tmp_path, Progress())) + len(named.load("test", tmp_path, Progress())) == 30
    with pytest.raises(DataError, match=r"data\.label_column names 'grad'.*say which"):
        named.replace(names=(), label_column="grad").named(tmp_path)


def test_a_label_beyond_the_classes_is_told_with_its_file(tmp_path: Path) -> None:
    pq.write_table(table(range(20), labels=[n % 3 for n in range(20)]), tmp_path / "all.parquet")
    with pytest.raises(DataError, match=r"all.parquet: the label 2 is none of its 2 classes"):
        ImageFolder(path=tmp_path).named(tmp_path)
