"""A folder of submissions graded: order, ties, files for others, and that one which fails costs only itself."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
from forgery import forged

from shoestring import api
from shoestring.cli.main import main
from shoestring.contest import board, check_process
from shoestring.contest.board import Graded, ranked
from shoestring.core.packed import pack
from shoestring.core.run import Run
from shoestring.report.leaderboard import build


def graded(name: str, value: float | None, correct: torch.Tensor | None = None, **found: Any) -> Graded:
    measured = None if value is None else {"value": value, "n": 1_000, "interval": [value - 0.01, value + 0.01]}
    usual = {"kind": "classifier", "verdict": "passed", "metric": "accuracy", "findings": [], "measured": measured}
    return Graded(name, usual | found, 1.0, correct)


def right(count: int, of: int = 1_000) -> torch.Tensor:
    return torch.arange(of) < count


def test_rows_are_in_order_and_ties_share_a_rank() -> None:
    rows = ranked([
        graded("third", 0.805, right(805)),
        graded("failed", 0.99, right(990), verdict="failed"),
        graded("first", 0.9, right(900)),
        graded("second", 0.807, right(807)),
        graded("open", None, verdict="not decided"),
        graded("last", 0.5, right(500)),
    ])  # fmt: skip
    assert [(row.name, row.rank, row.tied) for row in rows] == [
        ("first", 1, None),
        ("second", 2, False),
        ("third", 2, True),  # 2 of 1,000 images apart
        ("last", 4, False),
        ("failed", None, None),
        ("open", None, None),
    ]
    assert rows[2].above["value"] == pytest.approx(-0.002)


def test_generators_are_apart_from_classifiers_and_fewer_is_better() -> None:
    def generator(name: str, value: float, error: float | None) -> Graded:
        measured = {"value": value, "n": 100, "interval": None, "standard_error": error}
        return graded(name, value, kind="generator", metric="fid_768_clean", measured=measured)

    rows = ranked([generator("b", 0.5, 0.01), generator("a", 0.4, 0.01), graded("c", 0.9), generator("d", 0.6, None)])
    assert [(row.name, row.rank, row.tied) for row in rows] == [
        ("c", 1, None),
        ("a", 1, None),
        ("b", 2, False),
        ("d", 3, None),  # nothing says how sure that is
    ]


def test_the_page_of_200_is_whole_and_shows_foreign_names_as_they_are(tmp_path: Path) -> None:
    rows = ranked([graded(f"<b>{place}</b>", 0.5 + place / 1_000, right(500 + place)) for place in range(200)])
    rules = {"name": "tiny & co", "classifier": {"parameters": 100, "steps": 5, "nfe": None}, "generator": None}
    board = {"rules": rules, "submissions": [row.to_json() for row in rows]}
    text = build(board, {"<b>3</b>": b"\x89PNG"}, tmp_path / "index.html").read_text()
    assert text.count('<th scope="row">&lt;b&gt;') == 200
    assert "<b>" not in text
    assert "100 parameters, 5 steps" in text
    assert "tiny &amp; co" in text
    assert len(re.findall("data:image/png", text)) == 1
    assert "http" not in text.replace("http-equiv", "")


@pytest.fixture
def folder(classifier_run: Run, pictures: Path, tmp_path: Path) -> Path:
    """An honest submission, its twin, and one that lies; with rules."""

    def lie(record: dict[str, Any], tensors: dict[str, torch.Tensor]) -> None:
        record["files"]["metrics.json"]["test"] = {"accuracy": {"value": 0.99, "n": 15, "interval": None}}

    home = tmp_path / "handed-in"
    home.mkdir()
    for name in ("honest", "twin"):
        (home / f"{name}.safetensors").write_bytes(pack(classifier_run))
    forged(classifier_run, home / "liar.safetensors", lie)
    (home / "README.md").write_text("not a submission")
    limits = {"parameters": 2_000, "steps": 12}
    data = {"kind": "folder", "path": str(pictures), "size": 8}
    (tmp_path / "rules.json").write_text(json.dumps({"name": "tiny", "classifier": limits, "data": data}))
    return home


def test_a_folder_is_graded_each_in_a_process_of_its_own(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "board"
    words = ["grade", str(folder), "--rules", str(tmp_path / "rules.json"), "--out", str(out)]
    assert main([*words, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["submissions"]
    assert [(row["name"], row["rank"], row["tied"], row["verdict"]) for row in rows] == [
        ("honest.safetensors", 1, None, "passed"),
        ("twin.safetensors", 1, True, "passed"),
        ("liar.safetensors", None, None, "failed"),
    ]
    assert json.loads((out / "results.json").read_text())["submissions"] == rows
    with (out / "results.csv").open() as file:
        table = list(csv.DictReader(file))
    assert [line["rank"] for line in table] == ["1", "1", ""]
    assert "99.00% is claimed" in table[2]["reasons"]
    scores = json.loads((out / "submissions" / "honest.safetensors" / "scores.json").read_text())
    assert scores["accuracy"] == rows[0]["measured"]["value"]
    assert scores["passed"] == 1
    assert "accuracy" not in json.loads((out / "submissions" / "liar.safetensors" / "scores.json").read_text())
    page = (out / "index.html").read_text()
    assert "honest.safetensors" in page
    assert "99.00% is claimed" in page


@pytest.mark.parametrize(
    ("limit", "said"),
    [(("--minutes", "0.002"), "it took more than 0.002 minutes"), (("--memory", "0.02"), "its check ended early")],
)
def test_one_that_hangs_or_takes_all_memory_costs_only_itself(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], limit: tuple[str, str], said: str
) -> None:
    for name in ("twin", "liar"):
        (folder / f"{name}.safetensors").unlink()
    words = ["grade", str(folder), "--rules", str(tmp_path / "rules.json"), *limit, "--json"]
    assert main(words) == 0
    (row,) = json.loads(capsys.readouterr().out)["submissions"]
    assert row["verdict"] == "failed"
    assert said in row["findings"][0]["reason"]
    scores = json.loads((tmp_path / "handed-in-graded" / "scores.json").read_text())
    assert scores["failed"] == 1


def test_an_empty_or_missing_folder_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    assert main(["grade", str(tmp_path / "empty")]) == 1
    assert "holds no submissions" in capsys.readouterr().err
    assert main(["grade", str(tmp_path / "nowhere")]) == 1
    assert "there is no folder" in capsys.readouterr().err


class StartedError(Exception):
    """A submission would be checked by a process."""


@pytest.fixture
def none_started(monkeypatch: pytest.MonkeyPatch):
    """Makes the start of a process an error that names the submission; to be asked for when there was one."""

    def forbid() -> None:
        def start(self: Any) -> None:
            raise StartedError(self.name)

        monkeypatch.setattr(check_process.CheckProcess, "start", start)

    return forbid


def test_what_was_graded_is_not_graded_again_unless_it_or_the_rules_changed(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], none_started
) -> None:
    rules, out = tmp_path / "rules.json", tmp_path / "board"
    words = ["grade", str(folder), "--rules", str(rules), "--out", str(out), "--json"]
    for name in ("twin", "liar"):
        (folder / f"{name}.safetensors").unlink()
    assert main(words) == 0
    first = capsys.readouterr().out
    none_started()
    assert main(words) == 0
    said = capsys.readouterr()
    assert said.out == first
    assert "1 of 1 submissions were graded before and have not changed" in said.err
    content = json.loads(rules.read_text())
    rules.write_text(json.dumps(content | {"classifier": {"parameters": 2_000, "steps": 13}}))
    with pytest.raises(StartedError, match="honest"):
        api.grade(folder, rules, out)
    rules.write_text(json.dumps(content))
    api.grade(folder, rules, out)
    honest = folder / "honest.safetensors"
    before = honest.stat().st_mtime_ns
    honest.write_bytes(honest.read_bytes())
    os.utime(honest, ns=(before, before))  # as large and as old as before
    with pytest.raises(StartedError, match="honest"):
        api.grade(folder, rules, out)


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
def test_ctrl_c_keeps_what_is_graded_and_the_same_command_goes_on(folder: Path, tmp_path: Path, none_started) -> None:
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        pytest.skip("started by nohup, or in the background of a shell")
    out, program = tmp_path / "board", "import sys; from shoestring.cli import main; sys.exit(main())"
    words = ["grade", str(folder), "--rules", str(tmp_path / "rules.json"), "--out", str(out), "--workers", "1"]
    with subprocess.Popen(
        [sys.executable, "-c", program, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        while process.poll() is None and not (out / "submissions" / "honest.safetensors" / "graded.json").is_file():
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        stdout, err = process.communicate(timeout=60)
    assert (process.returncode, stdout) == (130, "")
    assert err.strip().splitlines()[-1] == (
        "stopped by SIGINT; 1 of 3 submissions are graded, which is kept. The same command again goes on from there."
    )
    assert not (out / "results.json").exists()
    none_started()
    with pytest.raises(StartedError, match="liar"):  # the second one
        api.grade(folder, tmp_path / "rules.json", out)


def test_names_are_shown_as_they_are_and_computed_by_no_spreadsheet(tmp_path: Path) -> None:
    rows = ranked([graded(name, 0.5) for name in ("=cmd|' /C calc'!A0", "+1", "-1", "@sum", "plain")])
    names = [line["name"] for line in csv.DictReader(board._table(rows).splitlines())]
    assert sorted(names) == ["'+1", "'-1", "'=cmd|' /C calc'!A0", "'@sum", "plain"]
    assert [line["value"] for line in csv.DictReader(board._table(rows).splitlines())] == ["0.5"] * 5


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are text elsewhere")
def test_a_name_that_is_no_text_and_a_link_to_nowhere_cost_only_themselves(folder: Path, tmp_path: Path) -> None:
    for file in folder.iterdir():
        file.unlink()
    Path(os.fsdecode(os.fsencode(folder) + b"/\xff.safetensors")).write_bytes(b"?")
    (folder / "nowhere.onnx").symlink_to(tmp_path / "nowhere")
    assert main(["grade", str(folder), "--out", str(tmp_path / "board"), "--level", "1"]) == 0
    rows = json.loads((tmp_path / "board" / "results.json").read_text())["submissions"]
    assert {row["name"]: row["verdict"] for row in rows} == {"\\xff.safetensors": "failed", "nowhere.onnx": "failed"}
    assert "\\xff.safetensors" in (tmp_path / "board" / "index.html").read_text()
