"""The house rules that a machine can check: who imports whom, where printing and plotting live, how long files are."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import shoestring

ROOT = Path(shoestring.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
NAMES = [str(file.relative_to(ROOT)) for file in FILES]

# What each part may import besides itself. Every arrow points down, and `report` reads runs only.
SIBLINGS = {"nets", "tasks", "data", "optim", "metrics"}
ALLOWED: dict[str, set[str]] = {"core": set(), "zoo": {"core"}, **{part: {"core"} for part in SIBLINGS}}
ALLOWED["live"] = {"core"}
ALLOWED["hub"] = {"core"}
ALLOWED["tracking"] = {"core"}
ALLOWED["recipes"] = {"core", "zoo"} | SIBLINGS - {"metrics"}
ALLOWED["integers"] = {"core", "data", "nets"}
ALLOWED["model"] = {"core", "hub", "integers", "recipes", "zoo"} | SIBLINGS
ALLOWED["evaluation"] = ALLOWED["model"] | {"model", "live"}
ALLOWED["training"] = ALLOWED["evaluation"] | {"evaluation"}
ALLOWED["profiling"] = ALLOWED["training"] | {"training"}
ALLOWED["report"] = {"core", "metrics"}
ALLOWED["exporting"] = ALLOWED["profiling"] | {"profiling"}
ALLOWED["contest"] = ALLOWED["profiling"] | {"profiling"}
ALLOWED["fitting"] = ALLOWED["profiling"] | {"profiling"}
ALLOWED["sweeping"] = ALLOWED["profiling"] | {"profiling"}
ALLOWED["api"] = ALLOWED["profiling"] | {"profiling", "report", "tracking"}
ALLOWED["api"] |= {"exporting", "contest", "fitting", "sweeping"}
ALLOWED["cli"] = ALLOWED["api"] | {"api"}
ALLOWED["__main__"] = {"cli"}


def imported(file: Path) -> set[str]:
    """Dotted names of all modules a file imports, wherever in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file} imports relatively"
            module = node.module or ""
            found |= {_module_of_name(module, name.name) for name in node.names}
    return found


def _module_of_name(module: str, name: str) -> str:
    """What `from module import name` imports: the module, or the one of that name in a package."""
    inside = ROOT.parent.joinpath(*module.split("."), name)
    return f"{module}.{name}" if inside.is_dir() or inside.with_suffix(".py").is_file() else module


def part_of(file: Path) -> str:
    return file.relative_to(ROOT).parts[0].removesuffix(".py")


@pytest.mark.parametrize("file", FILES, ids=NAMES)
def test_every_arrow_points_down(file: Path) -> None:
    part = part_of(file)
    if part == "__init__":
        return  # the public names of the package, imported when used
    used = {name.split(".")[1] for name in imported(file) if name.startswith("shoestring.")}
    assert used <= {part} | ALLOWED[part]


def test_there_is_no_circle() -> None:
    """Between files: whatever a file imports can be read before it."""
    modules = {module_of(file): file for file in FILES if file != ROOT / "__init__.py"}
    graph = {name: imported(file) & modules.keys() - {name} for name, file in modules.items()}
    done: set[str] = set()
    while ready := {name for name in graph.keys() - done if graph[name] <= done}:
        done |= ready
    assert not graph.keys() - done


def module_of(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(("shoestring", *(part for part in parts if part != "__init__")))


def test_metrics_can_be_imported_alone() -> None:
    code = (
        "import pkgutil, sys, shoestring.metrics as metrics\n"
        "for found in pkgutil.walk_packages(metrics.__path__, 'shoestring.metrics.'): __import__(found.name)\n"
        "print(*{name.split('.')[1] for name in sys.modules if name.startswith('shoestring.')})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) == {"core", "metrics"}


def test_the_core_has_no_nets() -> None:
    for file in (ROOT / "core").glob("*.py"):
        assert "torch.nn" not in file.read_text(encoding="utf-8") or file.name == "device.py"


@pytest.mark.parametrize("file", FILES, ids=NAMES)
def test_libraries_stay_where_they_belong(file: Path) -> None:
    tops = {name.split(".")[0] for name in imported(file)}
    assert not tops & {"torchvision", "timm", "torch_fidelity", "scipy", "sklearn", "torchmetrics"}
    if part_of(file) != "report":
        assert not tops & {"matplotlib", "jinja2"}
    if part_of(file) != "cli":
        assert "tyro" not in tops
    if part_of(file) not in ("cli", "live"):
        assert not tops & {"rich", "IPython"}
    if part_of(file) != "sweeping":
        assert not tops & {"optuna", "ray"}


@pytest.mark.parametrize("file", FILES, ids=NAMES)
def test_only_the_command_line_and_live_progress_print(file: Path) -> None:
    if part_of(file) in ("cli", "live"):
        return
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        assert not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print")
        assert not (isinstance(node, ast.Attribute) and node.attr in ("stdout", "stderr") and _is_sys(node.value))


def _is_sys(node: ast.expr) -> bool:
    return isinstance(node, ast.Name) and node.id == "sys"


@pytest.mark.parametrize("file", FILES, ids=NAMES)
def test_modules_have_names_that_say_something(file: Path) -> None:
    assert file.stem not in {"utils", "util", "common", "helpers", "helper", "base", "manager", "misc"}


@pytest.mark.parametrize("file", FILES, ids=NAMES)
def test_every_public_name_has_a_docstring(file: Path) -> None:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    if tree.body:
        assert ast.get_docstring(tree), "the module"
    for node in _public(tree):
        assert ast.get_docstring(node), f"{node.name} in line {node.lineno}"


def _public(tree: ast.Module | ast.ClassDef) -> list[ast.ClassDef | ast.FunctionDef]:
    """Classes, functions and methods whose names do not start with an underscore, and what lies in such classes."""
    found: list[ast.ClassDef | ast.FunctionDef] = []
    for node in tree.body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and not node.name.startswith("_"):
            found.append(node)
            if isinstance(node, ast.ClassDef):
                found += _public(node)
    return found


def test_no_test_or_module_leaves_the_global_random_state_seeded() -> None:
    """Randomness is a function of (seed, purpose, step): only the building of nets needs torch's own, inside a fork."""
    users = [
        name for name, file in zip(NAMES, FILES, strict=True) if "manual_seed(" in file.read_text(encoding="utf-8")
    ]
    assert set(users) <= {"core/rng.py", "model/build.py"}


@pytest.mark.parametrize("folder", ["src", "scripts", "tests", "benchmarks"])
def test_specs_are_changed_with_validation_only(folder: str) -> None:
    form = ROOT / "cli" / "parts.py"  # blanks that tyro fills in, which are validated then
    for file in set((ROOT.parents[1] / folder).rglob("*.py")) - {form}:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            assert not (isinstance(node, ast.Attribute) and node.attr in ("model_copy", "model_construct")), file
