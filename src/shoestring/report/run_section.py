"""One run's part of a report: its charts, tables and pictures, ready for the template."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

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
from shoestring.report.exports import ExportRow, export_rows
from shoestring.report.format import percent
from shoestring.report.gallery import gallery, strip
from shoestring.report.headline import Headline, headline, limitations, notices
from shoestring.report.metric_table import MetricTable, metric_table
from shoestring.report.own_images import OwnImages, own_images
from shoestring.report.run_data import SPLITS, RunData
from shoestring.report.sample_charts import generated_charts
from shoestring.report.svg import Key, Picture
from shoestring.report.tables import Field, LayerRow, environment, layer_rows, layer_sums, recipe_fields, sessions


@dataclass(frozen=True)
class RunSection:
    """All that the template shows of one run; `split` is the one that classes are shown on."""

    name: str
    run_data: RunData
    headline: Headline
    notices: list[str]
    own_images: OwnImages | None
    reasons: list[tuple[str, str]]
    charts: list[Picture]
    generated: list[Picture]
    scores: MetricTable
    split: str
    confusion: Picture | None
    confusions: list[Confusion]
    worst: list[ClassRow]
    best: list[ClassRow]
    reliability: Picture | None
    pictures: list[Picture]
    strip: list[Picture]
    limitations: list[str]
    exports: list[ExportRow]
    layers: list[LayerRow]
    sums: list[LayerRow]
    recipe: dict[str, list[Field]]
    environment: list[tuple[str, str]]
    sessions: list[tuple[str, str, str, str]]


def run_section(run_data: RunData, name: str) -> RunSection:
    """A run's part of the report.

    Args:
        run_data: What the run's folder tells.
        name: Unique on the page; starts all its ids.
    """
    split = next((one for one in SPLITS if run_data.metric(one, "confusion")), SPLITS[0])
    worst, best = worst_and_best(class_rows(run_data, split))
    return RunSection(
        name=name,
        run_data=run_data,
        headline=headline(run_data),
        notices=notices(run_data),
        own_images=own_images(run_data),
        reasons=list(run_data.fit.reasons.items()) if run_data.fit else [],
        charts=charts(run_data, name),
        generated=generated_charts(run_data, name),
        scores=metric_table(run_data),
        split=split,
        confusion=confusion_map(run_data, split, f"{name}-confusion"),
        confusions=confusions(run_data, split),
        worst=worst,
        best=best,
        reliability=reliability(run_data, split, f"{name}-reliability"),
        pictures=gallery(run_data),
        strip=strip(run_data),
        limitations=limitations(run_data),
        exports=export_rows(run_data),
        layers=layer_rows(run_data),
        sums=layer_sums(run_data),
        recipe=recipe_fields(run_data),
        environment=environment(run_data),
        sessions=sessions(run_data),
    )


def charts(run_data: RunData, name: str) -> list[Picture]:
    """The training curves: losses, accuracies or the discriminator's probabilities, and the learning rate."""
    log = run_data.log
    means = [mean for record in log if record.get("kind") == "train" for mean in record.get("mean", {})]
    losses = [mean for mean in dict.fromkeys(means) if mean.endswith("/loss")]
    only = len(losses) == 1
    loss_curves = [
        curve(log, "train", loss, Key("train" if only else loss.split("/")[0], index + 1), band=only)
        for index, loss in enumerate(losses)
    ]
    held_out = curve(log, "tune", "loss", Key("tune", 2 if only else 3, "dots"))
    spread = "The band is one standard deviation over mini-batches." if only else ""
    found = [
        chart(
            f"{name}-loss",
            "Loss",
            run_data.loss_label,
            [*loss_curves, held_out],
            _test(run_data, "loss"),
            caption=spread,
        ),
        chart(
            f"{name}-accuracy",
            "Accuracy",
            "accuracy (%)",
            [
                curve(log, "train", "accuracy", Key("train", 1), band=True),
                curve(log, "tune", "accuracy", Key("tune", 2, "dots")),
            ],
            _test(run_data, "accuracy"),
            caption="The band is one standard deviation over mini-batches; the diamond is the final test value."
            if run_data.metric("test", "accuracy")
            else "The band is one standard deviation over mini-batches.",
            in_percent=True,
        ),
        chart(
            f"{name}-probability",
            "What the discriminator believes",
            "probability of being real",
            [
                curve(log, "train", "real", Key("real images", 1), band=True),
                curve(log, "train", "fake", Key("fake images", 2), band=True),
            ],
            caption="Mean and one standard deviation over mini-batches; on the dashed line it cannot tell.",
            fraction=True,
            reference=0.5,
        ),
        chart(
            f"{name}-logits",
            "Learning by heart",
            "mean logit of the discriminator",
            [
                curve(log, "logits", "train", Key("real, of train", 1, "dots")),
                curve(log, "logits", "tune", Key("real, held out", 3, "dots")),
                curve(log, "logits", "generated", Key("made", 2, "dots")),
            ],
            caption=_by_heart(log),
        ),
        chart(
            f"{name}-distance",
            "Distance on the way",
            "distance (lower is better)",
            [curve(log, "distance", "cifar_resnet_fd", Key("CIFAR-ResNet FD", 2, "dots"))],
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


def _by_heart(log: Sequence[dict[str, Any]]) -> str:
    """What the logits of held-out images say at the end."""
    last: dict[str, float] = {}
    for record in log:
        last = record["mean"] if record.get("kind") == "logits" else last
    if "tune" not in last:
        return "Nothing was held out, so this does not show whether images of train are learnt by heart."
    away, whole = last["train"] - last["tune"], last["train"] - last["generated"]
    said = "Images of train are learnt by heart where held-out ones leave them for the made ones"
    return f"{said}; at the end they have gone {percent(away / whole)} of the way." if whole > 0 else f"{said}."


def _test(run_data: RunData, name: str) -> list[Mark]:
    metric = run_data.metric("test", name)
    if metric is None or not run_data.log:
        return []
    bounds = (metric.interval[0], metric.interval[1]) if metric.interval else None
    return [Mark(Key("final test value", 3, "diamond"), run_data.steps, metric.value, bounds)]
