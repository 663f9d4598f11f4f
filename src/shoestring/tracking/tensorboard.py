"""The tracker that writes for TensorBoard."""

from pathlib import Path
from typing import Any

import numpy as np
from PIL.Image import Image

from shoestring.core.errors import RecipeError


class TensorBoard:
    """Writes into the folder "tensorboard" of a run: `tensorboard --logdir runs` shows all of them."""

    def __init__(self, folder: Path) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError as error:
            raise RecipeError("--log-to tensorboard needs a package: pip install 'shoestring[tensorboard]'") from error
        self._open: Any = SummaryWriter
        self.folder = folder / "tensorboard"
        self.writer: Any = None
        self.recipe: dict[str, Any] = {}

    def start(self, name: str, recipe: dict[str, Any], step: int) -> None:
        """Begins; what a viewer has of later steps is hidden."""
        self.recipe = recipe
        self.writer = self._open(str(self.folder), purge_step=step + 1 if step else None)

    def scalars(self, values: dict[str, float], step: int) -> None:
        """One point of each curve."""
        for name, value in values.items():
            self.writer.add_scalar(name, value, step)

    def image(self, name: str, picture: Image, step: int) -> None:
        """A picture."""
        self.writer.add_image(name, np.asarray(picture.convert("RGB")), step, dataformats="HWC")

    def finish(self, metrics: dict[str, float]) -> None:
        """Writes the recipe and the final metrics to the tab of hyperparameters."""
        if self.writer is None:
            return
        plain = {name: v if isinstance(v, bool | int | float | str) else str(v) for name, v in self.recipe.items()}
        if metrics:
            self.writer.add_hparams(plain, metrics, run_name=".")
        self.writer.close()
        self.writer = None
