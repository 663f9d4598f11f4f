"""What verbs have in common: the options of all, and those of verbs that sample."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, Protocol

from tyro.conf import FlagCreatePairsOff, Positional

from shoestring.cli.display import Display
from shoestring.core.errors import require_at_least

RunOrName = Positional[str]


class Verb(Protocol):
    """A parsed command."""

    def do(self, display: Display) -> int | None:
        """Does it; gives an exit status when that is not 0."""
        ...


@dataclass(frozen=True, kw_only=True)
class Options:
    """What every verb takes."""

    json: FlagCreatePairsOff[bool] = False
    """Print one JSON object on standard output, and nothing else there."""
    data_folder: Path | None = None
    """Where data lies and downloads land. By default the variable SHOESTRING_DATA, else the user's cache."""
    device: str | None = None
    """cpu, cuda, cuda:1, mps. By default a GPU when there is one."""


@dataclass(frozen=True, kw_only=True)
class Sampling(Options):
    """How a generator is to make images; what is not given is as the recipe says."""

    steps: int | None = None
    """Steps from noise to image, where the recipe samples in steps."""
    solver: Literal["euler", "heun", "multistep"] | None = None
    """How steps are taken: one net call each, or two with heun."""
    span: tuple[float, float] | None = None
    """Last and first noise over signal of the steps, such as 0.02 80."""
    guidance: float | None = None
    """Weight of the guidance; 1 is none."""
    guide: Literal["classless", "weak"] | None = None
    """What guidance moves away from: the net without the class, or with fewer blocks."""
    interval: tuple[float, float] | None = None
    """Noise over signal, from and up to which to guide."""
    candidates: int | None = None
    """Of a GAN: images made for each one given; its discriminator chooses."""
    temperature: float | None = None
    """Of that choice, and of Langevin steps; near 0 only what the discriminator likes best is left."""
    latent_steps: int | None = None
    """Of a GAN: Langevin steps of the latent vector towards images that its discriminator likes."""
    latent_step_size: float | None = None
    """Of these steps: variance of their noise."""
    refinements: int | None = None
    """Of a GAN: steps by which its discriminator then improves each image."""
    step_size: float | None = None
    """Of these refinements."""
    smoothing: float | None = None
    """Of these refinements: how much less they change fine detail; 0 follows the discriminator in all of it."""

    def sampling(self) -> dict[str, Any]:
        """The options given, by their names in a recipe's task.sampling.

        Raises:
            ShoestringError: There are no steps, or no candidates.
        """
        require_at_least(1, steps=self.steps, candidates=self.candidates)
        of_all = {field.name for field in fields(Options)}
        names = [field.name for field in fields(Sampling) if field.name not in of_all]
        return {name: value for name in names if (value := getattr(self, name)) is not None}
