"""Who does what on a data set: our classifiers over seeds, the papers, and every rival we know of."""

import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pages.runs import ROOT, Entry, entries, hardware, where
from pages.tables import Table
from shoestring.report.format import duration, integer, interval, is_number, large, percent
from shoestring.report.run_data import RunData

RIVALS = ROOT / "results" / "rivals.toml"
COLUMNS = (
    "system", "accuracy", "std", "95 % interval", "seeds", "test images", "parameters", "multiply-adds", "steps",
    "images seen", "wall time", "machine", "source",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Rival:
    """A result that others reported; None is what they did not tell.

    Attributes:
        data: Data set whose table it stands in.
        system: What it is.
        accuracy: As a fraction.
        source: Who says so, under which conditions.
        on: Data set it was measured on, where that is another one.
        about: Whether the accuracy was told as a rough figure.
        parameters: How many.
        at_most_parameters: Their limit, where the count is not known.
        steps: Optimisation steps.
        at_most_steps: Their limit, where the count is not known.
        batch_size: Images per step.
        paper: Whether it is the publication that a recipe of ours rebuilds.
    """

    data: str
    system: str
    accuracy: float
    source: str
    on: str | None = None
    about: bool = False
    parameters: int | None = None
    at_most_parameters: int | None = None
    steps: int | None = None
    at_most_steps: int | None = None
    batch_size: int | None = None
    paper: bool = False

    @property
    def said(self) -> str:
        """The accuracy with the digits that were reported: "84.95 %", "about 58 %"."""
        return f"{'about ' if self.about else ''}{100 * self.accuracy:.4g} %"


def read_rivals(data: str, file: Path = RIVALS) -> list[Rival]:
    """The rivals on a data set, as the file has them."""
    rows = tomllib.loads(file.read_text(encoding="utf-8"))["rival"]
    return [Rival(**row) for row in rows if row["data"] == data]


def papers(runs: Sequence[RunData], data: str) -> list[Rival]:
    """The published results that recipes of the kept classifiers name, each once."""
    found: dict[str, Rival] = {}
    for run_data in runs:
        result = run_data.part("published")
        if run_data.classifies and run_data.part("data").get("kind") == data and is_number(result.get("value")):
            name = f"published `{run_data.recipe['name']}`"
            found.setdefault(
                name,
                Rival(
                    data=data, system=name, accuracy=result["value"], source=result["source"], paper=True,
                    parameters=run_data.parameters, steps=run_data.part("budget")["steps"],
                    batch_size=run_data.recipe["batch_size"],
                ),
            )  # fmt: skip
    return list(found.values())


def contest(runs: Sequence[RunData], data: str) -> Table:
    """Everyone's accuracy on a data set, best first, with what it took; last those measured on another set."""
    rows = [(False, -entry.accuracy, _ours(entry)) for entry in entries(runs, data)]
    others = [*papers(runs, data), *read_rivals(data)]
    rows += [(rival.on is not None, -rival.accuracy, _theirs(rival)) for rival in others]
    return COLUMNS, [row for *_, row in sorted(rows, key=lambda row: row[:2])]


def _ours(entry: Entry) -> list[str]:
    first = entry.runs[0]
    batch = first.recipe["batch_size"]
    times = [run_data.seconds for run_data in entry.runs if run_data.seconds is not None]
    machines = dict.fromkeys(hardware(run_data.environment["machine"]) for run_data in entry.runs)
    metric = first.metric(entry.split, "accuracy")
    several = len(entry.runs) > 1
    return [
        where(first, entry.label),
        f"**{percent(entry.accuracy, 2)}**",
        percent(entry.std, 2) if several else "",
        interval(entry.interval, in_percent=True),
        f"{len(entry.runs)} ({', '.join(map(str, entry.seeds))})",
        integer(entry.images),
        integer(first.parameters),
        large(first.multiply_adds),
        integer(first.steps),
        large(first.steps * batch),
        (duration(sum(times) / len(times)) + (" each" if several else "")) if times else "",
        " and ".join(machines),
        metric.rest.get("source", "") if metric else "",
    ]


def _theirs(rival: Rival) -> list[str]:
    return [
        rival.system,
        rival.said,
        *[""] * 4,
        _known(rival.parameters, rival.at_most_parameters),
        "",
        _known(rival.steps, rival.at_most_steps),
        _known(_times(rival.steps, rival.batch_size), _times(rival.at_most_steps, rival.batch_size), large),
        *[""] * 2,
        rival.source,
    ]


def _known(count: int | None, limit: int | None, say: Callable[[int], str] = integer) -> str:
    return say(count) if count is not None else f"at most {say(limit)}" if limit is not None else ""


def _times(steps: int | None, batch_size: int | None) -> int | None:
    return steps * batch_size if steps is not None and batch_size is not None else None
