"""The code of a run's own parts: kept in its folder, and run again only where the user allowed it."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shoestring.core.errors import RunError
from shoestring.core.outside import is_outside
from shoestring.core.progress import Progress
from shoestring.core.registry import NOTEBOOK, code_of, give, installed, is_given, is_own, offer
from shoestring.core.run import Run
from shoestring.core.source_code import Code
from shoestring.core.trust import allow, is_trusted, remember, trust_key
from shoestring.recipes.recipe import OPEN, Recipe, parts_of

FILE = "source.json"


@dataclass(frozen=True)
class Kept:
    """The code of one part, as its run keeps it.

    Attributes:
        part: Field of the recipe.
        kind: Which class or function, as file.py:Name or module:Name.
        source: sha256 of the code, as the recipe says it.
        file: The run's copy.
        origin: Where it was when the run was trained; None of a notebook.
    """

    part: str
    kind: str
    source: str
    file: Path
    origin: Path | None

    @property
    def key(self) -> str:
        """What must be allowed."""
        return trust_key(self.kind, self.source)

    def read(self) -> bytes:
        """The code.

        Raises:
            RunError: The copy is missing, or is not what the run was trained with.
        """
        try:
            content = self.file.read_bytes()
        except OSError as error:
            raise RunError(f"the code of {self.part} {self.kind!r} cannot be read: {error}") from error
        if hashlib.sha256(content).hexdigest() != self.source:
            raise RunError(
                f"{self.file} is not the code that the run was trained with (another sha256); put that back to load it"
            )
        return content


def keep_code(run: Run, recipe: Recipe) -> None:
    """Writes the code of a recipe's own parts into its run, and the packages that others come from."""
    records: dict[str, Any] = {}
    names: dict[str, str] = {}
    for part, spec in parts_of(recipe).items():
        kind, source = getattr(spec, "kind", ""), getattr(spec, "source", "")
        code = code_of(source) if is_outside(spec) else None
        if code is not None:
            name = code.name if names.setdefault(code.name, source) == source else f"{source[:8]}-{code.name}"
            run.write_bytes(f"source/{name}", code.content)
            origin = None if code.origin is None else str(code.origin)
            records[part] = {"kind": kind, "sha256": source, "file": f"source/{name}", "origin": origin}
        elif is_outside(spec) and ":" not in kind:
            records[part] = {"kind": kind} | _package(part, kind)
    if records:
        run.write_json(FILE, records)


def remember_code(recipe: Recipe, progress: Progress) -> None:
    """Allows the code of a recipe for good, since the user trains with it."""
    specs = [spec for spec in parts_of(recipe).values() if is_outside(spec) and getattr(spec, "source", "")]
    try:
        remember(trust_key(getattr(spec, "kind", ""), getattr(spec, "source", "")) for spec in specs)
    except OSError as error:
        progress.say(f"what code you allow cannot be remembered ({error}); to load the run: shoestring trust")


def kept_code(run: Run) -> list[Kept]:
    """The code that a run keeps, of each part from outside that has any; nothing is run.

    Raises:
        RunError: The run names code without saying which; or its files are damaged.
    """
    values = run.read_recipe()
    records = _records(run)
    found: list[Kept] = []
    for part in OPEN:
        spec: Any = values.get(part)
        spec = {"kind": spec} if isinstance(spec, str) else spec  # a short form, which `train` does not write
        kind, source = (str(spec.get(key) or "") for key in ("kind", "source")) if isinstance(spec, dict) else ("", "")  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType, reportUnknownVariableType]
        place = kind.rpartition(":")[0]
        if not place or is_own(part, kind):
            continue
        if not source or part not in records or not kind.isprintable():
            raise RunError(f"{run.folder} names the code {kind} without keeping it, so it is not as `train` wrote it")
        origin = records[part].get("origin")
        file = run.folder / "source" / Path(records[part]["file"]).name
        found.append(Kept(part, kind, source, file, Path(origin) if origin else None))
    return found


def open_code(run: Run, progress: Progress) -> None:
    """Makes a run's own copies of code known, so that its recipe can be read.

    Raises:
        RunError: The user has not allowed that code, or it is damaged, or was written in a notebook and is asked for.
    """
    for part, record in _records(run).items():
        now = _package(part, record["kind"]) if "package" in record else {}
        if now.get("version", record.get("version")) != record.get("version"):
            progress.say(
                f"{part} {record['kind']} is of {now['package']} {now['version']} now; {run.folder} was trained with "
                f"{record['version']}"
            )
    for kept in kept_code(run):
        content = kept.read()
        if kept.kind.startswith(f"{NOTEBOOK}:"):
            if not is_given(kept.kind, kept.source):
                name = kept.kind.rpartition(":")[2]
                raise RunError(
                    f"{run.folder} was trained with {name} of a notebook or script ({kept.file}): run that again, and "
                    f"give it with shoestring.load({str(run.folder)!r}, {kept.part}={name})"
                )
            continue
        if not is_trusted(kept.key):
            raise RunError(
                f"{run.folder} has code of its own, {kept.file}, which you have not allowed to run; read it, then "
                f"allow it: shoestring trust {run.folder} (in Python: trust_code=True)"
            )
        offer(Code(kept.file.name, content, kept.file.absolute()))
        if kept.origin and kept.origin.is_file() and kept.origin.read_bytes() != content:
            used = f"the run's own copy is used, {kept.file}" if ".py:" in kept.kind else "what is installed is used"
            progress.say(f"{kept.origin} has changed since {run.folder} was trained; {used}")


def allow_code(run: Run) -> None:
    """Allows a run's code for this process."""
    for kept in kept_code(run):
        kept.read()
        allow(kept.key)


def trust_run(run: Run) -> list[Kept]:
    """Allows a run's code for good; gives what was allowed."""
    found = kept_code(run)
    for kept in found:
        kept.read()
    remember(kept.key for kept in found)
    return found


def give_parts(run: Run, parts: Mapping[str, Any], progress: Progress) -> None:
    """Lets a run's parts that were written in a notebook mean classes or functions of the running program.

    Raises:
        RunError: The run has no such part from a notebook.
    """
    kept = {each.part: each for each in kept_code(run)}
    for part, given in parts.items():
        if part not in kept:
            raise RunError(f"{run.folder} needs no {part} to be given: it has none of a notebook")
        if not give(part, given, kept[part].kind, kept[part].source):
            progress.say(f"the {part} given is not the one that {run.folder} was trained with: {kept[part].file}")


def require_same_code(run: Run, recipe: Recipe) -> None:
    """Does nothing, if a run was trained with the same code as a recipe has; nothing is run.

    Raises:
        RunError: It was not; says how to go on.
    """
    there = {kept.part: kept for kept in kept_code(run)}
    for part, spec in parts_of(recipe).items():
        kind, source = getattr(spec, "kind", ""), getattr(spec, "source", "")
        kept = there.get(part)
        if kept is None or kept.source == source:
            continue
        if kept.kind != kind:
            raise RunError(
                f"{run.folder} holds a run of another recipe ({part} is {kept.kind} there, {kind} now). Name another "
                "folder with --run."
            )
        own = f"--{part} '{kept.file}:{kind.rpartition(':')[2]}'"
        ways = "" if kind.startswith(f"{NOTEBOOK}:") else f" To go on, name the run's own copy: {own}."
        raise RunError(
            f"{run.folder} was trained with another {kind}, which has changed since.{ways} To train the new one, name "
            "another folder with --run."
        )


def _records(run: Run) -> dict[str, Any]:
    return run.read_json(FILE) if (run.folder / FILE).is_file() else {}


def _package(part: str, kind: str) -> dict[str, str]:
    """The package that offers a kind, and its version."""
    package = next((entry.dist for entry in installed(part).get(kind, [])), None)
    return {"package": package.name, "version": package.version} if package else {}
