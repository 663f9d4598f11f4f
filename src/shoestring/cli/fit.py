"""The verb that goes from a folder of images to a trained model within limits."""

import re
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

from tyro.conf import FlagCreatePairsOff, Positional, arg

from shoestring.cli.display import Display
from shoestring.cli.export import show_export
from shoestring.cli.options import Options
from shoestring.cli.verbs import trained
from shoestring.core.errors import RecipeError
from shoestring.exporting.form import Form

UNITS = {"": 1, "k": 1e3, "M": 1e6, "G": 1e9, "kB": 1e3, "MB": 1e6, "KiB": 2**10, "MiB": 2**20, "B": 1}


@dataclass(frozen=True, kw_only=True)
class Fit(Options):
    """Choose and train a model for your own images, within limits: image size, net, batch, steps for the time there is.

    The recipe is kept beside the run as a TOML file that `train` takes, with the reason of each choice. The same
    command again goes on.
    """

    target: Annotated[Positional[str], arg(metavar="FOLDER")]
    """CLASS/*, or train/CLASS/* with test/CLASS/* or val/CLASS/*; or a CSV of files and labels."""
    parameters: str = "100_000"
    """At most, such as 50_000 or 50k."""
    multiply_adds: str | None = None
    """Of the model in 8-bit integers for one image, at most, such as 10M."""
    memory: str | None = None
    """Peak of its int8 activations in bytes, without the image, at most: 64kB is 64,000, 64KiB 65,536."""
    flash: str | None = None
    """Of its int8 weights in bytes, at most."""
    minutes: float = 10.0
    """Of training on this machine."""
    size: int | None = None
    """Height and width of images. By default up to 64, by the images' own sizes and the memory."""
    family: Literal["basic", "separable"] | None = None
    """Of nets. By default basic, or separable where limits leave basic less than half of the parameters."""
    from_: Annotated[str | None, arg(name="from")] = None
    """Start from the weights of a run, or of a recipe whose weights are shipped: their net, other data used."""
    out: Path | None = None
    """The run's folder. By default runs/NAME, where NAME is that of the folder of images."""
    skip_bad: FlagCreatePairsOff[bool] = False
    """Go on without files that cannot be read."""
    to: Form | None = None
    """Export the trained model, too, as `shoestring export RUN --to web` does."""
    no_train: FlagCreatePairsOff[bool] = False
    """Only choose, and write the recipe."""

    def do(self, display: Display) -> int | None:
        """Prints the choices, then trains as `train` does."""
        from shoestring import api
        from shoestring.fitting.prepare import recipe_file

        run = api.fit(
            *(self.target, self.out, self.data_folder, self.device, display),
            skip_bad=self.skip_bad,
            train_it=False,
            parameters=amount(self.parameters, "--parameters"),
            multiply_adds=amount(self.multiply_adds, "--multiply-adds"),
            activation_bytes=amount(self.memory, "--memory"),
            weight_bytes=amount(self.flash, "--flash"),
            minutes=self.minutes,
            size=self.size,
            family=self.family,
            pretrained=self.from_,
        )
        file = recipe_file(run).resolve()
        reasons = run.fitted()["reasons"]
        for what, why in reasons.items():
            display.line(f"{what:<12} {why}")
        display.line(f"{'recipe':<12} {file}")
        result: dict[str, Any] = {"recipe": str(file), "run": str(run.folder), "reasons": reasons}
        if not self.no_train:
            train = partial(api.train, file, run.folder, self.data_folder, self.device, display)
            result |= trained(display, train)
            if self.to and result["finished"]:
                folder = api.export(run.folder, self.to, None, self.data_folder, display)
                result["export"] = show_export(display, folder)
            elif result["finished"]:
                display.line(f"next    shoestring demo {run.folder}    or    shoestring export {run.folder} --to web")
        status = result.pop("status", None)
        display.result(result)
        return status


def amount(text: str | None, option: str) -> int | None:
    """A whole number that people write, such as 100_000, 10M or 64kB; None for None.

    Raises:
        RecipeError: It is none, or not above 0.
    """
    if text is None:
        return None
    whole = r"\d{1,3}(?:,\d{3})+|\d+(?:_\d+)*"  # a comma stands for thousands, never for a fraction
    found = re.fullmatch(rf"((?:{whole})?(?:\.\d+)?) ?([A-Za-z]*)", text.strip())
    if not found or not found[1] or found[2] not in UNITS:
        raise RecipeError(f"{option} {text} is no amount; write such as 100_000, 10M, 64kB or 64KiB")
    number = int(float(re.sub("[_,]", "", found[1])) * UNITS[found[2]])
    if number < 1:
        raise RecipeError(f"{option} {text} must be above 0")
    return number
