"""The tables of README.md and docs/results.md about single runs and seeds."""

from collections.abc import Sequence

import torch

from pages.runs import accuracies, by_recipe, command, hardware, plural, where
from shoestring.metrics.statistics import mean
from shoestring.report.format import ABSENT, duration, integer, interval, is_number, large, number, percent
from shoestring.report.headline import headline, main_metric
from shoestring.report.metric_table import title
from shoestring.report.run_data import RecordedMetric, RunData

Table = tuple[Sequence[str], list[list[str]]]


def markdown(table: Table) -> str:
    """The table in Markdown; a sentence when it is empty."""
    columns, rows = table
    if not rows:
        return "Not measured yet."
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)


def summary(runs: Sequence[RunData]) -> Table:
    """The table of the README: a row for each recipe."""
    rows: list[list[str]] = []
    for name, seeds in by_recipe(runs).items():
        first = seeds[0]
        main = main_metric(first)
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


def classifiers(runs: Sequence[RunData]) -> Table:
    """Test accuracy over seeds, a row for each recipe."""
    rows: list[list[str]] = []
    for name, seeds in by_recipe(runs).items():
        if not seeds[0].classifies:
            continue
        values = accuracies(seeds)
        over_seeds = mean(torch.tensor(values, dtype=torch.float64), "", scale="logit")
        rows.append([
            f"`{name}`", str(len(values)), percent(over_seeds.value, 2), percent(over_seeds.std, 2),
            f"{100 * min(values):.2f} to {percent(max(values), 2)}",
            interval(over_seeds.interval, in_percent=True), headline(seeds[0]).published or ABSENT,
        ])  # fmt: skip
    return ("system", "seeds", "mean", "std", "range", "95 % interval of the mean", "published"), rows


def classifier_runs(runs: Sequence[RunData]) -> Table:
    """Every classifier run, and what was published: accuracy with its interval, and the line the papers end with.

    Where a run answers by several views of an image, what it says of the image as it is stands beside.
    """
    rows: list[list[str]] = []
    for name in dict.fromkeys(run_data.recipe["name"] for run_data in runs if run_data.classifies):
        of_name = [run_data for run_data in runs if run_data.recipe["name"] == name]
        for run_data in of_name:
            main = main_metric(run_data)
            if main is not None:
                accuracy, bounds = percent(main.value, 2), interval(main.interval, in_percent=True)
                once = run_data.run.one_call_metrics().get(main.split, {}).get("accuracy", {}).get("value")
                views = f"{run_data.views}; by one {percent(once, 2)}" if run_data.views > 1 else ""
                rows.append([
                    where(run_data), main.split, integer(main.n), accuracy, bounds, views, headline(run_data).line
                ])  # fmt: skip
        result = headline(of_name[0])
        if result.published:
            rows.append(["published", "test", integer(10_000), result.published, "", "", result.published_line])
    return ("run", "split", "n", "accuracy", "95 % interval", "views", "the papers' line"), rows


def generators(runs: Sequence[RunData]) -> Table:
    """Every single-number score of the generators on test images, beside that of real images in place of samples."""
    shown = [
        run_data
        for run_data in runs
        if not run_data.classifies and any(one.split == "test" for one in run_data.metrics)
    ]
    names = dict.fromkeys(
        one.name for run_data in shown for one in run_data.metrics if one.split == "test" and is_number(one.value)
    )
    rows: list[list[str]] = []
    for name in names:
        found = [run_data.metric("test", name) for run_data in shown]
        counts = dict.fromkeys(integer(one.n) for one in found if one)
        baselines = dict.fromkeys(number(one.rest.get("real_baseline")) for one in found if one)
        rows.append([title(name), " or ".join(counts), " or ".join(baselines), *map(score, found)])
    if shown:
        rows.append(["published FID", "", "", *(number(run_data.part("published").get("value")) for run_data in shown)])
    return ("score", "n", "real images", *(where(run_data) for run_data in shown)), rows


def cost(runs: Sequence[RunData]) -> Table:
    """What each run was made with: command, sizes, time, machine, date."""
    rows: list[list[str]] = []
    for run_data in runs:
        batch, machine = run_data.recipe["batch_size"], run_data.environment["machine"]
        sessions = run_data.sessions
        rows.append([
            where(run_data), f"`{command(run_data)}`", integer(run_data.parameters), integer(run_data.steps),
            integer(batch),
            large(run_data.steps * batch), f"{duration(run_data.seconds)} in {plural(len(sessions), 'part')}",
            f"{hardware(machine)}, torch {run_data.environment['versions']['torch']}", sessions[0]["started"][:10],
        ])  # fmt: skip
    columns = ("run", "command", "parameters", "steps", "batch", "images seen", "wall time", "machine", "date")
    return columns, rows


def published(run_data: RunData) -> str:
    """The published result with its name, where it is not an accuracy."""
    result = headline(run_data).published or ABSENT
    return f"FID {result}" if run_data.part("published").get("metric") == "fid" else result


def fid_name(metric: RecordedMetric) -> str:
    """FID with what tells it from other FIDs: "FID (768 features, clean)"."""
    kind, *rest = metric.name.split("_")
    return f"{kind.upper()} ({rest[0]} features, {' '.join(rest[1:])})" if rest else kind.upper()


def score(metric: RecordedMetric | None) -> str:
    """A metric with its std over samplings, or its interval, and its gap to what real images get."""
    if metric is None or not is_number(metric.value):
        return ABSENT
    gap_to_real, samplings = metric.rest.get("gap_to_real"), len(metric.rest.get("by_seed") or ())
    words = [number(metric.value)]
    if samplings > 1:
        words.append(f"± {number(metric.std, 2)}")
    elif metric.interval:
        words.append(f"[{interval(metric.interval)}]")
    if is_number(gap_to_real):
        words.append(f"({'+' if gap_to_real > 0 else ''}{number(gap_to_real, 3)})")
    return " ".join(words)
