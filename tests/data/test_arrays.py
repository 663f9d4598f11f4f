from contextlib import suppress

import numpy as np
import pytest
import torch

from shoestring.core.errors import DataError
from shoestring.data.image_files import read_array

IMAGES = np.random.default_rng(0).integers(0, 256, (5, 3, 8, 6), dtype=np.uint8)


def test_every_usual_layout_gives_the_same_images(tmp_path):
    np.save(tmp_path / "first.npy", IMAGES)
    np.save(tmp_path / "last.npy", IMAGES.transpose(0, 2, 3, 1))
    np.savez(tmp_path / "one.npz", anything=IMAGES)
    np.savez(tmp_path / "many.npz", labels=np.arange(5), arr_0=IMAGES)
    for name in ("first.npy", "last.npy", "one.npz", "many.npz"):
        assert torch.equal(read_array(tmp_path / name), torch.from_numpy(IMAGES)), name


def test_grey_images_become_red_green_and_blue_alike(tmp_path):
    np.save(tmp_path / "grey.npy", IMAGES[:, 0])
    found = read_array(tmp_path / "grey.npy")
    assert found.shape == (5, 3, 8, 6)
    assert all(torch.equal(found[:, channel], torch.from_numpy(IMAGES[:, 0])) for channel in range(3))


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (IMAGES / 255, "holds float64; images must be uint8"),
        (np.where(IMAGES > 128, np.nan, IMAGES), "of its values NaN"),
        (IMAGES[:, :2], r"shape \(5, 2, 8, 6\)"),
        (IMAGES.reshape(5, -1), r"shape \(5, 144\)"),
        (IMAGES[:0], r"shape \(0, 3, 8, 6\)"),
    ],
)
def test_other_arrays_are_refused(tmp_path, array, said):
    np.save(tmp_path / "x.npy", array)
    with pytest.raises(DataError, match=said):
        read_array(tmp_path / "x.npy")


def test_damaged_and_ambiguous_files_are_refused(tmp_path):
    (tmp_path / "x.npy").write_bytes(b"no array")
    with pytest.raises(DataError, match="cannot be read as a NumPy file"):
        read_array(tmp_path / "x.npy")
    np.save(tmp_path / "objects.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(DataError, match="cannot be read as a NumPy file"):
        read_array(tmp_path / "objects.npy")
    np.savez(tmp_path / "x.npz", a=IMAGES, b=IMAGES)
    with pytest.raises(DataError, match="holds the arrays a, b"):
        read_array(tmp_path / "x.npz")
    np.savez_compressed(tmp_path / "x.npz", images=IMAGES)
    whole = (tmp_path / "x.npz").read_bytes()
    for place in range(40, len(whole), 7):  # whatever a damaged file makes zipfile, zlib and NumPy raise
        (tmp_path / "x.npz").write_bytes(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
        with suppress(DataError):
            read_array(tmp_path / "x.npz")
    with pytest.raises(DataError, match="cannot be read"):
        read_array(tmp_path / "absent.npy")
