"""The verbs that make images, or decide how a run makes them; torch is imported when one runs."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import Suppress, arg

from shoestring.cli.display import Display
from shoestring.cli.options import Options, RunOrName
from shoestring.core.errors import ShoestringError, require_at_least


@dataclass(frozen=True, kw_only=True)
class OfRun(Options):
    """What verbs of a run have in common."""

    target: Annotated[RunOrName, arg(metavar="RUN_OR_NAME")]
    """A run's folder, or the name of a recipe whose weights are shipped; its options come after it."""
    sampling: Suppress[Any] = None

    def chosen(self) -> dict[str, Any]:
        """All options of the sampler, by name; none where the run has no sampler."""
        return self.sampling.model_dump() if self.sampling is not None else {}


@dataclass(frozen=True, kw_only=True)
class Sample(OfRun):
    """Make images with a generator, as one PNG grid. `shoestring sample NAME --help` lists its sampler's options."""

    count: int = 64
    """How many images."""
    seed: int = 0
    """Decides which."""
    columns: int = 8
    """Images in a row."""
    class_name: Annotated[str | None, arg(name="class")] = None
    """The class of all images, such as rose. For no class in particular: none, or '' where a class is called none. By
    default every class in turn."""
    ema_decay: float | None = None
    """Decay of EMA weights that the run kept. By default the final weights."""
    out: Path = Path("samples.png")
    """The PNG file to write."""

    def do(self, display: Display) -> None:
        """Writes the grid."""
        from shoestring import api
        from shoestring.core.image_grid import grid

        require_png(self.out)
        require_at_least(1, count=self.count, columns=self.columns)
        images = api.sample(
            self.target,
            self.count,
            self.seed,
            self.device,
            display,
            self.class_name,
            self.ema_decay,
            sampling=self.chosen(),
        )
        result = {"count": self.count, "seed": self.seed, "class": self.class_name, "sampling": self.chosen()}
        _write(display, self.out, grid(images, self.columns), result)


@dataclass(frozen=True, kw_only=True)
class Interpolate(OfRun):
    """Walk between pairs of a generator's latent vectors, as one PNG grid: a row for each pair."""

    pairs: int = 8
    """Rows."""
    steps: int = 8
    """Images in a row, both ends included."""
    seed: int = 0
    """Decides the pairs."""
    class_name: Annotated[str | None, arg(name="class")] = None
    """The class to walk from, such as rose. By default row i shows class i."""
    to_class: str | None = None
    """The class to walk to. By default the one walked from."""
    out: Path = Path("interpolations.png")
    """The PNG file to write."""

    def do(self, display: Display) -> None:
        """Writes the grid."""
        from shoestring import api
        from shoestring.core.image_grid import grid

        require_png(self.out)
        paths = api.interpolate(
            self.target,
            self.pairs,
            self.steps,
            self.seed,
            self.device,
            display,
            self.class_name,
            self.to_class,
            sampling=self.chosen(),
        )
        result = {"pairs": self.pairs, "steps": self.steps, "from": self.class_name, "to": self.to_class}
        _write(display, self.out, grid(paths.flatten(0, 1), self.steps), result)


@dataclass(frozen=True, kw_only=True)
class Promote(OfRun):
    """Make EMA weights, options of sampling or a number of views that you chose by tune or train a finished run's own.

    Metrics, pictures and report so far go to its folder "archive"; pictures and report are made anew. Nothing is
    trained.
    """

    ema_decay: float | None = None
    """Decay of the EMA weights that become the final ones. By default the weights stay."""
    views: int | None = None
    """Views of an image by which a classifier answers. By default their number stays."""

    def do(self, display: Display) -> None:
        """Changes the run."""
        from shoestring import api

        run = api.promote(self.target, self.ema_decay, self.device, display, self.chosen(), self.views)
        result = {"run": str(run.folder.resolve()), "ema_decay": self.ema_decay, "views": self.views}
        display.result(result | ({"sampling": self.chosen()} if self.chosen() else {}))
        display.line(f"report  {run.report_file.resolve()}")
        display.line(f"evaluate it: shoestring evaluate {self.target}")


def require_png(path: Path) -> None:
    """Refuses an output that is not named like a PNG, before any work is done."""
    if path.suffix.lower() != ".png":
        raise ShoestringError(f"--out {path}: pictures are written as PNG; end the name in .png")


def _write(display: Display, path: Path, content: bytes, result: dict[str, Any]) -> None:
    from shoestring.core.atomic_files import write_atomic

    write_atomic(path, content)
    display.result({"file": str(path.resolve())} | result)
    display.line(f"picture  {path.resolve()}")
