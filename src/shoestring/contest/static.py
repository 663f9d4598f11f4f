"""Level 1: what can be told from the file alone, in seconds. No claim is believed, and no code of others is run."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import cast

from torch import Tensor

from shoestring.contest.finding import Finding, tell
from shoestring.contest.source_constants import count_constants
from shoestring.contest.submission import Submission
from shoestring.core.checkpoint_chain import digest
from shoestring.core.errors import ShoestringError
from shoestring.core.packed import weights_digest
from shoestring.core.tensor_files import read_tensors
from shoestring.model.build import device_cost, initialise
from shoestring.model.run_rules import trains_generator
from shoestring.model.weights import inference_state_dict
from shoestring.nets.summary import counted_buffers
from shoestring.recipes.recipe import Recipe
from shoestring.recipes.rules import Rules, stated

DTYPE = "F32"
LISTED = 3
FAR_OVER = 2
"""Batch norms' running statistics, which are free, are no more numbers than those that count."""


def static_findings(submission: Submission, rules: Rules) -> list[Finding]:
    """What the file says of itself, recounted, against the rules and against what it claims."""
    try:
        recipe = submission.recipe()
    except ShoestringError as error:
        return [Finding(1, "recipe", "failed", str(error))]
    found = [_form(submission)]
    whole = sum(one.count for one in submission.tensors.values())
    allowed = rules.allowed(makes_images(submission))
    if allowed is not None and whole > FAR_OVER * allowed.parameters:
        # What it names may be as large as it likes: nothing of it is built or read.
        reason = (
            f"{whole:,} numbers in the file, more than {FAR_OVER} times the {allowed.parameters:,} that are allowed"
        )
        return [*found, Finding(1, "net", "failed", reason)]
    counted, net = _onnx(submission) if submission.graph else _tensors(submission, recipe, whole)
    found += net
    found += _limits(submission, recipe, rules, counted)
    if submission.record is None:
        return [*found, Finding(1, "claims", "not decided", "it claims nothing: no recipe, no log, no metrics")]
    return [*found, _claims(submission, counted, readable=all(one.verdict != "failed" for one in net))]


def makes_images(submission: Submission) -> bool:
    """Whether a generator was handed in, by what its recipe says, or its ONNX file."""
    if submission.recipe_values:
        return trains_generator(submission.recipe_values)
    return bool(submission.graph and submission.graph.facts.get("kind", "classifier") != "classifier")


def _form(submission: Submission) -> Finding:
    graph = submission.graph
    if graph is None:
        said = f"safetensors, {len(submission.tensors)} tensors"
        return tell(1, "form", [f"it also holds {one}" for one in submission.strange], said)
    strange = [name for name in graph.operators if "." in name or name.startswith("Random")]
    failures = [f"operators {', '.join(strange)} are not of ONNX, or draw at random"] if strange else []
    failures += ["some of its tensors lie in other files"] if graph.external else []
    return tell(1, "form", failures, f"ONNX, {len(graph.operators)} kinds of operators")


def _onnx(submission: Submission) -> tuple[int, list[Finding]]:
    assert submission.graph is not None
    counted = submission.graph.counted
    largest = sorted(counted, key=lambda name: -counted[name])[:LISTED]
    said = f"{submission.graph.parameters:,} numbers in initializers and constants"
    facts = {name: counted[name] for name in largest}
    return submission.graph.parameters, [Finding(1, "count", "passed", said, facts)]


def _tensors(submission: Submission, recipe: Recipe | None, whole: int) -> tuple[int, list[Finding]]:
    """What counts of a safetensors file, and whether its tensors are those of the net that the recipe names."""
    if recipe is None:
        return whole + _constants(submission), [_own(submission, whole)]
    nets = initialise(recipe)
    expected = inference_state_dict(nets)
    counting = {*(name for name, _ in nets.named_parameters()), *counted_buffers(nets)}
    free = [name for name in expected if name not in counting and name in submission.tensors]
    counted = whole - sum(submission.tensors[name].count for name in free)
    return counted, [_same_net(submission, expected), Finding(1, "count", "passed", _sum(counted, whole))]


def _sum(counted: int, whole: int) -> str:
    return f"{counted:,} numbers count of {whole:,} in the file; the others are batch norms' running statistics"


def _same_net(submission: Submission, expected: dict[str, Tensor]) -> Finding:
    shapes = {name: tuple(tensor.shape) for name, tensor in expected.items()}
    there = {name: one.shape for name, one in submission.tensors.items()}
    others = sorted(name for name in {**shapes, **there} if shapes.get(name) != there.get(name))
    failures = [f"tensors are not those of the net that the recipe names: {_listed(others)}"] if others else []
    types = sorted(name for name, one in submission.tensors.items() if one.dtype != DTYPE)
    failures += [f"tensors are not of type {DTYPE}: {_listed(types)}"] if types else []
    return tell(1, "net", failures, f"the tensors are those of the net {submission.recipe_values['net']['kind']!r}")


def _own(submission: Submission, whole: int) -> Finding:
    """Of nets of one's own every tensor counts, and every constant of their code; whether it fits cannot be asked."""
    reason = (
        f"{', '.join(submission.own_parts)} is not of this package and is not run: every tensor counts ({whole:,}), "
        f"and every constant in its code ({_constants(submission):,}). Hand a net of your own in as ONNX: shoestring "
        "pack RUN --out NAME.onnx"
    )
    return Finding(1, "net", "not decided", reason)


def _constants(submission: Submission) -> int:
    source = submission.record.source if submission.record else {}
    total = 0
    for text in source.values():
        try:
            total += count_constants(text)
        except SyntaxError:
            total += len(text) // 4
    return total


def _limits(submission: Submission, recipe: Recipe | None, rules: Rules, counted: int) -> list[Finding]:
    """The rules against what is in the file, and against the largest number of steps that it tells of anywhere."""
    spent: dict[str, int | None] = {} if recipe is None else stated(recipe)
    if submission.record is not None:
        spent["steps"] = max(_steps_told(submission))
    spent["parameters"] = counted
    allowed = rules.allowed(makes_images(submission))
    if recipe is not None and allowed is not None and allowed.limits_device and not recipe.makes_images:
        with suppress(ShoestringError):  # integers cannot hold it: what it takes of a device stays what it states
            spent |= asdict(device_cost(recipe, initialise(recipe)))
    failures = rules.beyond(spent, makes_images=makes_images(submission))
    if recipe is not None:
        failures += [one for one in rules.departures(recipe) if one.startswith(("data", "pretrained"))]
    words = ", ".join(f"{value:,} {name.replace('_', ' ')}" for name, value in spent.items() if value is not None)
    found = [tell(1, "limits", failures, f"{words}, within {rules.name!r}", **spent)]
    if submission.record is None:
        found.append(Finding(1, "steps", "not decided", "an ONNX file without record does not say how it was trained"))
    return found


def _steps_told(submission: Submission) -> list[int]:
    assert submission.record is not None
    sessions = submission.file("environment.json").get("sessions", [])
    told = [submission.recipe_values.get("budget", {}).get("steps", 0)]
    told += [record.get("step", 0) for record in submission.record.log]
    told += [session.get("to_step", 0) for session in sessions]
    step = submission.record.weights.get("step", "0")
    return [*told, int(step) if step.isdecimal() else 0]


def _claims(submission: Submission, counted: int, *, readable: bool) -> Finding:
    """The record against itself and the weights, if they are worth reading: hashes, and the layer table's sum."""
    record = submission.record
    assert record is not None
    failures: list[str] = []
    now = {"recipe": digest(record.files["recipe.json"]), "log": digest(record.log)}
    if submission.graph is None and readable:
        now["weights"] = weights_digest(read_tensors(submission.weights_file))
    failures += [f"the {name} is not what was packed" for name, one in now.items() if record.sha256.get(name) != one]
    rows = cast("list[dict[str, int]]", submission.file("layers.json") or [])
    claimed = sum(row.get("parameters", 0) for row in rows)
    if submission.graph is None and claimed != counted and not submission.own_parts:
        failures.append(f"its layer table claims {claimed:,} parameters, the file has {counted:,}")
    return tell(1, "claims", failures, "recipe, log, layer table and weights belong together", claimed=claimed)


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return ", ".join(names[:LISTED]) + more
