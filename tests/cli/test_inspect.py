import json
from pathlib import Path

import pytest
import tiny

from shoestring.cli import main


def test_a_folder_is_shown_with_all_that_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tiny.write_pictures(tmp_path / "mine", train=20)
    assert main(["inspect", str(root), "--size", "8"]) == 0
    shown = capsys.readouterr().out
    assert "mine: 75 images of 3 classes (train " in shown
    assert "tune (carved)" in shown
    assert "formats   PNG 75" in shown
    assert "sizes     8..8..8 x 8..8..8" in shown
    (root / "train" / "red" / "00.png").write_bytes(b"")
    (root / "train" / "red" / "01.png").write_bytes(b"nonsense")
    (root / "paper.pdf").write_bytes(b"")
    assert main(["inspect", str(root), "--size", "8"]) == 1
    shown = capsys.readouterr().out
    assert "Cannot be read: 2" in shown
    assert main(["inspect", str(root), "--skip-bad", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [Path(one["path"]).name for one in found["bad"]] == ["00.png", "01.png"]
    assert "it is of no known format" in json.dumps(found["bad"])
    assert "PDF; save its pages as images" in json.dumps(found)
    assert found["total"] == 73
    assert found["cache"]["bytes"] > 0


def test_what_is_no_folder_is_one_message(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(tmp_path / "nowhere")]) == 1
    assert "does not exist" in capsys.readouterr().err


def test_images_of_no_size_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(tiny.write_pictures(tmp_path / "mine", train=2)), "--size", "0"]) == 1
    assert "greater than 0" in capsys.readouterr().err
