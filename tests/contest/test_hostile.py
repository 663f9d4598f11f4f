"""Submissions made to hang, to fill the memory or to break what reads them: each costs only itself."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from forgery import forged

from shoestring.contest.check import Checked, check
from shoestring.core.packed import KEY, pack
from shoestring.core.progress import Progress
from shoestring.core.run import Run
from shoestring.recipes.rules import Rules


@pytest.fixture(scope="module")
def in_force(pictures: Path) -> Rules:
    limits = {"parameters": 2_000, "steps": 12}
    data = {"kind": "folder", "path": str(pictures), "size": 8}
    return Rules.from_json({"name": "tiny", "classifier": limits, "data": data}, "here")


def failures(found: Checked) -> dict[str, str]:
    return {one.name: one.reason for one in found.findings if one.verdict == "failed"}


def safetensors(file: Path, header: bytes, size: int = 0) -> Path:
    """A file with a header and so many bytes of tensors, which take no room on the disk."""
    file.write_bytes(len(header).to_bytes(8, "little") + header)
    os.truncate(file, 8 + len(header) + size)
    return file


def declared(floats: int, record: str = "") -> bytes:
    tensor = {"dtype": "F32", "shape": [floats], "data_offsets": [0, 4 * floats]}
    return json.dumps({"w": tensor} | ({"__metadata__": {KEY: record}} if record else {})).encode()


@pytest.mark.parametrize(
    ("header", "size", "said"),
    [
        (declared(2**40), 0, "no sound safetensors"),  # more than the file holds
        (b"{" * 1_000, 0, "no sound safetensors"),
        (declared(1, "[" * 100_000), 4, "RecursionError"),
        (declared(1, "1" * 100_000), 4, "packed run"),
        (declared(1, '{"format": 1e999}'), 4, "not packed by this version"),
    ],
    ids=["declares more", "no header", "deep", "long number", "infinity"],
)
def test_files_that_break_a_reader_fail_and_nothing_else(
    in_force: Rules, tmp_path: Path, header: bytes, size: int, said: str
) -> None:
    found = check(safetensors(tmp_path / "x.safetensors", header, size), in_force, 3, tmp_path, Progress())
    assert said in failures(found)["form"]


@pytest.mark.parametrize("length", [0, 2**62])
def test_a_header_longer_than_the_file_is_refused(in_force: Rules, tmp_path: Path, length: int) -> None:
    (tmp_path / "x.safetensors").write_bytes(length.to_bytes(8, "little") + b"{}")
    found = check(tmp_path / "x.safetensors", in_force, 3, tmp_path, Progress())
    assert "no sound safetensors" in failures(found)["form"]


def test_tensors_far_larger_than_allowed_are_not_read(classifier_run: Run, in_force: Rules, tmp_path: Path) -> None:
    """Of a terabyte, which no machine of today could read in the time that this takes."""
    honest = tmp_path / "honest.safetensors"
    honest.write_bytes(pack(classifier_run))
    content = honest.read_bytes()
    header: dict[str, Any] = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    end = max(one["data_offsets"][1] for name, one in header.items() if name != "__metadata__")
    header["spare"] = {"dtype": "F32", "shape": [2**38], "data_offsets": [end, end + 2**40]}
    safetensors(honest, json.dumps(header).encode(), end + 2**40)
    found = failures(check(honest, in_force, 3, tmp_path, Progress()))
    assert "more than 2 times the 2,000" in found.get("net", ""), found


def test_a_net_larger_than_any_memory_is_not_built(classifier_run: Run, in_force: Rules, tmp_path: Path) -> None:
    def name_a_giant(record: dict[str, Any], _: object) -> None:
        record["files"]["recipe.json"]["net"]["widths"] = [2**29, 2**29]

    found = check(forged(classifier_run, tmp_path / "x.safetensors", name_a_giant), in_force, 3, tmp_path, Progress())
    assert found.verdict == "failed"
    assert found.measured.metric is None


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names here")
@pytest.mark.parametrize("name", ["pipe.safetensors", "pipe.onnx"])
def test_a_pipe_is_not_waited_for(in_force: Rules, tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    found = check(tmp_path / name, in_force, 3, tmp_path, Progress())
    assert "neither a file nor a folder" in failures(found)["form"]
