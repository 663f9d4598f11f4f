"""The documentation: commands that exist, a tour that runs as it stands, a site without warnings, a whole reference."""

import ast
import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
import webbrowser
from pathlib import Path
from typing import Any

import pytest
import tiny

import shoestring
from shoestring.cli import main
from shoestring.cli.main import parse
from shoestring.core.run import Run

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
PAGES.remove(ROOT / "docs" / "log.md")  # a diary: what was run with the options of its day
OTHERS = {
    "pip",
    "python",
    "python3",
    "npm",
    "cp",
    "pre-commit",
    "hf",
    "tensorboard",
    "source",
    "ssh",
    "ray",
    "srun",
    "torchrun",
}
"""Programs that pages call besides this one: they install, test, log in, or show pages until somebody ends them."""
STANDS_FOR = {"RUN": "cifar100-best", "NAME": "cifar100-best", "X": "addnist-quick", "FOLDER": "photos"}


def commands(page: Path) -> list[str]:
    """The lines of a page's shell blocks, and those after a "$" of blocks that show what a command prints.

    Comments are left out, lines that end in a backslash joined.
    """
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    found = re.findall(r"^```(?:shell|bash|console)\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)
    found += re.findall(r"^\$ (.*)", text, flags=re.MULTILINE)
    lines = [re.sub(r"\s#\s.*", "", line).strip() for block in found for line in block.splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def code(page: Path) -> list[str]:
    """The Python blocks of a page."""
    return re.findall(r"^```python\n(.*?)^```", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)


def in_text(page: Path) -> list[str]:
    """The commands within a page's sentences, without those that leave something out ("…")."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    found = [command for command in re.findall(r"`(shoestring [^`]+)`", text) if "…" not in command]
    return [" ".join(STANDS_FOR.get(word, word) for word in command.split()) for command in found]


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with what the pages' commands name: files of code, recipes, examples."""
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    net = (ROOT / "examples" / "net.py").read_text().replace("SmallNet", "TinyNet")
    (tmp_path / "my_net.py").write_text(net)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_command_is_understood(page: Path, elsewhere: Path) -> None:
    # Those in the tables of results are made from the recipes of kept runs.
    for command in commands(page) + (in_text(page) if page.name != "results.md" else []):
        given = shlex.split(command.rpartition("&&")[2])
        program, *words = (word for word in given if not re.match(r"[A-Z_]+=", word))  # without variables
        if program in ("ssh", "srun", "torchrun") and "shoestring" in words:
            program, *words = words[words.index("shoestring") :]
        if program.rpartition("/")[2] != "shoestring":
            assert program.rpartition("/")[2] in OTHERS, command
            continue
        for place, word in enumerate(words):
            if word.endswith(".toml") and words[0] != "new" and not (elsewhere / word).exists():
                (elsewhere / word).parent.mkdir(parents=True, exist_ok=True)
                (elsewhere / word).write_text('name = "mine"\nbase = "addnist-quick"\n')
            if word.startswith(("runs/", "hf://")) and words[place - 1] not in ("--run", "--out"):
                generates = words[0] in ("sample", "interpolate", "promote") or "--ema-decay" in words
                words[place] = "cifar100-gan-best" if generates else "cifar100-best"
        if words[1:] and "--help" not in words:
            parse(words)  # ends the process where an option is unknown


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_stand_where_the_tests_look(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    blocks = re.findall(r"^([ >]*)```(\w*)\n(.*?)^[ >]*```", text, flags=re.DOTALL | re.MULTILINE)
    for indent, language, block in blocks:
        assert not indent, "blocks begin at the margin"
        assert language in ("shell", "python", "toml", "html", ""), language
        if language != "shell":
            assert not re.search(r"^(shoestring|pip) \w", block, flags=re.MULTILINE), block


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_name_that_python_imports_or_calls_exists(page: Path) -> None:
    """What a block imports of the package, and what it calls as shoestring.NAME."""
    for block in code(page):
        for node in ast.walk(ast.parse(block)):
            match node:
                case ast.ImportFrom(module=str(module), names=names) if module.partition(".")[0] == "shoestring":
                    for one in names:
                        assert hasattr(importlib.import_module(module), one.name), (module, one.name)
                case ast.Attribute(value=ast.Name(id="shoestring"), attr=name):
                    assert hasattr(shoestring, name), name
                case _:
                    pass


TOURS = {
    "docs/tutorial.md": (
        "both.html",
        "seas.png",
        "mine.toml",
        "runs/first/weights.safetensors",
        "runs/first/exports/torch",
    ),
    "README.md": ("seas.png", "mine.toml", "runs/first/report.html"),
}
"""Pages of commands that need nothing of one's own, and what they make."""


@pytest.mark.parametrize("page", TOURS)
def test_the_tour_runs_as_it_stands(page: str, elsewhere: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [line for line in commands(ROOT / page) if line.startswith("shoestring")]
    assert [line for line in lines if line.startswith("shoestring train")]
    for line in lines:
        few = re.sub(r"--budget.steps \d+", "--budget.steps 2", line)
        few = re.sub(r"--count \d+", "--count 2", few)
        on_cpu = [] if few.startswith(("shoestring list", "shoestring new")) else ["--device", "cpu"]
        if not few.startswith("shoestring speed"):
            assert main([*shlex.split(few)[1:], *on_cpu]) == 0, (line, capsys.readouterr().err)
    for file in TOURS[page]:
        assert (elsewhere / file).exists(), file


def test_the_contest_page_runs_as_it_stands(elsewhere: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With digits, which are at hand, in place of CIFAR-100. What is graded at its end has a test of its own."""
    page = ROOT / "docs" / "contest.md"
    (rules,) = re.findall(r"^```toml\n(.*?)^```", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    (elsewhere / "spring.toml").write_text(rules.replace('"cifar100"', '"addnist"\ndigits = "embedded"\ntune = 1000'))
    small = "addnist-quick --net.width 6 --budget.steps 4 --cadence.checkpoint 2 --cadence.keep 2 --run runs/mine"
    for line in commands(page):
        if not line.startswith(("shoestring list", "shoestring grade")):
            words = shlex.split(line.replace("train cifar100-best", f"train {small}"))[1:]
            assert main([*words, "--device", "cpu"]) == 0, (line, capsys.readouterr())
    said = capsys.readouterr().out
    assert said.count("mine: passed") == 2
    assert "steps 0 to 2: all" in said


def smaller(line: str) -> list[str]:
    """The words of a command that trains, after the program, so that it ends soon, on pictures that are at hand."""
    verb, name, *rest = shlex.split(line)[1:]
    if verb == "fit":
        return [verb, name, *rest, "--minutes", "0.04", "--size", "32"]
    if name.startswith("cifar100"):
        rest += ["--data", "folder", "--data.path", "photos", "--data.size", "32"]
    else:
        rest += ["--data.digits", "embedded", "--data.tune", "2000"]
    return [verb, name, *rest, "--budget.steps", "2", "--batch-size", "8"]


@pytest.mark.parametrize("name", ["own-images", "extend", "trackers"])
def test_the_trainings_of_a_page_run(name: str, elsewhere: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What needs several machines, a hub or a library of its own has tests elsewhere."""
    if name == "trackers":
        pytest.importorskip("tensorboard")
    tiny.write_pictures(elsewhere / "photos", train=20, size=32)
    for line in commands(ROOT / "docs" / f"{name}.md"):
        if line.startswith(("shoestring fit", "shoestring train")) and "wandb" not in line:
            shutil.rmtree(elsewhere / "runs", ignore_errors=True)  # each begins anew
            assert main([*smaller(line), "--device", "cpu"]) == 0, (line, capsys.readouterr().err)
            assert list(elsewhere.glob("runs/**/report.html")), line


@pytest.mark.skipif("SHOESTRING_DATA" not in os.environ, reason="needs the real files in SHOESTRING_DATA")
@pytest.mark.parametrize("name", ["export", "other-runtimes", "schedules", "sweeps"])
def test_pages_that_need_real_data_run(name: str, elsewhere: Path, monkeypatch, capsys) -> None:
    """Minutes, not seconds: exports are measured on all of test. Trainings take two steps."""
    monkeypatch.setattr(webbrowser, "open", lambda _: True)
    assert main(["train", "addnist-quick", "--budget.steps", "300", "--run", "runs/mine", "--device", "cpu"]) == 0
    few = {"batch_size=\\S+": "batch_size=4,8", "--trials 40 --seeds 3": "--trials 2", "--budget.steps \\d+": ""}
    for line in commands(ROOT / "docs" / f"{name}.md"):
        if line.startswith("shoestring"):
            for what, instead in few.items():
                line = re.sub(what, instead, line)
            words = shlex.split(line)[1:]
            if words[0] in ("train", "sweep"):
                words += ["--budget.steps", "2", *([] if "batch_size" in line else ["--batch-size", "8"])]
            if words[0] == "sweep":
                words += ["--confirm", "1", *([] if "data.tune" in line else ["--data.tune", "500"])]
            assert main(words) == 0, (line, capsys.readouterr().err)
            shutil.rmtree(elsewhere / "sweeps", ignore_errors=True)  # those that follow are others


@pytest.mark.skipif("SHOESTRING_DATA" not in os.environ, reason="needs the real files in SHOESTRING_DATA")
def test_the_code_of_the_page_on_integers_runs(elsewhere: Path) -> None:
    (elsewhere / "data").symlink_to(os.environ["SHOESTRING_DATA"])
    (block,) = code(ROOT / "docs" / "export-int8.md")
    made: dict[str, Any] = {}
    exec(block, made)
    assert made["logits"].shape == (8, 100)
    assert (elsewhere / "cifar100-best.int8.safetensors.gz").exists()
    assert (elsewhere / "cifar100.c").exists()


@pytest.mark.skipif("SHOESTRING_DATA" not in os.environ, reason="needs the real files in SHOESTRING_DATA")
def test_what_one_machine_can_run_of_many_machines(elsewhere: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Sweeps and trainings that need ssh, Slurm or an address are understood; those of Ray have tests of their own."""
    few = ["--budget.steps", "2", "--batch-size", "8"]
    ran: list[str] = []
    for line in commands(ROOT / "docs" / "many-machines.md"):
        program, *words = shlex.split(line)
        if "addnist-effnet-cut" in line:
            words = [*shlex.split(line.replace("--workers 8", "--workers 2"))[1:], *few]
            assert main([*words, "--data.tune", "500", "--confirm", "1"]) == 0
            shutil.rmtree(elsewhere / "s")
        elif "train cifar100-best" in line and "--nnodes" not in line:
            run = str(elsewhere / f"run-{len(ran)}")
            there = shutil.which(program, path=os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"])))
            assert there, program
            done = subprocess.run([there, *words, *few, "--run", run], capture_output=True, text=True)
            assert done.returncode == 0, (line, done.stderr)
            assert Run(Path(run)).environment()["machine"]["processes"] == 2
        else:
            continue
        ran.append(line)
    assert len(ran) == 4


def test_the_shipped_picture_is_of_the_class_it_is_said_to_be(capsys: pytest.CaptureFixture[str]) -> None:
    (found,) = shoestring.predict("addnist-best-small", ROOT / "examples" / "digits.png", top=1)
    assert found["classes"][0]["class"] == "sum 15"
    assert [digit["digit"] for digit in found["digits"]] == [7, 2, 6]


def test_the_reference_has_every_public_name() -> None:
    page = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")
    listed = re.findall(r"^::: shoestring\.(\S+)$", page, flags=re.MULTILINE)
    homes = {name.rpartition(".")[2] for name in listed}
    assert set(shoestring.__all__) - homes - {"RECIPES"} == set()
    for dotted in listed:
        module, _, name = f"shoestring.{dotted}".rpartition(".")
        assert getattr(importlib.import_module(module), name).__doc__, dotted


def test_every_page_can_be_found_from_the_menu() -> None:
    menu = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    for page in (ROOT / "docs").rglob("*.md"):
        assert f" {page.relative_to(ROOT / 'docs').as_posix()}\n" in f"{menu}\n", f"{page} is not in mkdocs.yml"


def test_links_that_leave_the_pages_become_text() -> None:
    spec = importlib.util.spec_from_file_location("site_links", ROOT / "scripts" / "site_links.py")
    assert spec is not None
    assert spec.loader is not None
    hook = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(hook)
    text = "[a](results.md#x) [b](../README.md) ![c](report.png) [d](https://example.org) [e](../results)"
    docs = ROOT / "docs"
    assert hook.within(text, docs, docs) == "[a](results.md#x) b ![c](report.png) [d](https://example.org) e"


@pytest.mark.skipif(importlib.util.find_spec("mkdocstrings") is None, reason="the extra docs is not installed")
def test_the_site_is_built_without_warnings(tmp_path: Path) -> None:
    words = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    reference = (tmp_path / "site" / "reference" / "index.html").read_text(encoding="utf-8")
    for name in ("shoestring.api.training.train", "shoestring.core.run.Run", "shoestring.core.progress.Progress"):
        assert f'id="{name}"' in reference
    assert (tmp_path / "site" / "search" / "search_index.json").is_file()
