import struct
import zlib

import numpy as np
import pytest
import torch
from PIL import Image

from shoestring.errors import DataError
from shoestring.measure.pictures import read_folder
from shoestring.progress import Progress

torch.set_num_threads(1)


def pixels(height, width, *channels, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (height, width, *channels), dtype=np.uint8)


def test_all_pngs_in_order_of_their_names(tmp_path):
    pictures = {f"{name}.png": pixels(5, 7, 3, seed=seed) for seed, name in enumerate(("b", "a", "c10", "C"))}
    for name, picture in pictures.items():
        Image.fromarray(picture).save(tmp_path / name)
    Image.fromarray(pixels(5, 7, 3)).save(tmp_path / "UPPER.PNG", format="PNG")
    (tmp_path / "notes.txt").write_text("no image")
    found = read_folder(tmp_path, Progress())
    assert found.shape == (5, 3, 5, 7)
    assert found.dtype == torch.uint8
    for image, name in zip(found, ("C.png", "UPPER.PNG", "a.png", "b.png", "c10.png"), strict=True):
        assert (image.permute(1, 2, 0).numpy() == pictures.get(name, pixels(5, 7, 3))).all()


def test_grey_and_palette_become_colour(tmp_path):
    grey = pixels(4, 4)
    Image.fromarray(grey).save(tmp_path / "a.png")
    Image.fromarray(grey).convert("P").save(tmp_path / "b.png")
    for image in read_folder(tmp_path, Progress()):
        assert (image.numpy() == grey).all()


def test_a_folder_without_pngs_is_refused(tmp_path):
    with pytest.raises(DataError, match=r"nowhere is not a folder"):
        read_folder(tmp_path / "nowhere", Progress())
    Image.fromarray(pixels(4, 4, 3)).save(tmp_path / "a.jpg")
    with pytest.raises(DataError, match=r"holds no PNG files"):
        read_folder(tmp_path, Progress())


def test_mixed_sizes_name_both_files(tmp_path):
    Image.fromarray(pixels(4, 5, 3)).save(tmp_path / "a.png")
    Image.fromarray(pixels(5, 4, 3)).save(tmp_path / "b.png")
    with pytest.raises(DataError, match=r"b\.png is 4x5, but a\.png is 5x4"):
        read_folder(tmp_path, Progress())


@pytest.mark.parametrize("kind", ["text", "jpeg", "truncated", "empty", "folder"])
def test_what_is_no_png_is_named(tmp_path, kind):
    file = tmp_path / "bad.png"
    Image.fromarray(pixels(20, 20, 3)).save(file, format="JPEG" if kind == "jpeg" else "PNG")
    if kind == "folder":
        file.unlink()
        file.mkdir()
    elif kind != "jpeg":
        file.write_bytes({"text": b"hello", "truncated": file.read_bytes()[:300], "empty": b""}[kind])
    with pytest.raises(DataError, match=r"bad\.png cannot be read as a PNG image"):
        read_folder(tmp_path, Progress())


def test_transparency_and_16_bits_are_refused_rather_than_guessed(tmp_path):
    for index, (picture, mode) in enumerate(
        (
            (Image.fromarray(pixels(4, 4, 4)), "RGBA"),
            (Image.fromarray(pixels(4, 4, 2)), "LA"),
            (Image.fromarray(pixels(4, 4).astype(np.uint16)), "I;16"),
        )
    ):
        folder = tmp_path / str(index)
        folder.mkdir()
        picture.save(folder / "a.png")
        with pytest.raises(DataError, match=rf"a.png is a PNG of mode {mode} and \d+ bits; save it as 8-bit RGB"):
            read_folder(folder, Progress())
    Image.fromarray(pixels(4, 4)).save(tmp_path / "a.png", transparency=3)
    with pytest.raises(DataError, match="mode L and 8 bits with transparency"):
        read_folder(tmp_path, Progress())


def test_16_bit_colour_is_refused_although_pillow_would_cut_it(tmp_path):
    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    rows = b"".join(b"\0" + bytes(range(12)) for _ in range(2))  # 2 pixels of 6 bytes
    header = struct.pack(">IIBBBBB", 2, 2, 16, 2, 0, 0, 0)
    content = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + content)
    with pytest.raises(DataError, match="PNG of mode RGB and 16 bits"):
        read_folder(tmp_path, Progress())
