"""Which folder is meant where a run is named, told without torch."""

from pathlib import Path

from shoestring import zoo
from shoestring.core.did_you_mean import did_you_mean
from shoestring.core.errors import RunError
from shoestring.zoo import index

RECIPE = "recipe.json"
"""The file that makes a folder a run."""


def run_folder(what: Path | str) -> Path:
    """The folder of a run, or of a recipe's shipped one.

    Raises:
        RunError: There is none; says what there is.
    """
    for folder in (Path(what), zoo.FOLDER / str(what)):
        if _is_run(folder):
            return folder
    if str(what) in index.names():
        raise RunError(f"no trained weights of {what} are shipped; train it: shoestring train {what}")
    if Path(what).is_dir():
        raise RunError(f"{what} is a folder but holds no run, since it has no {RECIPE}; a run is what `train` wrote")
    known = [folder.name for folder in zoo.FOLDER.iterdir() if _is_run(folder)]
    if Path(what).parent.is_dir():
        known += [str(folder) for folder in Path(what).parent.iterdir() if _is_run(folder)]
    raise RunError(f"{did_you_mean('run or shipped model', str(what), known)} A run is the folder that `train` wrote.")


def _is_run(folder: Path) -> bool:
    return (folder / RECIPE).is_file()
