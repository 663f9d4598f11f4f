"""From a folder to a trained run in one command, and again."""

import json
import shutil
from pathlib import Path

import pytest
import tiny

from shoestring.cli import main
from shoestring.cli.fit import amount
from shoestring.core.errors import RecipeError
from shoestring.core.run import Run
from shoestring.recipes.lookup import recipe

QUICK = ("--minutes", "0.02", "--parameters", "3k", "--device", "cpu")


def test_a_folder_becomes_a_recipe_a_run_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tiny.write_pictures(tmp_path / "photos", train=20)
    monkeypatch.chdir(tmp_path)
    assert main(["fit", str(root), *QUICK, "--no-train"]) == 0
    shown = capsys.readouterr().out
    assert "recipe" in shown
    assert not Run(tmp_path / "runs" / "photos").exists()
    kept = (tmp_path / "runs" / "photos.toml").read_text()
    assert kept.startswith("# Chosen by shoestring fit for ")
    assert main(["fit", str(root), *QUICK, "--to", "web"]) == 0
    shown = capsys.readouterr().out
    assert str(tmp_path / "runs" / "photos" / "exports" / "web" / "index.html") in shown
    run = Run(Path("runs/photos"))
    assert run.finished()
    assert (tmp_path / "runs" / "photos.toml").read_text() == kept
    trained = recipe(tmp_path / "runs" / "photos.toml")
    assert trained.to_json() | {"data": None} == run.read_recipe() | {"data": None}
    assert "Why this recipe" in run.report_file.read_text()
    assert run.fitted()["reasons"]["steps"] in run.report_file.read_text()
    assert main(["fit", str(root), *QUICK]) == 0
    assert "next    shoestring demo runs/photos" in capsys.readouterr().out
    assert main(["fit", str(root), *QUICK, "--json", "--to", "int8"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["finished"]
    assert said["export"]["form"] == "int8"
    assert said["reasons"] == run.fitted()["reasons"]
    assert main(["fit", str(root), *QUICK, "--size", "9"]) == 1
    assert "asked for something else; name another folder with --out" in capsys.readouterr().err


def test_bad_files_are_refused_before_anything_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tiny.write_pictures(tmp_path / "photos", train=20)
    (root / "train" / "red" / "torn.png").write_bytes(b"nonsense")
    monkeypatch.chdir(tmp_path)
    assert main(["fit", str(root), *QUICK]) == 1
    assert "torn.png" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()
    assert main(["fit", str(root), *QUICK, "--skip-bad", "--no-train"]) == 0
    assert recipe(tmp_path / "runs" / "photos.toml").data.skip_bad  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("100_000", 100_000),
        ("10M", 10_000_000),
        ("1.5k", 1_500),
        ("64kB", 64_000),
        ("64 KiB", 65_536),
        ("1,000", 1_000),
        (".5M", 500_000),
    ],
)
def test_amounts(text: str, expected: int) -> None:
    assert amount(text, "--memory") == expected


@pytest.mark.parametrize("text", ["", "kB", "64kb", "-1", "1e3", "ten", "1.2.3", "nan", "_", ",", "1,5k", "1,00", "."])
def test_no_amounts(text: str) -> None:
    with pytest.raises(RecipeError, match="--memory"):
        amount(text, "--memory")
    with pytest.raises(RecipeError, match="above 0"):
        amount("0", "--memory")


def test_what_no_run_can_be_made_of_is_told_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    hidden = tiny.write_pictures(tmp_path / ".photos", train=20)
    assert main(["fit", str(hidden), *QUICK]) == 1
    assert "'.photos' cannot name the folder of a run" in capsys.readouterr().err
    for colour in ("red", "blue"):
        (tmp_path / "one" / colour).mkdir(parents=True)
        shutil.copy(hidden / "train" / colour / "00.png", tmp_path / "one" / colour)
    assert main(["fit", "one", *QUICK]) == 1
    assert "too few; add some" in capsys.readouterr().err
    assert not (tmp_path / "runs").exists()
