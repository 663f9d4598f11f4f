"""Samples against real images: the classes seen in them, and their spectrum."""

from shoestring.report.format import integer, is_number, number
from shoestring.report.plotting import MaxNLocator, NullFormatter, StrMethodFormatter
from shoestring.report.run_data import SPLITS, RunData
from shoestring.report.svg import SERIES, Key, Picture, canvas, svg

_FAKE, _REAL = Key("samples", 2), Key("real images", 1)


def generated_charts(run_data: RunData, name: str) -> list[Picture]:
    """The histogram of classes and the spectrum, of the first split on which they were measured.

    Args:
        run_data: What the run's folder tells.
        name: Unique on the page; starts all ids.
    """
    found = (histogram(run_data, f"{name}-histogram"), spectrum(run_data, f"{name}-spectrum"))
    return [one for one in found if one is not None]


def histogram(run_data: RunData, name: str) -> Picture | None:
    """How often samples are taken for each class, the most frequent first, beside real images; None if not measured."""
    metric = next((one for split in SPLITS if (one := run_data.metric(split, "class_histogram"))), None)
    if metric is None or not metric.value:
        return None
    fake = sorted((row["generated"] for row in metric.value), reverse=True)
    real = sorted((row["real"] for row in metric.value), reverse=True)
    with canvas(4.7, 2.9) as figure:
        axes = figure.add_subplot()
        for counts, key in ((fake, _FAKE), (real, _REAL)):
            axes.step(range(1, len(counts) + 1), counts, where="mid", color=SERIES[key.series - 1])
        axes.fill_between(
            range(1, len(fake) + 1), fake, step="mid", color=SERIES[_FAKE.series - 1], alpha=0.15, linewidth=0
        )
        axes.set_xlim(1, len(fake))
        axes.set_ylim(bottom=0)
        axes.set_xlabel("class, by how often it is seen")
        axes.set_ylabel("images")
        axes.yaxis.set_major_locator(MaxNLocator(6, integer=True))
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
        missing = sum(count == 0 for count in fake)
        said = f"Of {len(fake)} classes the most frequent has {fake[0]} samples, {missing} have none; real images: "
        content = svg(figure, name, f"{said}{real[0]} at most, {real[-1]} at least.")
    effective = run_data.value(metric.split, "effective_classes")
    real_baseline = (run_data.metric(metric.split, "effective_classes") or metric).rest.get("real_baseline")
    known = f" As many evenly used classes as {number(effective, 3)}" if effective is not None else ""
    known += (
        f"; real images {number(real_baseline, 3)}." if known and is_number(real_baseline) else "." if known else ""
    )
    caption = (
        f"The classes that our CIFAR-100 classifier sees in n = {integer(metric.n)} samples and in {metric.split} "
        f"images.{known} A steep line is mode collapse."
    )
    return Picture(content, "Classes of the samples", caption, legend=[_FAKE, _REAL])


def spectrum(run_data: RunData, name: str) -> Picture | None:
    """Energy by spatial frequency of samples and real images; None if not measured."""
    metric = next((one for split in SPLITS if (one := run_data.metric(split, "spectrum"))), None)
    if metric is None or not metric.value:
        return None
    places = [row["frequency"] for row in metric.value]
    with canvas(4.7, 2.9) as figure:
        axes = figure.add_subplot()
        for column, key in (("generated", _FAKE), ("real", _REAL)):
            axes.plot(places, [row[column] for row in metric.value], color=SERIES[key.series - 1])
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:.0e}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.set_xlabel("frequency (cycles per pixel)")
        axes.set_ylabel("energy")
        last = metric.value[-1]
        ratio = last["generated"] / last["real"] if last["real"] else None
        content = svg(
            figure, name, f"Spectrum; at the highest frequency samples have {number(ratio, 3)} times the energy."
        )
    caption = (
        f"Variance of luma by frequency, n = {integer(metric.n)} samples against {metric.split} images. Above "
        "the line of real images at the right: noise or checkerboards; below it: blur."
    )
    return Picture(content, "Spectrum", caption, legend=[_FAKE, _REAL])
