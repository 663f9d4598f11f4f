"""Verbs and errors that need no torch import none, and what they know instead is what the recipes say."""

import subprocess
import sys
from pathlib import Path

import pytest
from pages.index import contents, options

from shoestring.cli import main
from shoestring.cli.main import parse
from shoestring.recipes import RECIPES


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (0, ["list"]),
        (0, ["list", "--json"]),
        (0, ["new", "mine.toml", "--base", "cifar100-flow"]),
        (0, ["train", "--help"]),
        (1, ["train", "nosuch"]),
        (1, ["show", "nosuch.toml"]),
        (2, ["train", "addnist-quick", "--budget.stepz", "3"]),
        (2, ["train"]),
        (2, ["bogus"]),
        (2, ["predict"]),
        (1, ["predict", "nosuch", "a.png"]),
        (1, ["evaluate", "nosuch"]),
        (1, ["sample", "runs/nosuch", "--count", "4"]),
        (1, ["report", "addnist-best", "nosuch"]),
        (1, ["export", "nosuch", "--to", "onnx"]),
        (1, ["pack", "addnist-quick"]),
        (1, ["check", "nosuch"]),
        (1, ["grade", "nosuch"]),
        (1, ["list", "--rules", "nosuch.toml"]),
        (1, ["train", "addnist-quick", "--rules", "nosuch.toml"]),
        (1, ["show", "addnist-quick", "--rules=nosuch.toml"]),
        (1, ["sweep", "nosuch", "--grid", "seed=1"]),
        (2, ["sample", "cifar100-flow", "--bogus", "3"]),
        (2, ["evaluate", "addnist-best", "--bogus=3"]),
    ],
)
def test_no_torch_is_imported(status: int, words: list[str], tmp_path: Path) -> None:
    code = (
        "import sys; from shoestring.cli import main\n"
        f"status = main({words!r})\n"
        "assert not {'torch', 'numpy', 'pydantic'} & set(sys.modules), 'imported'\n"
        "sys.exit(status)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert "imported" not in done.stderr, done.stderr
    assert done.returncode == status, done.stderr


def test_the_index_is_that_of_the_recipes() -> None:
    stale = [f.name for f, text in contents().items() if not f.is_file() or f.read_text(encoding="utf-8") != text]
    assert not stale, "run python scripts/results.py"


@pytest.mark.parametrize("name", ["addnist-quick", "cifar100-gan-best"])
def test_every_option_of_the_index_is_one_of_the_parser(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(["train", name, "--help"])
    shown = capsys.readouterr().out
    for option in set(options(RECIPES[name]())) - {"--published"}:
        assert option[:40] in shown, option


def test_an_unknown_option_is_an_error_of_usage_that_names_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "addnist-quick", "--budget.stepz", "3"]) == 2
    assert "did you mean '--budget.steps'?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["sample", "addnist-bst"], "did you mean 'addnist-best'?"),
        (["predict", "addnist-quick", "a.png"], "no trained weights of addnist-quick are shipped"),
        (["report", "."], "holds no run"),
        (["sample", "cifar100-flow", "--cuont", "3"], "did you mean '--count'?"),
        (["list", "--rules", "nosuch.toml"], "there is no file of rules nosuch.toml"),
    ],
)
def test_an_error_of_usage_says_what_there_is(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) in (1, 2)
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [
        ["sample", "cifar100-flow", "--class", "rose", "--sampling.steps", "9", "--ema-decay=0.5"],
        ["interpolate", "cifar100-flow", "--to_class", "rose", "--json"],
        ["evaluate", "cifar100-gan-best", "--inception", "none", "--seeds", "2"],
        ["evaluate", "addnist-best", "--split", "tune", "--data-folder", "."],
    ],
)
def test_options_of_a_run_that_there_are_pass(words: list[str]) -> None:
    parse(words)


@pytest.mark.parametrize(
    "words",
    [
        ["--budget.steps=3", "--batch_size", "8"],
        ["--engine.no-deterministic"],
        ["--net", "bottleneck", "--net.widths", "8", "8", "8"],
        ["--run", "x", "--json", "--skip-bad"],
    ],
)
def test_options_that_there_are_pass(words: list[str]) -> None:
    try:
        parse(["train", "cifar100-best", *words])
    except SystemExit as stop:
        pytest.fail(f"refused: {stop}")
