import io
import os
import pickle
import sys
import tarfile
from collections.abc import Callable
from hashlib import md5
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from shoestring.core.errors import DataError
from shoestring.core.progress import Progress
from shoestring.data import cifar100
from shoestring.data.cifar100 import CIFAR100, CLASSES, unpack
from shoestring.data.dataset import Source, Split, normalise

PER_CLASS = {"train": 6, "test": 2}
SPLITS: tuple[Split, ...] = ("train", "tune", "test")
real = pytest.mark.skipif("SHOESTRING_DATA" not in os.environ, reason="needs the real files in SHOESTRING_DATA")


@pytest.fixture(autouse=True)
def _small(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    if not request.node.get_closest_marker("skipif"):
        monkeypatch.setattr(cifar100, "PER_CLASS", PER_CLASS)


def made_up(part: str) -> dict[str, object]:
    random = np.random.default_rng(len(part))
    labels = random.permutation(np.repeat(np.arange(100), PER_CLASS[part]))
    data = random.integers(0, 256, (len(labels), 3072), dtype=np.uint8)
    data[:5] = data[5:10]  # copies, with other labels
    return {"data": data, "fine_labels": labels.tolist(), "coarse_labels": [0] * len(labels)}


def write(folder: Path, change: Callable[[dict[str, object]], object] = lambda content: None) -> Path:
    target = folder / "cifar-100-python"
    target.mkdir(parents=True, exist_ok=True)
    for part in ("train", "test"):
        content = made_up(part)
        change(content)
        (target / part).write_bytes(pickle.dumps(content, 4))
    (target / "meta").write_bytes(pickle.dumps({"fine_label_names": list(CLASSES)}, 4))
    return folder


def write_parquet(folder: Path) -> Path:
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    (folder / "cifar100").mkdir(parents=True)
    for part in ("train", "test"):
        content, cells = made_up(part), []
        for row in content["data"]:
            file = io.BytesIO()
            Image.fromarray(row.reshape(3, 32, 32).transpose(1, 2, 0)).save(file, "png")
            cells.append({"bytes": file.getvalue(), "path": None})
        labels = content["fine_labels"]
        half = len(labels) // 2  # in two files, as larger sets are
        for number, rows in enumerate((slice(None, half), slice(half, None))):
            table = pyarrow.table({"img": cells[rows], "fine_label": labels[rows], "coarse_label": labels[rows]})
            parquet.write_table(table, folder / "cifar100" / f"{part}-{number:05d}-of-00002.parquet")
    return folder


def shuffle(content: dict[str, object]) -> None:
    order = np.random.default_rng(7).permutation(len(content["data"]))
    content["data"] = content["data"][order]
    content["fine_labels"] = [content["fine_labels"][index] for index in order]


def pairs(data: np.ndarray, labels: object) -> list[tuple[bytes, int]]:
    return sorted((row.tobytes(), int(label)) for row, label in zip(data, labels, strict=True))


def test_the_spec_is_a_source_that_needs_no_file() -> None:
    source: Source = CIFAR100()
    assert source.shape == (3, 32, 32)
    assert len(source.classes) == len(set(source.classes)) == 100
    assert list(source.classes) == sorted(source.classes)
    assert CIFAR100.model_validate_json(CIFAR100(tune=7).model_dump_json()) == CIFAR100(tune=7)


def test_signed_pixels_reach_from_minus_one_to_one() -> None:
    pixels = torch.tensor([0, 255], dtype=torch.uint8).view(1, 1, 1, 2).expand(1, 3, 1, 2)
    assert normalise(pixels, CIFAR100(scale="signed")).unique().tolist() == [-1, 1]


def test_splits_hold_every_image_once_with_its_label(tmp_path: Path) -> None:
    folder, source = write(tmp_path), CIFAR100(tune=230)
    train, tune, test = (source.load(split, folder, Progress()) for split in SPLITS)
    assert (len(train), len(tune), len(test)) == (370, 230, 200)
    assert train.images.shape[1:] == (3, 32, 32)
    counts = torch.bincount(tune.labels)
    assert counts.tolist() == [3] * 30 + [2] * 70
    both = np.concatenate([train.images, tune.images]), np.concatenate([train.labels, tune.labels])
    assert pairs(*both) == pairs(made_up("train")["data"], made_up("train")["fine_labels"])
    assert pairs(test.images.numpy(), test.labels) == pairs(made_up("test")["data"], made_up("test")["fine_labels"])
    assert len(CIFAR100(tune=0).load("tune", folder, Progress())) == 0
    assert len(CIFAR100(tune=0).load("train", folder, Progress())) == 600


@pytest.mark.parametrize("split", SPLITS)
def test_the_order_and_format_of_files_change_nothing(tmp_path: Path, split: Split) -> None:
    source = CIFAR100(tune=200)
    expected = source.load(split, write(tmp_path / "a"), Progress())
    for folder in (write(tmp_path / "b", shuffle), write_parquet(tmp_path / "c")):
        found = source.load(split, folder, Progress())
        assert torch.equal(found.images, expected.images)
        assert torch.equal(found.labels, expected.labels)


def test_a_larger_tune_split_contains_the_smaller(tmp_path: Path) -> None:
    folder = write(tmp_path)
    small, large = (CIFAR100(tune=tune).load("tune", folder, Progress()) for tune in (100, 300))
    assert set(pairs(small.images.numpy(), small.labels)) < set(pairs(large.images.numpy(), large.labels))


def test_holding_out_everything_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="600 of 600 images held out"):
        CIFAR100(tune=600).load("train", write(tmp_path), Progress())


def put(**changes: object) -> Callable[[dict[str, object]], object]:
    return lambda content: content.update(changes)


def swap_a_label(content: dict[str, object]) -> None:
    labels = content["fine_labels"]
    labels[0] = (labels[0] + 1) % 100


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            put(data=np.zeros((600, 3071), np.uint8)),
            r"should hold uint8 images \(600, 3072\), found uint8 \(600, 3071\)",
        ),
        (put(data=np.zeros((600, 3072), np.float32)), r"found float32 \(600, 3072\)"),
        (put(data="nothing"), "should hold uint8 images"),
        (lambda content: content.pop("fine_labels"), "600 whole-number fine labels"),
        (put(fine_labels=[0.5] * 600), "600 whole-number fine labels"),
        (put(fine_labels=[[1], [1, 2]]), "600 whole-number fine labels"),
        (lambda content: content["fine_labels"].pop(), r"found \(599,\)"),
        (put(fine_labels=[100] * 600), "labels 100..100, outside 0..99"),
        (put(fine_labels=[-1] * 600), "labels -1..-1, outside 0..99"),
        (swap_a_label, "should hold 6 images a class"),
    ],
)
def test_damaged_files_are_named(tmp_path: Path, change: Callable[[dict[str, object]], object], message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        CIFAR100().load("train", write(tmp_path, change), Progress())
    assert str(tmp_path / "cifar-100-python" / "train") in str(caught.value)
    assert "Delete it" in str(caught.value)


def test_a_truncated_file_and_foreign_names_are_refused(tmp_path: Path) -> None:
    target = write(tmp_path) / "cifar-100-python"
    (target / "test").write_bytes((target / "test").read_bytes()[:-100_000])
    with pytest.raises(DataError, match="test cannot be read"):
        CIFAR100().load("test", tmp_path, Progress())
    (target / "meta").write_bytes(pickle.dumps({"fine_label_names": ["cat", "dog"]}))
    with pytest.raises(DataError, match="meta does not list"):
        CIFAR100().load("train", tmp_path, Progress())


def test_damaged_parquet_is_named(tmp_path: Path) -> None:
    folder = write_parquet(tmp_path)
    path = folder / "cifar100" / "test-00001-of-00002.parquet"
    content = path.read_bytes()
    path.write_bytes(content[:100])
    with pytest.raises(DataError, match=r"00001-of-00002\.parquet cannot be read"):
        CIFAR100().load("test", folder, Progress())
    path.unlink()
    with pytest.raises(DataError, match=r"found uint8 \(100, 3072\)"):
        CIFAR100().load("test", folder, Progress())


def test_parquet_without_pyarrow_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_parquet(tmp_path)
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(DataError, match=r"shoestring\[parquet\]"):
        CIFAR100().load("test", folder, Progress())


def archive(path: Path, members: dict[str, bytes], links: dict[str, str] | None = None) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        for name, target in (links or {}).items():
            member = tarfile.TarInfo(name)
            member.type, member.linkname = tarfile.SYMTYPE, target
            tar.addfile(member)
    return path


def sums(contents: dict[str, bytes]) -> dict[str, str]:
    return {name: "md5:" + md5(content).hexdigest() for name, content in contents.items()}


def test_the_download_is_unpacked_and_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    official = write(tmp_path / "official") / "cifar-100-python"
    contents = {name: (official / name).read_bytes() for name in ("train", "test", "meta")}
    folder = tmp_path / "data"
    folder.mkdir()
    # Put there by hand, so that nothing is asked of the network.
    members = {f"cifar-100-python/{name}": content for name, content in contents.items()}
    path = archive(folder / "cifar-100-python.tar.gz", {**members, "../evil": b"", "cifar-100-python/more": b""})
    monkeypatch.setattr(cifar100, "MEMBERS", sums(contents))
    monkeypatch.setattr(cifar100, "ARCHIVE", "md5:" + md5(path.read_bytes()).hexdigest())
    assert len(CIFAR100().load("test", folder, Progress())) == 200
    assert {item.name for item in (folder / "cifar-100-python").iterdir()} == {"train", "test", "meta"}
    assert not (tmp_path / "evil").exists()


def test_members_that_are_links_wrong_or_missing_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    contents = {"train": b"a", "test": b"b", "meta": b"c"}
    monkeypatch.setattr(cifar100, "MEMBERS", sums(contents))
    good = {f"cifar-100-python/{name}": content for name, content in contents.items()}
    train = "cifar-100-python/train"
    without = {name: content for name, content in good.items() if name != train}
    (tmp_path / "secret").write_bytes(b"a")
    for path, message in (
        (archive(tmp_path / "1", without, {train: str(tmp_path / "secret")}), "not a plain file"),
        (archive(tmp_path / "2", without), "cannot be unpacked"),
        (archive(tmp_path / "3", {**good, train: b"x"}), "damaged or another version"),
        (tmp_path / "secret", "cannot be unpacked"),
    ):
        target = tmp_path / f"target-{path.name}"
        with pytest.raises(DataError, match=message):
            unpack(path, target, Progress())
        assert list(target.iterdir()) == []


def test_a_failed_download_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(urls: list[str], path: Path, checksum: str, progress: Progress, *, remedy: str) -> None:
        assert urls == ["https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz"]
        assert checksum == "md5:eb9058c3a382ffc7106e4002c42a8d85"
        raise DataError(f"{path}: {remedy}")

    monkeypatch.setattr(cifar100, "fetch", fail)
    with pytest.raises(DataError) as caught:
        CIFAR100().load("train", tmp_path, Progress())
    for part in (
        str(tmp_path / "cifar-100-python.tar.gz"),
        str(tmp_path / "cifar100"),
        "--data-folder",
        "SHOESTRING_DATA",
    ):
        assert part in str(caught.value)


def test_only_files_of_the_official_checksum_are_called_official(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = write(tmp_path) / "cifar-100-python" / "test"
    monkeypatch.setattr(cifar100, "MEMBERS", sums({"test": file.read_bytes()}))
    assert CIFAR100().load("test", tmp_path, Progress()).source == "CIFAR-100, official files"
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1  # one bit of one pixel
    file.write_bytes(content)
    assert CIFAR100().load("test", tmp_path, Progress()).source == (
        "CIFAR-100, files as found, whose checksum is not the official one"
    )


@real
def test_the_real_images_have_the_published_mean_and_deviation() -> None:
    folder, source = Path(os.environ["SHOESTRING_DATA"]), CIFAR100(tune=0)
    train = source.load("train", folder, Progress())
    assert torch.bincount(train.labels).tolist() == [500] * 100
    # Exact from the histogram of each channel's bytes.
    for channel in range(3):
        counts = torch.bincount(train.images[:, channel].flatten(), minlength=256).double()
        levels = torch.arange(256, dtype=torch.float64) / 255
        mean = (counts * levels).sum() / counts.sum()
        std = ((counts * (levels - mean) ** 2).sum() / counts.sum()).sqrt()
        assert mean.item() == pytest.approx(source.mean[channel], abs=6e-7)
        assert std.item() == pytest.approx(source.std[channel], abs=6e-7)


@real
def test_the_real_splits_are_disjoint_and_balanced() -> None:
    folder, source = Path(os.environ["SHOESTRING_DATA"]), CIFAR100()
    loaded = {split: source.load(split, folder, Progress()) for split in SPLITS}
    for split, per_class in (("train", 450), ("tune", 50), ("test", 100)):
        assert torch.bincount(loaded[split].labels).tolist() == [per_class] * 100
    known = {image.tobytes() for image in loaded["train"].images.numpy()}
    # CIFAR-100 itself repeats a few images under two labels.
    assert sum(image.tobytes() in known for image in loaded["tune"].images.numpy()) <= 5


def test_smaller_images_are_means_of_blocks_of_pixels(tmp_path: Path) -> None:
    folder = write(tmp_path)
    whole, small = (CIFAR100(tune=0, size=size).load("test", folder, Progress()) for size in (32, 8))
    assert CIFAR100(size=8).shape == (3, 8, 8)
    blocks = whole.images.double().view(-1, 3, 8, 4, 8, 4).mean((3, 5))
    assert (small.images.double() - blocks).abs().max() <= 0.5
    assert torch.equal(small.labels, whole.labels)
    assert "8x8" in small.source
