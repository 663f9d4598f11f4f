"""What a tracker is, and which ones a user names."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol, cast

from PIL.Image import Image

from shoestring.core.did_you_mean import did_you_mean
from shoestring.core.errors import RecipeError
from shoestring.core.registry import failure, find


class Tracker(Protocol):
    """Takes what a training records. Made with the run's folder as its one argument, before anything is trained."""

    def start(self, name: str, recipe: dict[str, Any], step: int) -> None:
        """A training begins, or goes on.

        Args:
            name: What the run is called.
            recipe: All fields of the recipe by dotted names; plain JSON values.
            step: How many steps were taken before. What was recorded of later ones will be recorded again.
        """
        ...

    def scalars(self, values: dict[str, float], step: int) -> None:
        """Values by name, such as "train/classifier/loss", after so many steps."""
        ...

    def image(self, name: str, picture: Image, step: int) -> None:
        """A picture, such as a sheet of samples."""
        ...

    def finish(self, metrics: dict[str, float]) -> None:
        """The training ended or was stopped; the final metrics by name, such as "test/accuracy", if there are any."""
        ...


TrackerMaker = Callable[[Path], Tracker]
"""A class of trackers, or a function that gives one."""


def open_trackers(asked: Sequence[str | TrackerMaker] | str | TrackerMaker, folder: Path) -> tuple[Tracker, ...]:
    """The trackers of a training.

    Args:
        asked: "tensorboard"; one's own class as file.py:Name or module:Name; or the class itself; or several.
        folder: The run's folder.

    Raises:
        RecipeError: There is no such tracker, or it cannot be made.
    """
    several = [asked] if isinstance(asked, str) or callable(asked) else asked
    return tuple(_made(one, folder) for one in several)


def _made(asked: str | TrackerMaker, folder: Path) -> Tracker:
    if not isinstance(asked, str):
        return asked(folder)
    if asked == "tensorboard":
        from shoestring.tracking.tensorboard import TensorBoard

        return TensorBoard(folder)
    if ":" not in asked:
        raise RecipeError(f"{did_you_mean('tracker', asked, ['tensorboard'])} One of your own is file.py:Name.")
    make = cast(TrackerMaker, find("tracker", asked).factory)
    try:
        return make(folder)
    except Exception as error:
        raise RecipeError(f"the tracker {asked} fails: {failure(error)}") from error
