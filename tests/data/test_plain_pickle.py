import os
import pickle
import struct
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest

from shoestring.core.errors import DataError
from shoestring.data.plain_pickle import load_plain_dictionary

CONTENT = {
    "data": np.arange(24, dtype=np.uint8).reshape(4, 6),
    "fine_labels": [3, 1, 2, 0],
    "filenames": ["é.png", "b.png"],
    "raw": b"\x00\xff",
}


def python2_pickle(array: np.ndarray) -> bytes:
    """What cPickle of Python 2 wrote with protocol 2 for {"data": array, "fine_labels": [7]}, opcode by opcode."""

    def text(value: bytes) -> bytes:
        return b"U" + bytes([len(value)]) + value

    dtype = (
        b"cnumpy\ndtype\n"
        + text(b"u1")
        + b"K\x00K\x01\x87R(K\x03"
        + text(b"|")
        + b"NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    )
    raw = b"T" + struct.pack("<i", array.nbytes) + array.tobytes()
    rows, columns = array.shape
    return (
        b"\x80\x02}("
        + text(b"data")
        + b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85" + text(b"b") + b"\x87R"
        + b"(K\x01K" + bytes([rows]) + b"K" + bytes([columns]) + b"\x86" + dtype + b"\x89" + raw + b"tb"
        + text(b"fine_labels") + b"]K\x07au."
    )  # fmt: skip


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("order", ["C", "F"])
def test_every_protocol_of_this_numpy(tmp_path: Path, protocol: int, order: str) -> None:
    content = {**CONTENT, "data": np.array(CONTENT["data"], order=order), "wide": np.array([1, 2**40], ">i8")}
    (tmp_path / "file").write_bytes(pickle.dumps(content, protocol))
    found = load_plain_dictionary(tmp_path / "file")
    np.testing.assert_array_equal(found["data"], CONTENT["data"])
    assert found["data"].dtype == np.uint8
    assert found["wide"].tolist() == [1, 2**40]
    assert {key: found[key] for key in ("fine_labels", "filenames", "raw")} == {
        key: CONTENT[key] for key in ("fine_labels", "filenames", "raw")
    }


@pytest.mark.parametrize("core", ["core", "_core"])
@pytest.mark.parametrize("protocol", [2, 4])
def test_arrays_of_numpy_1_and_numpy_2(tmp_path: Path, core: str, protocol: int) -> None:
    content = pickle.dumps({"data": CONTENT["data"]}, protocol)
    old = b"numpy._core.multiarray" if b"numpy._core" in content else b"numpy.core.multiarray"
    new = f"numpy.{core}.multiarray".encode()
    if protocol == 4:
        old, new = bytes([len(old)]) + old, bytes([len(new)]) + new
    assert old in content
    renamed = content.replace(old, new)
    if protocol == 4:
        assert renamed[2:3] == pickle.FRAME
        renamed = renamed[:3] + struct.pack("<Q", len(renamed) - 11) + renamed[11:]
    (tmp_path / "file").write_bytes(renamed)
    np.testing.assert_array_equal(load_plain_dictionary(tmp_path / "file")["data"], CONTENT["data"])


def test_a_pickle_of_python_2(tmp_path: Path) -> None:
    array = np.arange(100, 220, 5, dtype=np.uint8).reshape(4, 6)
    (tmp_path / "file").write_bytes(python2_pickle(array))
    found = load_plain_dictionary(tmp_path / "file")
    np.testing.assert_array_equal(found["data"], array)
    assert found["fine_labels"] == [7]


def test_keys_that_are_bytes_become_text(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(pickle.dumps({b"fine_labels": [1]}))
    assert load_plain_dictionary(tmp_path / "file") == {"fine_labels": [1]}


class Command:
    def __init__(self, text: str) -> None:
        self.text = text

    def __reduce__(self) -> tuple[object, ...]:
        return os.system, (self.text,)


class Evaluation:
    def __reduce__(self) -> tuple[object, ...]:
        return eval, ("1 + 1",)


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_a_hostile_pickle_runs_nothing(tmp_path: Path, protocol: int) -> None:
    trace = tmp_path / "trace"
    (tmp_path / "file").write_bytes(pickle.dumps({"data": Command(f"touch {trace}")}, protocol))
    with pytest.raises(DataError, match="which no data file needs"):
        load_plain_dictionary(tmp_path / "file")
    assert not trace.exists()
    with (tmp_path / "file").open("rb") as file:
        pickle.load(file)  # the same file does run it elsewhere, so that the test means something
    assert trace.exists()


@pytest.mark.parametrize(
    "content",
    [{"data": Evaluation()}, {"data": OrderedDict()}, {"data": np.array([{}], dtype=object)}, ["no dictionary"], 3],
)
def test_anything_but_plain_data_is_refused(tmp_path: Path, content: object) -> None:
    (tmp_path / "file").write_bytes(pickle.dumps(content))
    with pytest.raises(DataError, match=r"file cannot be read.*Delete it"):
        load_plain_dictionary(tmp_path / "file")


def test_an_array_whose_bytes_do_not_fit_its_shape_is_refused(tmp_path: Path) -> None:
    content = pickle.dumps({"data": np.zeros((4, 6), np.uint8)}, 2)
    assert content.count(b"K\x04K\x06\x86") == 1
    (tmp_path / "file").write_bytes(content.replace(b"K\x04K\x06\x86", b"K\xffK\xff\x86"))
    with pytest.raises(DataError, match=r"shape \(255, 255\) holds 24 bytes"):
        load_plain_dictionary(tmp_path / "file")


def test_every_truncation_is_refused(tmp_path: Path) -> None:
    content = pickle.dumps(CONTENT, 4)
    for length in range(0, len(content), 3):
        (tmp_path / "file").write_bytes(content[:length])
        with pytest.raises(DataError, match="cannot be read"):
            load_plain_dictionary(tmp_path / "file")


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere cannot be read: FileNotFoundError"):
        load_plain_dictionary(tmp_path / "nowhere")
