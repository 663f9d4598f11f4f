"""The house rules that a machine can check: who imports whom, where printing and plotting live, how long files are."""

import ast
from pathlib import Path

import pytest

import shoestring

ROOT = Path(shoestring.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
NAMES = [str(file.relative_to(ROOT)) for file in FILES]

CORE = {"allocator", "threads", "errors", "spec", "budget", "rng", "progress", "lock", "run", "pictures"}
ABOVE_CORE = {"data", "nets", "tasks", "measure", "adam", "optim", "muon", "schedule", "engine", "zoo"}
# What each part may import besides itself and the core.
ALLOWED = {
    **{part: set[str]() for part in CORE | ABOVE_CORE},
    "muon": {"adam"},
    "optim": {"adam", "muon"},
    "recipes": ABOVE_CORE,
    "training": ABOVE_CORE | {"recipes"},
    "report": set[str](),
    "evaluation": ABOVE_CORE | {"recipes", "training"},
    "api": ABOVE_CORE | {"recipes", "training", "report", "evaluation"},
    "__main__": {"cli"},
    "cli": ABOVE_CORE | {"recipes", "training", "report", "api"},
}


def imported(file: Path) -> set[str]:
    """Dotted names of all modules a file imports, wherever in it."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file} imports relatively"
            module = node.module or ""
            found |= {f"shoestring.{name.name}" for name in node.names} if module == "shoestring" else {module}
    return found


def part_of(file: Path) -> str:
    return file.relative_to(ROOT).parts[0].removesuffix(".py")


@pytest.mark.parametrize("file", FILES, ids=NAMES)
def test_imports_point_inwards_only(file: Path) -> None:
    part = part_of(file)
    if part == "__init__":
        return  # the public names of the package, imported when used
    known = {part} | CORE | ALLOWED[part]
    used = {name.split(".")[1] for name in imported(file) if name.startswith("shoestring.")}
    if part in CORE:
        known = CORE
    if part == "report":  # reads runs; from elsewhere it needs no more than what a measure is
        used -= {"measure"} - {n.split(".")[1] for n in imported(file) - {"shoestring.measure.measure"} if "." in n}
    assert used <= known


def test_the_core_has_no_nets_and_no_cycles() -> None:
    graph = {
        name: {n.split(".")[1] for n in imported(ROOT / f"{name}.py") if n.startswith("shoestring.")} for name in CORE
    }
    done: set[str] = set()
    while ready := {name for name in CORE - done if graph[name] <= done}:
        done |= ready
    assert done == CORE
    for name in CORE:
        assert "torch.nn" not in (ROOT / f"{name}.py").read_text(encoding="utf-8")


@pytest.mark.parametrize("file", FILES, ids=NAMES)
def test_libraries_stay_where_they_belong(file: Path) -> None:
    tops = {name.split(".")[0] for name in imported(file)}
    assert not tops & {"torchvision", "timm", "torch_fidelity", "scipy", "sklearn", "torchmetrics"}
    if part_of(file) != "report":
        assert not tops & {"matplotlib", "jinja2"}
    if part_of(file) != "cli":
        assert not tops & {"tyro", "rich"}


@pytest.mark.parametrize("file", FILES, ids=NAMES)
def test_only_the_command_line_prints(file: Path) -> None:
    if part_of(file) == "cli":
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
    assert set(users) <= {"rng.py", "training/build.py"}


@pytest.mark.parametrize("folder", ["src", "scripts", "tests", "benchmarks"])
def test_specs_are_changed_with_validation_only(folder: str) -> None:
    for file in (ROOT.parents[1] / folder).rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            assert not (isinstance(node, ast.Attribute) and node.attr in ("model_copy", "model_construct")), file
