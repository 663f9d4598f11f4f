"""The recipe of a folder of images, chosen and written down; or the one that was before."""

from dataclasses import asdict
from pathlib import Path

from shoestring.core.errors import DataError, RunError
from shoestring.core.folder_name import folder_name
from shoestring.core.progress import Progress
from shoestring.core.run import Run
from shoestring.data.image_folder import ImageFolder
from shoestring.data.inspection import inspect
from shoestring.fitting.choose import Wanted, choose
from shoestring.recipes.recipe_file import write_recipe


def recipe_file(run: Run) -> Path:
    """The recipe that was chosen for a run: a file beside its folder."""
    return run.folder.parent / f"{run.folder.name}.toml"


def prepare(
    folder: Path | str,
    out: Path | str | None,
    wanted: Wanted,
    skip_bad: bool,
    data_folder: Path,
    device: str | None,
    progress: Progress,
) -> tuple[Run, Path]:
    """The run to train and the file of its recipe, which is written unless it is there.

    Args:
        folder: Images in a folder for each class, or a CSV of files and labels.
        out: The run's folder; by default runs/NAME, where NAME is that of the images.
        wanted: The limits.
        skip_bad: Go on without image files that cannot be read.
        data_folder: Where a folder is looked for that is not here.
        device: Where it will be trained.
        progress: Reports everything that takes time.

    Raises:
        RunError: The run is of a fit that asked for something else, or no run can have its name.
        ShoestringError: As `choose`; or the folder has no classes, hardly an image to train on, or bad files.
    """
    place = Path(folder).expanduser()
    data = ImageFolder(path=place.absolute() if place.exists() else place, skip_bad=skip_bad).named(data_folder)
    run = Run(Path(out) if out else Path("runs") / (data.path.stem if data.path.is_file() else data.path.name))
    try:
        folder_name(run.folder.name)
    except ValueError as error:
        raise RunError(f"{error}; name another with --out") from error
    file, asked = recipe_file(run), {"images": str(data.path), "skip_bad": skip_bad, **asdict(wanted)}
    if run.exists() or file.exists():
        if run.fitted().get("asked") != asked:
            there = run.folder if run.exists() else file
            raise RunError(f"{there} is of a fit that asked for something else; name another folder with --out")
        progress.say(f"goes on with {file}")
        return run, file
    seen = inspect(data, data_folder, progress, strict=True)
    for split, counts in seen.counts.items():
        if (images := sum(counts)) < (2 if split == "train" else 1):
            raise DataError(f"{data.path}: of {seen.total} images {images} are in {split}, too few; add some")
    found = choose(run.folder.name, data, seen, wanted, device, progress)
    run.write_json("fit.json", {"asked": asked, "reasons": dict(found.reasons)})
    reasons = [f"{what}: {why}" for what, why in found.reasons.items()]
    again = f"shoestring train {file} --run {run.folder}"
    write_recipe(found.recipe, file, [f"Chosen by shoestring fit for {data.path}.", "", *reasons, "", again])
    return run, file
