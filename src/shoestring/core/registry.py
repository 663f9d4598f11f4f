"""Parts from outside the package by their kind: an installed one's name, `module:Name` or `file.py:Name`.

The only module that runs code of users. It does so where the user names the code; code that a record names by its hash
runs only where it is trusted.
"""

import importlib
import sys
import traceback
from collections.abc import Collection
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import ModuleType
from typing import Any

from shoestring.core.config import did_you_mean
from shoestring.core.errors import RecipeError
from shoestring.core.source_code import Code, cell_text, defining, is_definition, is_installed
from shoestring.core.trust import allow, is_trusted, trust_key

GROUPS = {
    "net": "shoestring.nets",
    "data": "shoestring.data",
    "task": "shoestring.tasks",
    "augment": "shoestring.augments",
    "optimiser": "shoestring.optimisers",
    "schedule": "shoestring.schedules",
}
"""The parts of a recipe that have a kind, and the entry points by which packages offer kinds of their own."""

OWN_MODULES = ("torch.optim",)  # of a package that shoestring runs on
NOTEBOOK = "__main__"  # where classes of a notebook or a script say that they are from


@dataclass(frozen=True)
class Found:
    """Something from outside the package.

    Attributes:
        kind: Its name in recipes: as given, but a file without its folder.
        source: The sha256 of the code that defines it; empty for what installed packages offer as kinds.
        factory: The class, the function, or the object itself.
    """

    kind: str
    source: str
    factory: Any


_code: dict[str, Code] = {}
_modules: dict[str, ModuleType] = {}
_given: dict[tuple[str, str], Any] = {}
_ran: set[str] = set()  # files, as tracebacks name them


def find(part: str, kind: str, source: str = "", shipped: Collection[str] = ()) -> Found:
    """What a kind means.

    Args:
        part: A key of `GROUPS`.
        kind: An installed kind, `module:Name`, or `file.py:Name`; the file's path counts from where the command runs.
        source: The sha256 of the code as a run or recipe recorded it; empty where the user names the code.
        shipped: The kinds of that part that are no business of this function, for its messages.

    Raises:
        RecipeError: There is no such file, module, name or kind; the code has an error; or it is recorded code that is
            not trusted.
    """
    place, _, name = kind.rpartition(":")
    if not place:
        return _installed(part, kind, shipped)
    if is_own(part, kind):
        return Found(kind, "", _walk(importlib.import_module(place), name, kind))
    if source and not (place == NOTEBOOK or is_trusted(trust_key(kind, source))):
        raise RecipeError(
            f"{part} {kind!r} is code that you have not allowed to run (sha256 {source[:12]}…); look at it, then allow "
            "it with `shoestring trust RUN`"
        )
    kind = f"{Path(place).name if place.endswith('.py') else place}:{name}"
    if (source, kind) in _given:
        return Found(kind, source, _given[source, kind])
    if place == NOTEBOOK:
        raise RecipeError(
            f"{part} {kind!r} was written in a notebook or script: run that cell again and give it, {part}={name}"
        )
    if place.endswith(".py"):
        code = _code.get(source) or _read(Path(place).expanduser(), source)
        found = Found(kind, code.source, _walk(_run(code), name, kind))
    else:
        made = _walk(_imported(place), name, kind)
        found = Found(kind, source or defining(made, kind).source, made)
    if not source:
        allow(trust_key(found.kind, found.source))
    return found


def is_own(part: str, kind: str) -> bool:
    """Whether a kind is an optimiser of torch itself, for which no word of the user is needed."""
    place, _, name = kind.rpartition(":")
    return part == "optimiser" and place in OWN_MODULES and "." not in name


def name_of(part: str, given: Any) -> Found:
    """The kind of a class or function of the running program, so that it can be found again.

    Raises:
        RecipeError: It cannot: it is a lambda, or local, or built already, or its source cannot be read.
    """
    name: str | None = getattr(given, "__qualname__", None)
    if name is None:
        raise RecipeError(f"{part}={type(given).__name__}(…) is built already; give its class, or a function")
    if "<" in name:
        what = "a lambda" if "<lambda>" in name else f"{name.split('.')[-1]}, which is local to a function,"
        raise RecipeError(f"{part}: {what} cannot be found again; write it at the top of a file or a notebook cell")
    for own in OWN_MODULES if part == "optimiser" else ():
        if f"{given.__module__}.".startswith(f"{own}.") and hasattr(importlib.import_module(own), name):
            return Found(f"{own}:{name}", "", given)
    module = sys.modules.get(given.__module__)
    code, place = _source_of(given, module), given.__module__
    if code.origin is not None and "." not in place and not hasattr(module, "__path__") and not is_installed(code):
        place = code.name  # a file of the user's is kept as one, whether it is imported or named
    kind = f"{place}:{name}"
    if place != NOTEBOOK and (module is None or _walk(module, name, kind) is not given):
        raise RecipeError(f"{part}: {kind} is another object than the one given; give that one")
    _code[code.source] = code
    _given[code.source, kind] = given
    allow(trust_key(kind, code.source))
    return Found(kind, code.source, given)


def give(part: str, given: Any, kind: str, source: str) -> bool:
    """Lets a recorded kind of a notebook mean a class of the running program; whether its source is the recorded one.

    Raises:
        RecipeError: It has another name.
    """
    found = name_of(part, given)
    if found.kind.rpartition(":")[2] != kind.rpartition(":")[2]:
        raise RecipeError(f"the run's {part} is {kind}, not {found.kind}")
    _given[source, kind] = given
    allow(trust_key(kind, source))
    return found.source == source


def is_given(kind: str, source: str) -> bool:
    """Whether a class or function of the running program is known by this kind and source."""
    return (source, kind) in _given


def offer(code: Code) -> None:
    """Makes recorded code known by its hash; nothing is run."""
    _code.setdefault(code.source, code)


def code_of(source: str) -> Code | None:
    """The code of a hash, where this process has seen it."""
    return _code.get(source)


def installed(part: str) -> dict[str, list[EntryPoint]]:
    """The kinds that installed packages offer for a part; nothing is imported."""
    found: dict[str, list[EntryPoint]] = {}
    for entry in entry_points(group=GROUPS[part]):
        found.setdefault(entry.name, []).append(entry)
    return found


def failure(error: BaseException) -> str:
    """What went wrong in a user's code, with the line of their file: "TypeError: … (my_net.py, line 7)"."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename in _ran]
    place = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
    first = (str(error).strip() or "no message").splitlines()[0]
    return f"{type(error).__name__}: {first}{place}"


def _installed(part: str, kind: str, shipped: Collection[str]) -> Found:
    offers = installed(part)
    if kind not in offers:
        raise RecipeError(
            f"{did_you_mean(part, kind, [*shipped, *offers])} One of your own is file.py:Name or module:Name."
        )
    if len({entry.value for entry in offers[kind]}) > 1:
        ways = " or ".join(sorted(entry.value for entry in offers[kind]))
        raise RecipeError(f"{part} {kind!r} is offered by two packages; say which: {ways}")
    entry = offers[kind][0]
    try:
        return Found(kind, "", entry.load())
    except Exception as error:
        package = entry.dist.name if entry.dist else entry.value
        raise RecipeError(f"{part} {kind!r} of the package {package} cannot be imported: {failure(error)}") from error


def _read(path: Path, source: str) -> Code:
    try:
        code = Code(path.name, path.read_bytes(), path.absolute())
    except OSError as error:
        if not isinstance(error, FileNotFoundError):
            raise RecipeError(f"{path.absolute()} cannot be read: {error.strerror}") from error
        there = [file.name for file in path.parent.glob("*.py")]
        missing = f"there is no file {path.absolute()}"
        raise RecipeError(f"{missing}: {did_you_mean('file', path.name, there)}" if there else missing) from error
    if source and code.source != source:
        raise RecipeError(
            f"{path} has changed since it was recorded (sha256 {source[:12]}… then, {code.source[:12]}… now)"
        )
    _code[code.source] = code
    return code


def _run(code: Code) -> ModuleType:
    """The module of a file, which is run once for each content."""
    if code.source in _modules:
        return _modules[code.source]
    module = ModuleType(f"{Path(code.name).stem}_{code.source[:8]}")
    module.__file__ = str(code.origin)
    _ran.add(module.__file__)
    sys.modules[module.__name__] = module  # dataclasses and inspect look there
    try:
        exec(compile(code.content, str(code.origin), "exec"), vars(module))
    except SyntaxError as error:
        del sys.modules[module.__name__]
        raise RecipeError(f"{error.filename}, line {error.lineno}: {error.msg}") from error
    except (Exception, SystemExit) as error:
        del sys.modules[module.__name__]
        raise RecipeError(f"{code.origin} cannot be run: {failure(error)}") from error
    _modules[code.source] = module
    return module


def _imported(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and error.name and f"{name}.".startswith(f"{error.name}."):
            file = Path(f"{name.replace('.', '/')}.py")
            hint = f"write {file}:… for the file here" if file.is_file() else "install it, or name a file: file.py:Name"
            raise RecipeError(f"there is no module {error.name}; {hint}") from error
        raise RecipeError(f"the module {name} cannot be imported: {failure(error)}") from error


def _walk(module: ModuleType, name: str, kind: str) -> Any:
    """The object of a dotted name in a module; of a file, only what it defines."""
    own = module in _modules.values()
    definitions = {key: value.__module__ for key, value in vars(module).items() if is_definition(value)}
    known = [key for key, place in definitions.items() if place == module.__name__ or not own]
    found: Any = module
    for word in name.split("."):
        found = getattr(found, word, None)
    if found is None or not name:
        raise RecipeError(f"{kind}: {did_you_mean('name', name, known)}")
    if own and is_definition(found) and found.__module__ != module.__name__:
        raise RecipeError(f"{kind} is imported there, not defined; write {found.__module__}:{found.__qualname__}")
    return found


def _source_of(given: Any, module: ModuleType | None) -> Code:
    for source, known in _modules.items():
        if known is module:
            return _code[source]
    if given.__module__ != NOTEBOOK:
        return defining(given, f"{given.__module__}:{given.__qualname__}")
    text = cell_text(given)
    if text is None:
        raise RecipeError(f"the source of {given.__qualname__} cannot be read here; write it in a file")
    return Code(f"{given.__qualname__}.py", text.encode())
