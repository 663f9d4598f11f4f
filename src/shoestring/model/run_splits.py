"""The splits of a run: recorded when it is trained, and the same ever after, or refused, or said to be others."""

from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from pydantic import TypeAdapter

from shoestring.core.errors import RunError
from shoestring.core.progress import Progress
from shoestring.core.run import Run
from shoestring.data.dataset import SPLITS, Images, Source, Split, holds_out
from shoestring.data.image_folder import ImageFolder
from shoestring.data.inspection import FolderReport, report
from shoestring.data.manifest import Manifest, changes, manifest
from shoestring.model.kept_images import read
from shoestring.recipes.recipe import Recipe

_FILE = "splits.json"
_MANIFESTS = TypeAdapter(dict[str, Manifest])


@dataclass(frozen=True)
class TrainingData:
    """What a run is trained on.

    Attributes:
        train: What is learnt from.
        tune: What is held out of train; None if nothing is.
        manifests: What the splits hold, by split; of one's own folder also test. Empty for runs that keep no record.
        inspection: What one's own folder is like, if it was looked at.
    """

    train: Images
    tune: Images | None
    manifests: dict[str, Manifest]
    inspection: FolderReport | None = None

    def record(self, run: Run) -> None:
        """Keeps the manifests, and what was seen of the folder, in the run for all that comes later."""
        if self.manifests:
            _write(run, self.manifests)
        if self.inspection:
            run.write_json("inspection.json", self.inspection.to_json())


def load_training_data(recipe: Recipe, run: Run, folder: Path, progress: Progress) -> TrainingData:
    """The splits to train on, which are those that the run began with; nothing is written.

    Args:
        recipe: What is trained.
        run: Where it goes on, if steps were taken.
        folder: The data folder.
        progress: Reports reading and, at a first start, what one's own folder is like.

    Raises:
        RunError: Steps were taken on other images; says what became of them.
        DataError: As `Source.load`; of one's own folder also of test, which is found now and not at the end.
    """
    begun = run.started()
    recorded = _recorded(run) if begun else {}
    data = _source(recipe, begun, recorded)
    unrecorded = begun and not recorded
    seen: FolderReport | None = None
    wanted: list[Split] = [
        split for split in SPLITS if {"tune": holds_out(data), "test": not unrecorded}.get(split, True)
    ]
    if isinstance(data, ImageFolder):
        whole = data.read(folder, progress, wanted)
        if not begun:
            seen = report(whole)
            for line in (seen.summary, *seen.warnings):
                progress.say(line)
        loaded = {split: whole.split(split, progress) for split in wanted}
        now = {split: manifest(images, True) for split, images in loaded.items()}
    else:
        found = {split: read(data, split, folder, progress) for split in wanted if split != "test"}
        loaded = {split: images for split, (images, _) in found.items()}
        now = {split: known for split, (_, known) in found.items()}
    train, tune = loaded["train"], loaded.get("tune")
    if unrecorded:
        return TrainingData(train, tune, {})
    before = {split: one for split, one in recorded.items() if split in now}
    if any(before[split].digest != now[split].digest for split in before if split != "test"):
        raise RunError(
            f"the images that {run.folder} began with have changed: {changes(before, now)}. Restore them to go on, or "
            "begin another run with what there is now: --run"
        )
    return TrainingData(train, tune, recorded or now, seen)


def load_split(recipe: Recipe, run: Run | None, split: Split, folder: Path, progress: Progress) -> Images:
    """A split to measure on; where it has changed since a run first had it, that is said, also in its `source`.

    Args:
        recipe: What was trained.
        run: The run that it was trained in, if it is known; a finished one keeps what the split holds.
        split: Which split.
        folder: The data folder.
        progress: Reports reading and changes.

    Raises:
        RunError: The split now has images that the run was trained on.
        DataError: As `Source.load`.
    """
    recorded = _recorded(run) if run else {}
    images = _source(recipe, run is not None, recorded).load(split, folder, progress)
    if run is None or not recorded:
        return images
    now = manifest(images, isinstance(recipe.data, ImageFolder))
    before = recorded.get(split, now)
    trained_on = now.pixels & recorded["train"].pixels - before.pixels
    if trained_on and split != "train":
        raise RunError(
            f"{run.folder} was trained on {len(trained_on):,} of the images that are now in {split}, so it cannot be "
            "measured on them: move them back, or train a new run with --run"
        )
    if split not in recorded and run.has_weights():
        with suppress(OSError):  # a run that one may only read is measured all the same
            _write(run, recorded | {split: now})
    what = changes({split: before}, {split: now})
    if not what:
        return images
    progress.say(f"{split} has changed since {run.folder} first had it ({what}); measured is what it is now")
    return replace(images, source=f"{images.source}; changed since the run first had it: {what}")


def _source(recipe: Recipe, begun: bool, recorded: dict[str, Manifest]) -> Source:
    """The data of a run; a folder of one from before there were records is divided as it was then."""
    if begun and not recorded and isinstance(recipe.data, ImageFolder):
        return recipe.data.former()
    return recipe.data


def _recorded(run: Run) -> dict[str, Manifest]:
    return run.read_as(_FILE, _MANIFESTS, {})


def _write(run: Run, manifests: dict[str, Manifest]) -> None:
    run.write_json(_FILE, {split: one.to_json() for split, one in manifests.items()})
