"""One run's part of a report: its charts, tables and pictures, ready for the template."""

from dataclasses import dataclass

from shoestring.report.classes import (
    ClassRow,
    Confusion,
    class_rows,
    confusion_map,
    confusions,
    reliability,
    worst_and_best,
)
from shoestring.report.curves import Mark, chart, curve
from shoestring.report.gallery import gallery, strip
from shoestring.report.headline import Headline, headline, limitations, notices
from shoestring.report.metric_table import ScoreTable, score_table
from shoestring.report.run_data import SPLITS, Facts
from shoestring.report.sample_charts import generated_charts
from shoestring.report.svg import Key, Picture
from shoestring.report.tables import Field, LayerRow, environment, layer_rows, layer_sums, recipe_fields, sessions


@dataclass(frozen=True)
class Chapter:
    """All that the template shows of one run; `split` is the one that classes are shown on."""

    name: str
    facts: Facts
    headline: Headline
    notices: list[str]
    charts: list[Picture]
    generated: list[Picture]
    scores: ScoreTable
    split: str
    confusion: Picture | None
    confusions: list[Confusion]
    worst: list[ClassRow]
    best: list[ClassRow]
    reliability: Picture | None
    pictures: list[Picture]
    strip: list[Picture]
    limitations: list[str]
    layers: list[LayerRow]
    sums: list[LayerRow]
    recipe: dict[str, list[Field]]
    environment: list[tuple[str, str]]
    sessions: list[tuple[str, str, str, str]]


def chapter(facts: Facts, name: str) -> Chapter:
    """A run's part of the report.

    Args:
        facts: What the run's folder tells.
        name: Unique on the page; starts all its ids.
    """
    split = next((one for one in SPLITS if facts.measure(one, "confusion")), SPLITS[0])
    worst, best = worst_and_best(class_rows(facts, split))
    return Chapter(
        name=name,
        facts=facts,
        headline=headline(facts),
        notices=notices(facts),
        charts=charts(facts, name),
        generated=generated_charts(facts, name),
        scores=score_table(facts),
        split=split,
        confusion=confusion_map(facts, split, f"{name}-confusion"),
        confusions=confusions(facts, split),
        worst=worst,
        best=best,
        reliability=reliability(facts, split, f"{name}-reliability"),
        pictures=gallery(facts),
        strip=strip(facts),
        limitations=limitations(facts),
        layers=layer_rows(facts),
        sums=layer_sums(facts),
        recipe=recipe_fields(facts),
        environment=environment(facts),
        sessions=sessions(facts),
    )


def charts(facts: Facts, name: str) -> list[Picture]:
    """The training curves: losses, accuracies or the discriminator's probabilities, and the learning rate."""
    log = facts.log
    means = [mean for record in log if record.get("kind") == "train" for mean in record.get("mean", {})]
    losses = [mean for mean in dict.fromkeys(means) if mean.endswith("/loss")]
    only = len(losses) == 1
    loss_curves = [
        curve(log, "train", loss, Key("train" if only else loss.split("/")[0], index + 1), band=only)
        for index, loss in enumerate(losses)
    ]
    held_out = [
        curve(log, kind, "loss", Key(kind, index + 2 if only else index + 3, "dots"))
        for index, kind in enumerate(("tune", "test"))
    ]
    spread = "The band is one standard deviation over mini-batches." if only else ""
    found = [
        chart(
            f"{name}-loss", "Loss", facts.loss_label, [*loss_curves, *held_out], _test(facts, "loss"), caption=spread
        ),
        chart(
            f"{name}-accuracy",
            "Accuracy",
            "accuracy (%)",
            [
                curve(log, "train", "accuracy", Key("train", 1), band=True),
                curve(log, "tune", "accuracy", Key("tune", 2, "dots")),
                curve(log, "test", "accuracy", Key("test", 3, "dots")),
            ],
            _test(facts, "accuracy"),
            caption="The band is one standard deviation over mini-batches; the diamond is the final test value."
            if facts.measure("test", "accuracy")
            else "The band is one standard deviation over mini-batches.",
            in_percent=True,
        ),
        chart(
            f"{name}-probability",
            "What the discriminator believes",
            "probability of being real",
            [
                curve(log, "train", "real", Key("real images", 1), band=True),
                curve(log, "train", "fake", Key("made images", 2), band=True),
            ],
            caption="Mean and one standard deviation over mini-batches; on the dashed line it cannot tell.",
            share=True,
            reference=0.5,
        ),
        chart(
            f"{name}-distance",
            "Distance on the way",
            "distance (lower is better)",
            [curve(log, "distance", "fast_distance", Key("fast distance", 2, "dots"))],
            caption="A quick stand-in for the final scores, on few images.",
        ),
        chart(
            f"{name}-rate",
            "Learning rate",
            "learning rate",
            [curve(log, "train", "learning_rate", Key("the learning rate", 3))],
            from_zero=True,
            height=1.9,
        ),
    ]
    return [one for one in found if one is not None]


def _test(facts: Facts, name: str) -> list[Mark]:
    measure = facts.measure("test", name)
    if measure is None or not facts.log:
        return []
    bounds = (measure.interval[0], measure.interval[1]) if measure.interval else None
    return [Mark(Key("final test value", 3, "diamond"), facts.steps, measure.value, bounds)]
