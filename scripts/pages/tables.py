"""The tables of README.md and docs/results.md about single runs and seeds."""

from collections.abc import Sequence

import torch

from pages.runs import accuracies, by_recipe, command, hardware, plural, where
from shoestring.metrics.statistics import mean
from shoestring.report.format import ABSENT, duration, integer, interval, is_number, large, number, percent
from shoestring.report.headline import headline, main_measure
from shoestring.report.metric_table import title
from shoestring.report.run_data import Facts, Measure

Table = tuple[Sequence[str], list[list[str]]]


def markdown(table: Table) -> str:
    """The table in Markdown; a sentence when it is empty."""
    columns, rows = table
    if not rows:
        return "Not measured yet."
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


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
        over_seeds = mean(torch.tensor(values, dtype=torch.float64), "", scale="logit")
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
    """Every single-number score of the generators on test images, beside that of real images in place of samples."""
    shown = [facts for facts in runs if not facts.classifies and any(one.split == "test" for one in facts.measures)]
    names = dict.fromkeys(
        one.name for facts in shown for one in facts.measures if one.split == "test" and is_number(one.value)
    )
    rows: list[list[str]] = []
    for name in names:
        found = [facts.measure("test", name) for facts in shown]
        counts = dict.fromkeys(integer(one.n) for one in found if one)
        floors = dict.fromkeys(number(one.rest.get("floor")) for one in found if one)
        rows.append([title(name), " or ".join(counts), " or ".join(floors), *map(score, found)])
    if shown:
        rows.append(["published FID", "", "", *(number(facts.part("published").get("value")) for facts in shown)])
    return ("score", "n", "real images", *(where(facts) for facts in shown)), rows


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


def published(facts: Facts) -> str:
    """The published result with its name, where it is not an accuracy."""
    result = headline(facts).published or ABSENT
    return f"FID {result}" if facts.part("published").get("measure") == "fid" else result


def fid_name(measure: Measure) -> str:
    """FID with what tells it from other FIDs: "FID (768 features, clean)"."""
    kind, *rest = measure.name.split("_")
    return f"{kind.upper()} ({rest[0]} features, {' '.join(rest[1:])})" if rest else kind.upper()


def score(measure: Measure | None) -> str:
    """A score with its deviation over samplings, or its interval, and the excess over what real images get."""
    if measure is None or not is_number(measure.value):
        return ABSENT
    excess, samplings = measure.rest.get("excess"), len(measure.rest.get("by_seed") or ())
    words = [number(measure.value)]
    if samplings > 1:
        words.append(f"± {number(measure.deviation, 2)}")
    elif measure.interval:
        words.append(f"[{interval(measure.interval)}]")
    if is_number(excess):
        words.append(f"({'+' if excess > 0 else ''}{number(excess, 3)})")
    return " ".join(words)
