"""The result in one line, beside the published one, and what it cost."""

from dataclasses import dataclass
from typing import Any

from shoestring.report.format import ABSENT, fixed, integer, interval, is_number, number, percent, plain, points
from shoestring.report.metric_table import in_percent, title
from shoestring.report.run_data import SPLITS, Facts, Measure

_FIDS = tuple(f"fid_{size}_{resizing}" for size in (2048, 768, 192, 64) for resizing in ("clean", "legacy"))
"""What FIDs are called, the one to show first first."""
PAPERS_STEPS = 1_000  # at the end of a training, over which the papers' train figures are


@dataclass(frozen=True)
class Bar:
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
        """Used share of the limit."""
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
    bars: list[Bar]


def main_measure(facts: Facts) -> Measure | None:
    """The measure the run is judged by, on test where measured, else on tune."""
    wanted = (facts.part("published").get("measure") or ("accuracy" if facts.classifies else "fid")).lower()
    for split in SPLITS[:2]:
        for name in (wanted, *_FIDS) if wanted == "fid" else (wanted,):
            for one in facts.measures:
                if one.split == split and is_number(one.value) and one.name.lower().split("@")[0] == name:
                    return one
    return None


def headline(facts: Facts) -> Headline:
    """The result, its comparison with the published one, and the budget bars."""
    main, published = main_measure(facts), facts.part("published")
    name = main.name if main else str(published.get("measure") or ("accuracy" if facts.classifies else "FID"))
    say = percent if in_percent(name) else number
    return Headline(
        value=say(main.value) if main else ABSENT,
        label=f"{main.split} {title(name)}" if main else f"{title(name)}, not measured yet",
        uncertainty=_uncertainty(main) if main else "",
        published=say(published["value"]) if is_number(published.get("value")) else "",
        verdict=_verdict(facts, main, published.get("value")) if main else "",
        line=paper_line(facts),
        published_line=str(published.get("line") or ""),
        source=str(published.get("source") or ""),
        bars=_bars(facts),
    )


def paper_line(facts: Facts) -> str:
    """The result in the papers' form: "train loss: 1.812, train acc: 0.521±0.065, test acc: 0.494±0.066".

    The papers' train figures are over their last 1,000 steps; a line of other steps ends by saying of which.
    """
    if not facts.classifies:
        main = main_measure(facts)
        return f"{title(main.name)} {number(main.value)}" if main else ""
    said: list[str] = []
    loss = facts.train_loss
    if loss is not None:
        said.append(f"train loss: {fixed(loss, 3)}")
    for split in ("train", "test", "tune"):
        batches = facts.measure(split, "batch_accuracy")
        several = batches is not None and is_number(batches.deviation)  # one mini-batch leaves out all other images
        measure = batches if several else facts.measure(split, "accuracy")
        if measure is not None and not (split == "tune" and facts.measure("test", "accuracy")):
            spread = f"±{fixed(measure.deviation, 3)}" if is_number(measure.deviation) else ""
            said.append(f"{split} acc: {fixed(measure.value, 3)}{spread}")
    stretch = _stretch(facts)
    return ", ".join(said) + (f" (train: {stretch})" if said and stretch else "")


def train_gap(facts: Facts, main: Measure | None) -> float | None:
    """Train accuracy less that of the main measure; None if either is not known or they do not compare.

    They do not where the train value is over more than a fifth of the training, in which the net was still another one.
    """
    train = facts.measure("train", "accuracy")
    if main is None or train is None or not is_number(train.value) or not in_percent(main.name):
        return None
    early = train.n is not None and train.n > facts.steps / 5
    return None if early else train.value - main.value


def notices(facts: Facts) -> list[str]:
    """What a reader must know before any number: a larger budget, an unfinished training, no test, a caution."""
    said: list[str] = []
    for field, (before, after) in sorted(facts.overrides.items()):
        if field.startswith("budget.") and _more(before, after):
            said.append(f"budget changed: {field.partition('.')[2]} {plain(after)} instead of {plain(before)}")
    if not facts.run.finished():
        limit = facts.part("budget").get("steps")
        said.append(f"unfinished: {facts.steps:,} of {integer(limit)} steps taken")
    main = main_measure(facts)
    if main is not None and main.split != "test":
        said.append(f"not measured on the test split; the {main.split} split is shown instead")
    if main is not None and main.rest.get("caution"):
        said.append(f"{title(main.name)}: {main.rest['caution']}")
    return said


def limitations(facts: Facts) -> list[str]:
    """What the numbers do not show, with the train-test gap in points."""
    said: list[str] = []
    main = main_measure(facts)
    gap = train_gap(facts, main)
    if main is not None and gap is not None:
        said.append(_gap(gap, main, _stretch(facts)))
    bins = facts.measure(main.split, "calibration") if main else None
    if bins is not None and bins.value:
        filled = [one for one in bins.value if one["n"]]
        excess = sum(one["n"] * (one["confidence"] - one["accuracy"]) for one in filled) / sum(
            one["n"] for one in filled
        )
        word = "over" if excess > 0 else "under"
        said.append(f"Confidence: {word}-confident by {points(abs(excess)).removeprefix('+')} on average.")
    last = next((record["mean"] for record in reversed(facts.log) if "real" in record.get("mean", {})), None)
    if last is not None and is_number(last.get("fake")):
        said.append(
            f"Balance: at the end the discriminator gives real images a probability of {number(last['real'], 2)} and "
            f"made ones {number(last['fake'], 2)}; could it not tell them apart, both would be equal."
        )
    if main is not None and not in_percent(main.name):
        said.append(
            f"{title(main.name)} is biased upward for few images: compare it only at equal n, resizing and features"
            f"{f' (here n = {main.n:,})' if main.n else ''}."
        )
    said.append(
        f"One training with seed {plain(facts.recipe.get('seed', 0))}: intervals show the sampling of images, "
        f"not the spread over seeds."
    )
    return said


def _uncertainty(main: Measure) -> str:
    bounds = interval(main.interval, in_percent=in_percent(main.name))
    said = [f"95 % interval {bounds}"] if bounds != ABSENT else []
    floor, excess = main.rest.get("floor"), main.rest.get("excess")
    if is_number(floor) and is_number(excess):
        said.append(f"real images get {number(floor)}, excess {number(excess)}")
    return ", ".join([*said, *([f"n = {main.n:,}"] if main.n else [])])


def _verdict(facts: Facts, main: Measure, published: Any) -> str:
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
    if any(field.startswith("budget") for field in facts.overrides):
        said += "; the budgets differ"
    return said


def _bars(facts: Facts) -> list[Bar]:
    budget = facts.part("budget")
    used = {"parameters": facts.parameters, "steps": facts.steps, "evaluations": facts.environment.get("evaluations")}
    return [Bar(name, count, budget[name]) for name, count in used.items() if count is not None and budget.get(name)]


def _stretch(facts: Facts) -> str:
    """Over which steps the train measures are, empty where they are the papers' last 1,000."""
    train = facts.measure("train", "accuracy")
    if train is None or train.n is None or train.n == PAPERS_STEPS:
        return ""
    return f"over the last {train.n:,} of {facts.steps:,} steps"


def _more(before: float | None, after: float | None) -> bool:
    """Whether a limit of the budget was raised; none is no limit."""
    return before is not None and (after is None or after > before)


def _gap(gap: float, main: Measure, stretch: str) -> str:
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
