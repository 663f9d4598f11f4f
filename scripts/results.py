"""Rewrites the tables of README.md and docs/results.md from the runs that the repository keeps.

python scripts/results.py [--check]

Reads the runs in src/shoestring/zoo and in results. A table stands between `<!-- begin: NAME -->` and
`<!-- end: NAME -->`. With --check nothing is written, and the exit status is 1 when a table is
out of date.
"""

import argparse
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from shoestring.measure.measure import mean
from shoestring.report.facts import Facts, Measure, read
from shoestring.report.headline import headline, main_measure
from shoestring.report.wording import ABSENT, duration, integer, interval, is_number, large, number, percent
from shoestring.run import Run

ROOT = Path(__file__).parent.parent
HOMES = (ROOT / "src" / "shoestring" / "zoo", ROOT / "results")
PAGES = (ROOT / "README.md", ROOT / "docs" / "results.md")
Table = tuple[Sequence[str], list[list[str]]]


def kept_runs() -> list[Facts]:
    """The runs of both folders that were trained to the end: by recipe, seeds in order, tune runs last."""
    runs = [Run(folder) for home in HOMES for folder in sorted(home.glob("*")) if Run(folder).exists()]
    found = [facts for facts in read(runs) if facts.run.finished()]
    return sorted(found, key=lambda facts: (facts.recipe["name"], held_out(facts), facts.recipe["seed"]))


def held_out(facts: Facts) -> int:
    """How many images the run kept from training, to be measured on."""
    return facts.part("data").get("tune", 0)


def by_recipe(runs: Sequence[Facts]) -> dict[str, list[Facts]]:
    """The seeds of each recipe: final runs (those that trained on all of train) with no other field changed."""
    groups: dict[str, list[Facts]] = {}
    for facts in runs:
        if not held_out(facts) and set(facts.overrides) <= {"data.tune", "seed"}:
            groups.setdefault(facts.recipe["name"], []).append(facts)
    return groups


def summary(runs: Sequence[Facts]) -> Table:
    """The table of the README: a row for each recipe."""
    rows: list[list[str]] = []
    for name, seeds in by_recipe(runs).items():
        first = seeds[0]
        main = main_measure(first)
        if first.classifies:
            values = accuracies(seeds)
            measured = f"**{percent(sum(values) / len(values))}** accuracy, {plural(len(values), 'seed')}"
        elif main is not None:
            measured = f"**{number(main.value)}** {fid_name(main)}"
        else:
            measured = "[samples](docs/results.md#generators)"
        rows.append([
            f"`{name}`", first.recipe["summary"], integer(first.parameters), integer(first.steps),
            published(first), measured,
        ])  # fmt: skip
    return ("system", "what it is", "parameters", "steps", "published", "measured here"), rows


def classifiers(runs: Sequence[Facts]) -> Table:
    """Test accuracy over seeds, a row for each recipe."""
    rows: list[list[str]] = []
    for name, seeds in by_recipe(runs).items():
        if not seeds[0].classifies:
            continue
        values = accuracies(seeds)
        over_seeds = mean(torch.tensor(values), "")
        rows.append([
            f"`{name}`", str(len(values)), percent(over_seeds.value, 2), percent(over_seeds.deviation, 2),
            f"{100 * min(values):.2f} to {percent(max(values), 2)}",
            interval(over_seeds.interval, in_percent=True), headline(seeds[0]).published or ABSENT,
        ])  # fmt: skip
    return ("system", "seeds", "mean", "deviation", "range", "95 % interval of the mean", "published"), rows


def classifier_runs(runs: Sequence[Facts]) -> Table:
    """Every classifier run, and what was published: accuracy with its interval, and the line the papers end with."""
    rows: list[list[str]] = []
    for name in dict.fromkeys(facts.recipe["name"] for facts in runs if facts.classifies):
        of_name = [facts for facts in runs if facts.recipe["name"] == name]
        for facts in of_name:
            main = main_measure(facts)
            if main is not None:
                accuracy, bounds = percent(main.value, 2), interval(main.interval, in_percent=True)
                rows.append([where(facts), main.split, integer(main.n), accuracy, bounds, headline(facts).line])
        result = headline(of_name[0])
        if result.published:
            rows.append(["published", "test", integer(10_000), result.published, "", result.published_line])
    return ("run", "split", "n", "accuracy", "95 % interval", "the papers' line"), rows


def generators(runs: Sequence[Facts]) -> Table:
    """Every single-number score of the generators on test images, with a column for each generator."""
    shown = [facts for facts in runs if not facts.classifies and any(one.split == "test" for one in facts.measures)]
    names = dict.fromkeys(
        one.name for facts in shown for one in facts.measures if one.split == "test" and is_number(one.value)
    )
    rows = [[name.replace("_", " "), *(score(facts.measure("test", name)) for facts in shown)] for name in names]
    if shown:
        rows.append(["published FID", *(number(facts.part("published").get("value")) for facts in shown)])
    return ("score", *(where(facts) for facts in shown)), rows


def cost(runs: Sequence[Facts]) -> Table:
    """What each run was made with: command, sizes, time, machine, date."""
    rows: list[list[str]] = []
    for facts in runs:
        batch, machine = facts.recipe["batch_size"], facts.environment["machine"]
        sessions = facts.sessions
        rows.append([
            where(facts), f"`{command(facts)}`", integer(facts.parameters), integer(facts.steps), integer(batch),
            large(facts.steps * batch), f"{duration(facts.seconds)} in {plural(len(sessions), 'part')}",
            f"{hardware(machine)}, torch {facts.environment['versions']['torch']}", sessions[0]["started"][:10],
        ])  # fmt: skip
    columns = ("run", "command", "parameters", "steps", "batch", "images seen", "wall time", "machine", "date")
    return columns, rows


TABLES: dict[str, Callable[[Sequence[Facts]], Table]] = {
    "summary": summary,
    "classifiers": classifiers,
    "classifier-runs": classifier_runs,
    "generators": generators,
    "cost": cost,
}


def accuracies(seeds: Sequence[Facts]) -> list[float]:
    """Test accuracy of each run that was measured on test."""
    found = [facts.value("test", "accuracy") for facts in seeds]
    return [value for value in found if value is not None]


def published(facts: Facts) -> str:
    """The published result with its name, where it is not an accuracy."""
    result = headline(facts).published or ABSENT
    return f"FID {result}" if facts.part("published").get("measure") == "fid" else result


def command(facts: Facts) -> str:
    """The command that trained a run."""
    words = ["shoestring", "train", facts.recipe["name"]]
    for field, (_, value) in facts.overrides.items():
        items = value if isinstance(value, list) else [value]
        words += ["--" + field.replace("_", "-"), *(str(item) for item in items)]
    return " ".join(words)


def hardware(machine: dict[str, Any]) -> str:
    """The GPU, or the processor with its cores."""
    return f"{machine['processor']}, {machine['cores']} cores" if machine["device"] == "cpu" else machine["device"]


def where(facts: Facts) -> str:
    """The run's folder as a link from the docs folder."""
    path = facts.run.folder.relative_to(ROOT).as_posix()
    return f"[{facts.run.name}](../{path})"


def fid_name(measure: Measure) -> str:
    """FID with what tells it from other FIDs: "FID (768 features, clean)"."""
    kind, *rest = measure.name.split("_")
    return f"{kind.upper()} ({rest[0]} features, {' '.join(rest[1:])})" if rest else kind.upper()


def score(measure: Measure | None) -> str:
    """A score with its deviation over samplings or its interval, n, and what real images get, as far as known."""
    if measure is None or not is_number(measure.value):
        return ABSENT
    floor, samplings = measure.rest.get("floor"), len(measure.rest.get("by_seed") or ())
    words = [number(measure.value)]
    if samplings > 1:
        words.append(f"± {number(measure.deviation, 2)} over {samplings} samplings")
    elif measure.interval:
        words.append(f"[{interval(measure.interval)}]")
    words += [f"(n {integer(measure.n)}{f', real {number(floor)}' if floor is not None else ''})"]
    return " ".join(words)


def plural(count: int, word: str) -> str:
    """A count with its noun: "1 seed", "3 seeds"."""
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


def markdown(table: Table) -> str:
    """The table in Markdown; a sentence when it is empty."""
    columns, rows = table
    if not rows:
        return "Not measured yet."
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def with_tables(text: str, runs: Sequence[Facts]) -> str:
    """A page with each of its tables written anew; an unknown table is a KeyError."""

    def table(found: re.Match[str]) -> Any:
        name = found[1]
        return f"<!-- begin: {name} -->\n{markdown(TABLES[name](runs))}\n<!-- end: {name} -->"

    return re.sub(r"<!-- begin: (\S+) -->\n.*?<!-- end: \1 -->", table, text, flags=re.DOTALL)


def main() -> None:
    """Rewrites the pages, or checks them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    runs = kept_runs()
    stale: list[str] = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        new = with_tables(text, runs)
        if new != text:
            stale.append(page.name)
            if not check:
                page.write_text(new, encoding="utf-8")
    if stale:
        print(f"{', '.join(stale)} {'out of date: run python scripts/results.py' if check else 'rewritten'}")
    sys.exit(1 if check and stale else 0)


if __name__ == "__main__":
    main()
