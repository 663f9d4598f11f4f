import multiprocessing
import os
import sqlite3
import time
from pathlib import Path

import numpy as np
import pytest
import tiny
import torch
from PIL import Image

from shoestring.core.errors import DataError
from shoestring.core.progress import Progress
from shoestring.data import image_cache, image_reader
from shoestring.data.image_cache import cache_file
from shoestring.data.image_folder import ImageFolder, read_image
from shoestring.data.image_reader import BadFile, read_images
from shoestring.data.paths import own_cache_folder


@pytest.fixture(autouse=True)
def own_cache_folder_for_each_test(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def photos(folder: Path, count: int, side: int = 40) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    files: list[Path] = []
    for number in range(count):
        waves = np.random.default_rng(number).integers(0, 256, (5, 5, 3), np.uint8)
        files.append(folder / f"{number}.jpg")
        Image.fromarray(waves).resize((side, side), Image.Resampling.BICUBIC).save(files[-1], quality=95)
    long_ago = time.time() - 3600
    for file in files:
        os.utime(file, (long_ago, long_ago))
    return files


def images_of(files: list[Path], size: int = 16, reduced: bool = True, progress: Progress | None = None) -> np.ndarray:
    found = read_images(files, size, reduced, "photos", progress or Progress())
    return np.stack([one.image for one in found if not isinstance(one, BadFile)])


class Decodings:
    """Counts how often a file is decoded, and how often one is read."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.decoded = self.read = 0
        decode, read = image_reader.decode, image_reader.read

        def decoding(*given: object) -> object:
            self.decoded += 1
            return decode(*given)  # type: ignore[arg-type]

        def reading(path: Path) -> bytes:
            self.read += 1
            return read(path)

        monkeypatch.setattr(image_reader, "decode", decoding)
        monkeypatch.setattr(image_reader, "read", reading)
        monkeypatch.setattr(image_cache, "SETTLED_SECONDS", -3600.0)  # files of a test are young


def test_the_second_reading_decodes_nothing_and_gives_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files, counts = photos(tmp_path / "mine", 5), Decodings(monkeypatch)
    first = images_of(files)
    assert (counts.decoded, counts.read) == (5, 5)
    assert (images_of(files) == first).all()
    assert (counts.decoded, counts.read) == (5, 5)
    for size, reduced in ((8, True), (16, False)):
        images_of(files, size, reduced)
    assert counts.decoded == 15, "of each size and way to decode"
    cache_file(own_cache_folder()).unlink()
    assert (images_of(files) == first).all()


def test_images_are_known_by_content_wherever_they_lie(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files, counts = photos(tmp_path / "mine", 3), Decodings(monkeypatch)
    first = images_of(files)
    moved = [file.rename(file.with_name(f"moved-{file.name}")) for file in files]
    assert (images_of(moved) == first).all()
    assert counts.decoded == 3


def test_a_file_that_changed_is_read_anew_whatever_its_times_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, other = photos(tmp_path / "mine", 2)
    Decodings(monkeypatch)
    before, facts = images_of([file]), file.stat()
    content = other.read_bytes()
    size = max(len(content), facts.st_size)
    file.write_bytes(file.read_bytes().ljust(size, b"\0"))
    images_of([file])
    stamped = file.stat()
    file.write_bytes(content.ljust(size, b"\0"))  # as long as before
    os.utime(file, ns=(stamped.st_atime_ns, stamped.st_mtime_ns))  # and as old, as some tools copy
    assert (file.stat().st_size, file.stat().st_mtime_ns) == (stamped.st_size, stamped.st_mtime_ns)
    after = images_of([file])
    assert (after != before).any()
    assert (after == images_of([other])).all()


def test_a_file_that_was_just_written_is_not_known_by_its_times(tmp_path: Path) -> None:
    (file,) = photos(tmp_path / "mine", 1)
    images_of([file])
    with sqlite3.connect(cache_file(own_cache_folder())) as database:
        assert database.execute("SELECT count(*) FROM file").fetchone() == (0,)
        assert database.execute("SELECT count(*) FROM image").fetchone() == (1,)
    database.close()


def test_a_damaged_entry_and_a_damaged_cache_are_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files, counts = photos(tmp_path / "mine", 4), Decodings(monkeypatch)
    first, place = images_of(files), cache_file(own_cache_folder())
    with sqlite3.connect(place) as database:
        database.execute("UPDATE image SET image = zeroblob(length(image)) WHERE rowid = 2")
        database.execute("UPDATE image SET facts = '{}' WHERE rowid = 3")
    database.close()
    assert (images_of(files) == first).all()
    assert counts.decoded == 6
    assert (images_of(files) == first).all()
    assert counts.decoded == 6
    for damage in (b"no database at all" * 300, place.read_bytes()[:5000], b""):
        place.write_bytes(damage)
        for _ in range(2):  # what is found damaged on the way is made anew by the next
            assert (images_of(files) == first).all()
        decoded = counts.decoded
        assert (images_of(files) == first).all()
        assert counts.decoded == decoded


def test_a_cache_that_cannot_be_is_done_without(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = photos(tmp_path / "mine", 2)
    first = images_of(files)
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setattr(image_reader, "own_cache_folder", lambda: tmp_path / "file")
    heard = tiny.Heard()
    assert (images_of(files, progress=heard) == first).all()
    (said,) = heard.messages
    assert said.startswith("decoded images are not kept for another time")


def test_the_cache_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = photos(tmp_path / "mine", 40)
    monkeypatch.setattr(image_cache, "MOST", 200_000)
    for start in range(0, 40, 10):
        images_of(files[start : start + 10], size=64)  # 12 kB each
    with sqlite3.connect(cache_file(own_cache_folder())) as database:
        count, size = database.execute("SELECT count(*), sum(length(image)) FROM image").fetchone()
    database.close()
    assert 5 <= count < 20
    assert size <= 200_000


def _many(files: list[Path], queue: "multiprocessing.Queue[bytes]") -> None:
    torch.set_num_threads(1)
    queue.put(images_of(files).tobytes())


def test_processes_share_the_cache(tmp_path: Path) -> None:
    files = photos(tmp_path / "mine", 30)
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    workers = [context.Process(target=_many, args=(files, queue)) for _ in range(3)]
    for worker in workers:
        worker.start()
    found = {queue.get(timeout=60) for _ in workers}
    for worker in workers:
        worker.join()
    assert found == {images_of(files).tobytes()}


def test_a_kill_leaves_a_sound_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = photos(tmp_path / "mine", 6)
    expected = images_of(files, reduced=False)
    context = multiprocessing.get_context("fork")

    def killed() -> None:
        image_reader.COMMIT_SECONDS = 0.0
        read = image_reader.read
        image_reader.read = lambda path: os._exit(9) if path == files[4] else read(path)
        images_of(files)

    worker = context.Process(target=killed)
    worker.start()
    worker.join()
    assert worker.exitcode == 9
    counts = Decodings(monkeypatch)
    assert np.abs(images_of(files).astype(int) - expected).max() <= 2
    assert counts.decoded == 2, "what was committed before the kill is there"


def test_large_jpegs_are_decoded_to_a_part_of_their_size_and_look_the_same(tmp_path: Path) -> None:
    (file,) = photos(tmp_path / "mine", 1, side=2100)
    (whole,), (part,) = (read_images([file], 32, reduced, "", Progress()) for reduced in (False, True))
    assert not isinstance(whole, BadFile)
    assert not isinstance(part, BadFile)
    assert part.facts == whole.facts
    assert (part.facts.width, part.facts.form) == (2100, "JPEG")
    assert part.pixels != whole.pixels
    assert np.abs(part.image.astype(int) - whole.image).mean() < 1
    (fine,) = read_images([file], 300, True, "", Progress())
    assert not isinstance(fine, BadFile)
    assert fine.pixels == part.pixels, "what decides the split does not depend on the size"
    (exact,) = read_images([file], 300, False, "", Progress())
    assert not isinstance(exact, BadFile)
    assert np.abs(fine.image.astype(int) - exact.image).mean() < 1
    np.testing.assert_array_equal(read_image(file, 32, reduced=True), part.image)
    np.testing.assert_array_equal(read_image(file, 32), whole.image)


def test_threads_give_what_one_gives(tmp_path: Path) -> None:
    files = photos(tmp_path / "mine", 20)
    files[7].write_bytes(b"")
    one = read_images(files, 16, True, "", Progress())
    cache_file(own_cache_folder()).unlink()
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(4)
        four = read_images(files, 16, True, "", Progress())
    finally:
        torch.set_num_threads(threads)
    assert [isinstance(each, BadFile) for each in four] == [index == 7 for index in range(20)]
    for a, b in zip(one, four, strict=True):
        if not isinstance(a, BadFile):
            assert not isinstance(b, BadFile)
            assert (a.image == b.image).all()


def test_all_bad_files_are_named_at_once_and_can_be_left_out(tmp_path: Path) -> None:
    for name in ("ant", "bee"):
        files = photos(tmp_path / "mine" / name, 20)
        for file in files[:3]:
            file.write_bytes(b"" if name == "ant" else b"\0\0\0\x18ftypheic" + bytes(20))
    source = ImageFolder(path=tmp_path / "mine", size=8)
    with pytest.raises(DataError) as caught:
        source.load("train", tmp_path, Progress())
    said = str(caught.value)
    assert said.startswith("6 of 40 files cannot be read")
    assert "--skip-bad" in said
    for number in range(3):
        assert f"{tmp_path / 'mine' / 'ant' / f'{number}.jpg'}: it is empty" in said
        assert f"{tmp_path / 'mine' / 'bee' / f'{number}.jpg'}: it is a HEIC photo by its content" in said
    heard = tiny.Heard()
    read = source.replace(skip_bad=True).read(tmp_path, heard)
    assert (len(read.read), len(read.bad)) == (34, 6)
    assert heard.messages[0].startswith("left out 6 of 40 files that cannot be read")
