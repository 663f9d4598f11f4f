import fnmatch
import importlib.metadata
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import shoestring

ROOT = Path(shoestring.__file__).parent
PROJECT = ROOT.parents[1] / "pyproject.toml"
in_checkout = pytest.mark.skipif(not PROJECT.is_file(), reason="installed from a wheel")


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-X", "importtime", "-c", code], capture_output=True, text=True, check=True)
    return done.stdout


def test_importing_the_package_imports_neither_torch_nor_anything_slow() -> None:
    code = "import sys, json, shoestring, shoestring.cli; dir(shoestring); print(json.dumps(sorted(sys.modules)))"
    modules = json.loads(run(code))
    assert "shoestring.cli.main" in modules
    assert not {"torch", "numpy", "matplotlib", "PIL", "pydantic", "jinja2"} & set(modules)


def test_help_of_the_program_imports_no_torch() -> None:
    code = (
        "import sys; from shoestring.cli import main\\n"
        "assert main(['--help']) == 0; assert 'torch' not in sys.modules and 'numpy' not in sys.modules"
    ).replace("\\n", chr(10))
    shown = run(code)
    for verb in ("list", "show", "train", "evaluate", "sample", "interpolate", "predict", "report"):
        assert f" {verb} " in shown


def test_every_public_name_is_there_and_documented() -> None:
    for name in shoestring.__all__:
        assert getattr(shoestring, name).__doc__, name
    assert dir(shoestring) == sorted(shoestring.__all__)
    assert shoestring.recipe is shoestring.api.recipe
    with pytest.raises(AttributeError, match="no attribute 'evaluat'"):
        _ = shoestring.evaluat


@in_checkout
def test_the_lowest_allowed_releases_are_those_that_are_tested() -> None:
    project = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["project"]
    asked = project["dependencies"] + project["optional-dependencies"]["test"]
    lowest = dict(re.match(r"([\w-]+)>=([\d.]+)", one).groups() for one in asked)
    lines = PROJECT.with_name("constraints-lowest.txt").read_text(encoding="utf-8").splitlines()
    tested = dict(line.split("==") for line in lines if line and not line.startswith("#"))
    assert tested.pop("torch") >= lowest.pop("torch")
    tested.pop("pyparsing")
    assert tested == {name: version + ".0" * (2 - version.count(".")) for name, version in lowest.items()}
    assert "constraints-lowest.txt" in (PROJECT.parent / ".ci" / "run").read_text(encoding="utf-8")


@in_checkout
def test_every_folder_of_code_is_a_package_and_every_other_file_is_package_data() -> None:
    patterns = tomllib.loads(PROJECT.read_text(encoding="utf-8"))["tool"]["setuptools"]["package-data"]["shoestring"]
    for file in ROOT.rglob("*"):
        relative = file.relative_to(ROOT)
        if not file.is_file() or "__pycache__" in relative.parts:
            continue
        if file.suffix == ".py":
            assert (file.parent / "__init__.py").is_file(), f"{relative.parent} is no package"
        else:
            # A star of setuptools stays within one folder.
            matching = [p for p in patterns if p.count("/") == str(relative.as_posix()).count("/")]
            assert any(fnmatch.fnmatch(relative.as_posix(), p) for p in matching), f"{relative} would not be installed"
    assert (ROOT / "py.typed").is_file()


@in_checkout
def test_what_ships_stays_small_and_holds_the_four_systems() -> None:
    sizes = {name: _size(ROOT / "zoo" / name) for name in ("addnist-effnet", "cifar100-resnet")}
    assert all(0 < size < 1_500_000 for size in sizes.values())
    for name in ("cifar100-dcgan-44", "cifar100-dcgan-64"):
        assert 0 < _size(ROOT / "zoo" / name) < 6_000_000
    for folder in (ROOT / "zoo").iterdir():
        if folder.is_dir() and (folder / "recipe.json").is_file():
            assert [path.name for path in folder.glob("*.safetensors")] == ["weights.safetensors"]
            assert not list(folder.rglob("*.pt"))  # checkpoints are not shipped


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_the_program_is_installed_under_its_name() -> None:
    (entry,) = importlib.metadata.entry_points(group="console_scripts", name="shoestring")
    assert entry.load() is sys.modules["shoestring.cli"].main


def test_the_command_line_needs_no_script_on_the_path() -> None:
    done = subprocess.run([sys.executable, "-m", "shoestring", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"shoestring {importlib.metadata.version('shoestring')}\n"
    assert shoestring.__version__ in done.stdout
