"""What the documents promise: commands that exist, examples that work, links that lead somewhere, the runs' tables."""

import importlib.util
import re
import shlex
import subprocess
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

import shoestring
from shoestring.recipes import RECIPES

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [ROOT / name for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md")] + sorted(ROOT.glob("docs/**/*.md"))


def blocks(language: str) -> list[str]:
    """The README's code blocks in a language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", README, flags=re.DOTALL | re.MULTILINE)


def test_first_two_shell_blocks_are_one_line_each_and_install_what_they_run() -> None:
    job, tests = blocks("shell")[:2]
    for command in (job, tests):
        assert command.count("\n") == 1
        assert command.endswith("\n")
        assert command.startswith("python3 -m venv .venv && .venv/bin/pip install ")
        assert "-c constraints.txt" in command
    words = shlex.split(job.split("&&")[-1])
    assert words[:2] == [".venv/bin/shoestring", "train"]
    assert words[2] in RECIPES
    recipe = RECIPES[words[2]]()
    assert getattr(recipe.data, "digits", None) == "embedded", "the first command must not download data"
    assert " -m pytest" in tests.split("&&")[-1]


def test_ci_runs_the_test_command_of_the_readme() -> None:
    program = re.search(r"awk '(.*)' README.md", (ROOT / ".ci" / "run").read_text(encoding="utf-8"))
    assert program is not None
    found = subprocess.run(["awk", program[1], ROOT / "README.md"], capture_output=True, text=True, check=True)
    assert found.stdout == blocks("shell")[1]


def test_it_is_a_landing_page() -> None:
    assert README.count("\n") <= 80


def test_the_python_of_the_readme_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    code = blocks("python")[0]
    assert "logits = " in code
    assert '"steps": 200' in code
    names: dict[str, object] = {}
    exec(code.replace('"steps": 200', '"steps": 2'), names)
    assert names["images"].shape == (64, 3, 32, 32)  # type: ignore[attr-defined]
    assert names["logits"].shape == (64, 100)  # type: ignore[attr-defined]
    assert set(re.findall(r"shoestring\.(\w+)\(", code)) <= set(shoestring.__all__)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere_and_no_path_is_of_one_machine(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", text):
        if not target.startswith("https://"):
            assert (page.parent / target).exists(), target
    assert not re.findall(r"(?<![\w.~])/(?:work|opt|root|tmp|home|usr|mnt)\b", text)
    assert "../" + "shared" not in text


def test_the_design_page_has_every_module_and_no_other_folder() -> None:
    page = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
    package = ROOT / "src" / "shoestring"
    missing = [f for f in package.rglob("*.py") if f.stem != "__init__" and not re.search(rf"\b{f.stem}\b", page)]
    assert not missing
    for folder in re.findall(r"^  (\w+)/ ", page, flags=re.MULTILINE):
        assert (package / folder / "__init__.py").is_file(), folder


def test_tables_are_those_of_the_runs() -> None:
    results = _script("results")
    runs = results.kept_runs()
    for page in results.PAGES:
        text = page.read_text(encoding="utf-8")
        assert text.count("<!-- begin: ") >= 1
        assert results.with_tables(text, runs) == text, "run python scripts/results.py"


def test_version_stands_in_one_place_and_in_the_changelog() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    released = re.findall(r"^## \[(\d\S*)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert released[0] == version
    assert not [file for file in (ROOT / "src").rglob("*.py") if f'"{version}"' in file.read_text(encoding="utf-8")]


def _script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
