"""The verb that evaluates: a classifier, a generator, or any generated images against real ones."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

from tyro.conf import Positional, Suppress, arg

from shoestring.cli.display import Display
from shoestring.cli.options import Options
from shoestring.core.errors import ShoestringError
from shoestring.report.format import interval, number


@dataclass(frozen=True, kw_only=True)
class Features(Options):
    """What generated images are compared by."""

    count: int | None = None
    """Generated images, and as many real ones. By default 10,000, or all there are; with --generated all of
    them."""
    inception: Path | None = None
    """The FID Inception, .pth or .safetensors; none does without. By default the official file, downloaded once."""
    dimensions: Literal[64, 192, 768, 2048] | None = None
    """Inception's features per image. By default 2048, or 768 if the file ends there."""
    resizing: Literal["clean", "legacy"] = "clean"
    """How images are brought to Inception's size: bicubic as clean-fid does it, or bilinear as older tools do."""

    def features(self) -> dict[str, Any]:
        """These options by name."""
        return {
            "count": self.count,
            "inception": self.inception,
            "dimensions": self.dimensions,
            "resizing": self.resizing,
        }


@dataclass(frozen=True, kw_only=True)
class Evaluate(Features):
    """Evaluate a run, or shipped weights, on a split; or any generated images against real ones.

    `shoestring evaluate RUN_OR_NAME --help` lists what that run takes. `shoestring evaluate --generated FOLDER --real
    FOLDER` needs no run: each is a folder of images or of folders of them, a .npy or .npz file of uint8 images, or a
    data set, recipe or recipe file with its split: cifar100:test.
    """

    target: Annotated[Positional[str | None], arg(metavar="RUN_OR_NAME")] = None
    """A run's folder, or the name of a recipe whose weights are shipped; its options come after it."""
    generated: str | None = None
    """Images to evaluate, in place of a run."""
    real: str | None = None
    """Real images to compare them with."""
    real_baseline: str | None = None
    """Further real images, for the baseline of real against real images. By default train, where --real is another
    split."""

    def do(self, display: Display) -> None:
        """Prints the metrics of the given images."""
        from shoestring import api

        if self.generated is None and self.real is None:
            raise ShoestringError("name what to evaluate: shoestring evaluate RUN_OR_NAME, or --generated and --real")
        if self.generated is None or self.real is None or self.target is not None:
            raise ShoestringError("give a run or name, or else both --generated and --real")
        scores = api.compare_images(
            self.generated, self.real, self.real_baseline, self.data_folder, self.device, display, **self.features()
        )
        metrics = {name: score.to_json() for name, score in scores.items()}
        display.result({"generated": self.generated, "real": self.real} | metrics)
        show_metrics(display, metrics, self.real)


@dataclass(frozen=True, kw_only=True)
class EvaluateClassifier(Options):
    """Evaluate a classifier on all images of a split."""

    target: Suppress[str]
    split: Literal["tune", "test"] = "test"
    """tune: held out of train, for development. test: for the final figure."""
    ema_decay: float | None = None
    """Decay of EMA weights that the run kept. By default the final weights."""
    views: int | None = None
    """Views of each image whose answers are averaged (test-time augmentation). By default as the recipe says."""

    def do(self, display: Display) -> None:
        """Prints the metrics."""
        from shoestring import api

        found = api.evaluate(
            self.target,
            self.split,
            self.data_folder,
            self.device,
            display,
            ema_decay=self.ema_decay,
            views=self.views,
        )
        metrics = {name: metric.to_json() for name, metric in found.items()}
        result = {"target": self.target, "split": self.split, "ema_decay": self.ema_decay, "views": self.views}
        display.result(result | metrics)
        show_metrics(display, metrics, self.split)


@dataclass(frozen=True, kw_only=True)
class EvaluateGenerator(Features):
    """Evaluate a generator's samples against the real images of a split."""

    target: Suppress[str]
    sampling: Any
    split: Literal["train", "tune", "test"] = "test"
    """train or tune: for development. test: for the final figure."""
    seeds: int = 1
    """Samplings to average over."""
    class_name: Annotated[Literal["none"] | None, arg(name="class")] = None
    """none: a conditional generator is given no class, or a random one if it was always given one. By default every
    class in turn."""
    ema_decay: float | None = None
    """Decay of EMA weights that the run kept. By default the final weights."""

    def do(self, display: Display) -> None:
        """Prints the metrics."""
        from shoestring import api

        found = api.evaluate(
            self.target,
            self.split,
            self.data_folder,
            self.device,
            display,
            ema_decay=self.ema_decay,
            seeds=self.seeds,
            class_name=self.class_name,
            sampling=self.sampling.model_dump(),
            **self.features(),
        )
        metrics = {name: metric.to_json() for name, metric in found.items()}
        result = {"target": self.target, "split": self.split, "seeds": self.seeds, "class": self.class_name}
        result |= {"ema_decay": self.ema_decay, "sampling": self.sampling.model_dump(mode="json")}
        display.result(result | metrics)
        show_metrics(display, metrics, self.split)


def show_metrics(display: Display, metrics: dict[str, Any], split: str) -> None:
    """A table of the metrics that are single numbers, those of generated images with baseline and gap."""
    rows: list[list[str]] = []
    single = scalars(metrics)
    generated = any(metric.get("real_baseline") is not None for metric in single.values())
    beside = ("real_baseline", "gap_to_real") if generated else ()
    for name, metric in single.items():
        numbers = [number(metric[key]) if metric.get(key) is not None else "" for key in ("value", *beside)]
        bounds = interval(metric["interval"]) if metric.get("interval") else ""
        rows.append([name.replace("_", " "), *numbers, bounds, f"{metric['n']:,}"])
    columns = ("metric", "value", *beside, "95% interval", "n")
    display.table(f"Measured on {split}", columns, rows, numbers=("value", *beside, "n"))
    if generated:
        display.line("real baseline: what as many other real images get; gap to real: value less baseline.")
    for name, metric in single.items():
        if metric.get("caution"):
            display.line(f"{name.replace('_', ' ')}: {metric['caution']}.")


def scalars(metrics: dict[str, Any]) -> dict[str, Any]:
    """The metrics that are single numbers."""
    return {name: metric for name, metric in metrics.items() if isinstance(metric["value"], int | float)}
