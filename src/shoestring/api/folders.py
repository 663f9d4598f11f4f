"""Folders of images, before anything is trained."""

from pathlib import Path
from typing import Any

from shoestring.core.errors import RecipeError
from shoestring.core.progress import Progress
from shoestring.data.image_folder import ImageFolder
from shoestring.data.inspection import FolderReport
from shoestring.data.inspection import inspect as inspect_folder
from shoestring.data.paths import data_folder as resolve_data_folder
from shoestring.live.usual import usual_progress
from shoestring.recipes.lookup import recipe


def inspect(
    folder: Path | str, data_folder: Path | None = None, progress: Progress | None = None, **fields: Any
) -> FolderReport:
    """What a folder of images holds and what looks wrong in it, before anything is trained.

    Args:
        folder: The folder, a CSV of files and labels, or a recipe file whose data are such.
        data_folder: Where a folder is looked for that is not here; by default SHOESTRING_DATA or the user's cache.
        progress: Reports the files read.
        fields: How it is to be read, as of `data` in a recipe, such as size=64 or tune=0.

    Raises:
        DataError: There is no such folder, or it has no classes, or one without images.
        RecipeError: There is no such field, or the recipe's data are no folder.
    """
    place = Path(folder).expanduser()
    if place.suffix in (".toml", ".json"):
        data = recipe(place).data
        if not isinstance(data, ImageFolder):
            raise RecipeError(f"{folder} has data of kind {data.kind!r}; only folders of images can be inspected")
    else:
        data = ImageFolder(path=place.absolute() if place.exists() else place)
    return inspect_folder(data.replace(**fields), resolve_data_folder(data_folder), progress or usual_progress())
