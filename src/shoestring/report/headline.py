"""The result in one line, beside the published one, and what it cost."""

from dataclasses import dataclass
from typing import Any

from shoestring.report.format import ABSENT, fixed, integer, interval, is_number, number, percent, plain, points
from shoestring.report.metric_table import in_percent, title
from shoestring.report.run_data import SPLITS, RecordedMetric, RunData, as_object

_FIDS = tuple(f"fid_{size}_{resizing}" for size in (2048, 768, 192, 64) for resizing in ("clean", "legacy"))
"""What FIDs are called, the one to show first first."""
LISTED = 5  # classes that a notice names
PAPERS_STEPS = 1_000  # at the end of a training, over which the papers' train figures are


@dataclass(frozen=True)
class BudgetBar:
    """How much of one limit of the budget is used.

    Attributes:
        name: What is limited.
        used: How much is used.
        limit: How much there is.
    """

    name: str
    used: int
    limit: int

    @property
    def fraction(self) -> float:
        """Used fraction of the limit."""
        return self.used / self.limit

    @property
    def text(self) -> str:
        """Used and limit in words."""
        return f"{self.used:,} of {self.limit:,} ({percent(self.fraction)})"


@dataclass(frozen=True)
class Headline:
    """The result in words.

    Attributes:
        value: The main number, "–" when not measured yet.
        label: What it is and on which split.
        uncertainty: Its interval and n.
        published: The published number, empty when there is none.
        verdict: How the two compare.
        line: The result in the form of the publications.
        published_line: The publication's own line.
        source: Who published it.
        bars: What of the budget is used.
    """

    value: str
    label: str
    uncertainty: str
    published: str
    verdict: str
    line: str
    published_line: str
    source: str
    bars: list[BudgetBar]


def main_metric(run_data: RunData) -> RecordedMetric | None:
    """The main metric of a run, on test where measured, else on tune."""
    wanted = str(run_data.part("published").get("metric") or ("accuracy" if run_data.classifies else "fid")).lower()
    for split in SPLITS[:2]:
        for name in (wanted, *_FIDS) if wanted == "fid" else (wanted,):
            for one in run_data.metrics:
                if one.split == split and is_number(one.value) and one.name.lower().split("@")[0] == name:
                    return one
    return None


def headline(run_data: RunData) -> Headline:
    """The result, its comparison with the published one, and the budget bars."""
    main, published = main_metric(run_data), run_data.part("published")
    name = main.name if main else str(published.get("metric") or ("accuracy" if run_data.classifies else "FID"))
    say = percent if in_percent(name) else number
    return Headline(
        value=say(main.value) if main else ABSENT,
        label=f"{main.split} {title(name)}" if main else f"{title(name)}, not measured yet",
        uncertainty=_uncertainty(run_data, main) if main else "",
        published=say(published["value"]) if is_number(published.get("value")) else "",
        verdict=_verdict(run_data, main, published.get("value")) if main else "",
        line=paper_line(run_data),
        published_line=str(published.get("line") or ""),
        source=str(published.get("source") or ""),
        bars=_bars(run_data),
    )


def paper_line(run_data: RunData) -> str:
    """The result in the papers' form: "train loss: 1.812, train acc: 0.521±0.065, test acc: 0.494±0.066".

    The papers' train figures are over their last 1,000 steps; a line of other steps ends by saying of which.
    """
    if not run_data.classifies:
        main = main_metric(run_data)
        return f"{title(main.name)} {number(main.value)}" if main else ""
    said: list[str] = []
    loss = run_data.train_loss
    if loss is not None:
        said.append(f"train loss: {fixed(loss, 3)}")
    for split in ("train", "test", "tune"):
        batches = run_data.metric(split, "batch_accuracy")
        several = batches is not None and is_number(batches.std)  # one mini-batch leaves out all other images
        metric = batches if several else run_data.metric(split, "accuracy")
        if metric is not None and not (split == "tune" and run_data.metric("test", "accuracy")):
            spread = f"±{fixed(metric.std, 3)}" if is_number(metric.std) else ""
            said.append(f"{split} acc: {fixed(metric.value, 3)}{spread}")
    stretch = _stretch(run_data)
    return ", ".join(said) + (f" (train: {stretch})" if said and stretch else "")


def train_gap(run_data: RunData, main: RecordedMetric | None) -> float | None:
    """Train accuracy less that of the main metric; None if either is not known or they do not compare.

    They do not where the train value is over more than a fifth of the training, in which the net was still another one.
    """
    train = run_data.metric("train", "accuracy")
    if main is None or train is None or not is_number(train.value) or not in_percent(main.name):
        return None
    early = train.n is not None and train.n > run_data.steps / 5
    return None if early else train.value - main.value


def notices(run_data: RunData) -> list[str]:
    """What a reader must know before any number: other rules, departures from them, no end, no test, a caution."""
    said = [*([run_data.rules] if run_data.rules else []), *run_data.departures]
    if start := run_data.pretrained:
        said.append(
            f"started from the weights of {start.recipe}, so other data was used, too: {start.data} "
            f"({integer(start.taken)} parameters taken over)"
        )
    if not run_data.run.finished():
        limit = run_data.part("budget").get("steps")
        said.append(f"unfinished: {run_data.steps:,} of {integer(limit)} steps taken")
    main = main_metric(run_data)
    claimed = [split for split, origin in run_data.origins.items() if origin.startswith("claimed")]
    if claimed:
        said.append(
            f"metrics of {' and '.join(claimed)} are claimed by the run and were not measured on this machine; "
            "shoestring check measures them anew"
        )
    if main is not None and main.split != "test":
        said.append(f"not measured on the test split; the {main.split} split is shown instead")
    if main is not None and main.name == "accuracy":
        said += _uneven(run_data, main)
    if main is not None and main.rest.get("caution"):
        said.append(f"{title(main.name)}: {main.rest['caution']}")
    return said


def limitations(run_data: RunData) -> list[str]:
    """What the numbers do not show, with the train-test gap in points."""
    said: list[str] = []
    main = main_metric(run_data)
    gap = train_gap(run_data, main)
    if main is not None and gap is not None:
        said.append(_gap(gap, main, _stretch(run_data)))
    bins = run_data.metric(main.split, "calibration") if main else None
    if bins is not None and bins.value:
        filled = [one for one in bins.value if one["n"]]
        surplus = sum(one["n"] * (one["confidence"] - one["accuracy"]) for one in filled) / sum(
            one["n"] for one in filled
        )
        word = "over" if surplus > 0 else "under"
        said.append(f"Confidence: {word}-confident by {points(abs(surplus)).removeprefix('+')} on average.")
    last = next((record["mean"] for record in reversed(run_data.log) if "real" in record.get("mean", {})), None)
    if last is not None and is_number(last.get("fake")):
        said.append(
            f"Balance: at the end the discriminator gives real images a probability of {number(last['real'], 2)} and "
            f"fake ones {number(last['fake'], 2)}; 0.5 and 0.5 means that it cannot distinguish them."
        )
    if main is not None and not in_percent(main.name):
        said.append(
            f"{title(main.name)} is biased upward for few images: compare it only at equal n, resizing and features"
            f"{f' (here n = {main.n:,})' if main.n else ''}."
        )
    said.append(
        f"One training with seed {plain(run_data.recipe.get('seed', 0))}: intervals show the sampling of images, "
        f"not the spread over seeds."
    )
    return said


def _uncertainty(run_data: RunData, main: RecordedMetric) -> str:
    bounds = interval(main.interval, in_percent=in_percent(main.name))
    said = [f"95 % interval {bounds}"] if bounds != ABSENT else []
    real_baseline, gap_to_real = main.rest.get("real_baseline"), main.rest.get("gap_to_real")
    if is_number(real_baseline) and is_number(gap_to_real):
        said.append(f"real images get {number(real_baseline)}, gap {number(gap_to_real)}")
    said += [f"n = {main.n:,}"] if main.n else []
    said += [f"by {run_data.views} views of each image"] if run_data.views > 1 else []
    if main.name == "accuracy":  # both are there where classes are uneven
        beside = ("balanced_accuracy", "majority_baseline")
        said += [f"{title(name)} {percent(value)}" for name in beside if (value := run_data.value(main.split, name))]
    return ", ".join(said)


def _uneven(run_data: RunData, main: RecordedMetric) -> list[str]:
    """What accuracy alone hides where some classes have many images and others few or none."""
    said: list[str] = []
    baseline, per_class = (
        run_data.value(main.split, "majority_baseline"),
        run_data.metric(main.split, "per_class_accuracy"),
    )
    low = main.interval[0] if main.interval else main.value
    if baseline is not None and low <= baseline:
        said.append(
            f"no better on {main.split} than always answering the most frequent class, which is right for "
            f"{percent(baseline)}"
        )
    rows = [as_object(row) for row in per_class.value] if per_class else []
    absent: list[str] = [
        run_data.classes[row["class"]] if row["class"] < len(run_data.classes) else f"class {row['class']}"
        for row in rows
        if row.get("n") == 0
    ]
    if absent:
        more = f" and {len(absent) - LISTED} more" if len(absent) > LISTED else ""
        said.append(f"no image of {', '.join(absent[:LISTED])}{more} is in {main.split}: nothing is known of them")
    return said


def _verdict(run_data: RunData, main: RecordedMetric, published: Any) -> str:
    if not is_number(published):
        return ""
    if main.name in _FIDS and not main.name.startswith("fid_2048"):
        return "of 2,048-dimensional features: not the same scale, so the two do not compare"
    difference = main.value - published
    if in_percent(main.name):
        said = f"{points(difference)} against the published value"
    else:
        said = f"{number(abs(difference))} {'lower (better)' if difference < 0 else 'higher (worse)'} than published"
    if main.interval is not None:
        low, high = main.interval
        said += f"; that lies {'within' if low <= published <= high else 'outside'} this run's interval"
    if any(field.startswith("budget") for field in run_data.overrides):
        said += "; the budgets differ"
    return said


def _bars(run_data: RunData) -> list[BudgetBar]:
    budget = run_data.part("budget")
    used = {"parameters": run_data.parameters, "steps": run_data.steps, "nfe": run_data.environment.get("nfe")}
    limits = {name: limit for name in used if is_number(limit := budget.get(name)) and limit > 0}
    return [
        BudgetBar(name, count, int(limits[name]))
        for name, count in used.items()
        if count is not None and name in limits
    ]


def _stretch(run_data: RunData) -> str:
    """Over which steps the train metrics are, empty where they are the papers' last 1,000."""
    train = run_data.metric("train", "accuracy")
    if train is None or train.n is None or train.n == PAPERS_STEPS:
        return ""
    return f"over the last {train.n:,} of {run_data.steps:,} steps"


def _gap(gap: float, main: RecordedMetric, stretch: str) -> str:
    said = (
        f"Train–{main.split} gap: {points(gap)} (train {percent(main.value + gap)}, {main.split} "
        f"{percent(main.value)}). The train value is of mini-batches while learning{', ' if stretch else ''}{stretch}, "
        "augmented and with the weights of that moment: a low estimate."
    )
    if main.interval is None:
        return said
    low, high = main.value + gap - main.interval[1], main.value + gap - main.interval[0]
    if low > 0:
        return f"{said} The net knows its training images better than new ones."
    covered = "No gap is seen beyond" if high >= 0 else "It does better on new images than on augmented ones, beyond"
    return f"{said} {covered} the sampling error of the {main.split} split."
