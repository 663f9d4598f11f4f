"""The verbs that make images; torch is imported when one runs."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import arg

from shoestring.cli.display import Display
from shoestring.cli.options import Options, RunOrName, Sampling
from shoestring.core.errors import ShoestringError, require_at_least


@dataclass(frozen=True, kw_only=True)
class Sample(Sampling):
    """Make images with a generator, as one PNG grid."""

    target: Annotated[RunOrName, arg(metavar="RUN_OR_NAME")]
    """A run's folder, or the name of a recipe whose weights are shipped."""
    count: int = 64
    """How many images."""
    seed: int = 0
    """Decides which."""
    columns: int = 8
    """Images in a row."""
    class_name: Annotated[str | None, arg(name="class")] = None
    """The class of all images, such as rose. For no class in particular: none, or '' where a class is called none. By
    default every class in turn."""
    average: float | None = None
    """Decay of a running mean of the weights that the run kept. By default the final weights."""
    out: Path = Path("samples.png")
    """The PNG file to write."""

    def do(self, display: Display) -> None:
        """Writes the grid."""
        from shoestring import api
        from shoestring.core.image_grid import grid

        require_png(self.out)
        require_at_least(1, count=self.count, columns=self.columns)
        options = self.sampling()
        images = api.sample(
            self.target, self.count, self.seed, self.device, display, self.class_name, self.average, **options
        )
        facts = {"count": self.count, "seed": self.seed, "class": self.class_name} | options
        _write(display, self.out, grid(images, self.columns), facts)


@dataclass(frozen=True, kw_only=True)
class Interpolate(Options):
    """Walk between pairs of a generator's latent vectors, as one PNG grid: a row for each pair."""

    target: Annotated[RunOrName, arg(metavar="RUN_OR_NAME")]
    """A run's folder, or the name of a recipe whose weights are shipped."""
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
    guidance: float | None = None
    """Weight of the guidance; 1 is none. By default the recipe's."""
    out: Path = Path("interpolations.png")
    """The PNG file to write."""

    def do(self, display: Display) -> None:
        """Writes the grid."""
        from shoestring import api
        from shoestring.core.image_grid import grid

        require_png(self.out)
        require_at_least(1, pairs=self.pairs)
        require_at_least(2, steps=self.steps)
        model = api.load(self.target, self.device, progress=display).sampling(guidance=self.guidance)
        last = self.class_name if self.to_class is None else self.to_class
        labels = model.labels(self.pairs, self.class_name), model.labels(self.pairs, last)
        with model.machine.running():
            paths = model.interpolate(self.pairs, self.steps, self.seed, display, labels)
        facts = {"pairs": self.pairs, "steps": self.steps, "from": self.class_name, "to": self.to_class}
        _write(display, self.out, grid(paths.flatten(0, 1), self.steps), facts)


def require_png(path: Path) -> None:
    """Refuses an output that is not named like a PNG, before any work is done."""
    if path.suffix.lower() != ".png":
        raise ShoestringError(f"--out {path}: pictures are written as PNG; end the name in .png")


def _write(display: Display, path: Path, content: bytes, facts: dict[str, Any]) -> None:
    from shoestring.core.run import write_atomic

    write_atomic(path, content)
    display.result({"file": str(path.resolve())} | facts)
    display.line(f"picture  {path.resolve()}")
