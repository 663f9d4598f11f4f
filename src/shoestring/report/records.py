"""Files of a run that tell more than a table of numbers, checked as they are read: it may come from anywhere."""

from collections.abc import Mapping
from typing import Annotated, Any, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, NonNegativeInt, TypeAdapter, model_validator

from shoestring.core.checked import checked
from shoestring.core.run import Run

Proportion = Annotated[float, Field(ge=-1e-6, le=1 + 1e-6)]  # means of float32 are off by that


class Record(BaseModel):
    """A JSON file of a run, of which only what is shown is read."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class UnusedFile(Record):
    """A file that no image was taken from, and why."""

    path: str
    reason: str


class Inspected(Record):
    """The user's own folder of images, as it was when the training began; see `data.inspection.FolderReport`."""

    folder: str
    classes: list[str]
    counts: dict[str, list[int]]
    carved: list[str]
    formats: dict[str, int]
    widths: tuple[int, int, int]
    heights: tuple[int, int, int]
    total: int
    warnings: list[str]
    bad: list[UnusedFile]
    passed_over: list[UnusedFile]

    @model_validator(mode="after")
    def _one_count_for_each_class(self) -> Self:
        if any(len(counts) != len(self.classes) for counts in self.counts.values()):
            raise ValueError("there is not one count for each class")
        return self


class Started(Record):
    """The weights that a training started from; see `model.pretrained.Pretrained`."""

    recipe: str
    data: str
    taken: int


class Fitted(Record):
    """Why a recipe is as it is that `fit` chose: parts of it, and the reason for each."""

    reasons: dict[str, str] = {}


class ExportedFile(Record):
    """A file of an export."""

    bytes: NonNegativeInt


class ExportedFrom(Record):
    """The weights of which an export was made."""

    sha256: str


class Agreement(Record):
    """How an export's answers differ from the model's; of what names no classes nothing is counted."""

    n: int
    differing: int | None = None
    largest: float


class Number(Record):
    """A metric, of which only the number is shown."""

    value: float


class ExportedAccuracy(Record):
    """What an export is worth on a split, and that less what the model is."""

    split: str
    after: Number
    difference: Number


class Exported(Record):
    """An export beside its run; see `exporting.export`."""

    form: str
    files: Annotated[list[ExportedFile], Field(min_length=1)]
    weights: ExportedFrom
    parity: Agreement
    accuracy: ExportedAccuracy | None = None
    made: str


class Pictured(Record):
    """A picture among a run's samples, and what is said of it."""

    file: str = ""
    title: str | None = None
    caption: str | None = None


class Bin(Record):
    """A bin of a reliability diagram: without images it has neither confidence nor accuracy."""

    n: NonNegativeInt
    confidence: Proportion | None
    accuracy: Proportion | None

    @model_validator(mode="after")
    def _all_or_nothing(self) -> Self:
        if self.n and (self.confidence is None or self.accuracy is None):
            raise ValueError("images without a confidence or an accuracy")
        return self


class Share(Record):
    """How often a class, or a spatial frequency, is in made images and in real ones."""

    generated: float
    real: float


class Energy(Share):
    """Of images at a spatial frequency, in cycles per pixel."""

    frequency: float


TABLES: Mapping[str, TypeAdapter[Any]] = {
    "confusion": TypeAdapter(list[list[NonNegativeInt]]),
    "calibration": TypeAdapter(list[Bin] | None),
    "per_class_accuracy": TypeAdapter(list[float | dict[str, Any] | None]),
    "class_histogram": TypeAdapter(list[Share] | None),
    "spectrum": TypeAdapter(list[Energy] | None),
}
"""What a metric's value is that is more than a number, by its name."""
R = TypeVar("R", bound=Record)


def read_record(run: Run, name: str, kind: type[R]) -> R | None:
    """What a file of a run holds; None if there is no such file.

    Raises:
        RunError: It holds something else.
    """
    return run.read_as(name, TypeAdapter[R | None](kind), None)


def read_list(run: Run, name: str, kind: type[R]) -> list[R]:
    """The entries of a file of a run; none if there is no such file.

    Raises:
        RunError: It holds something else.
    """
    file = run.folder / name
    if not file.is_file():
        return []
    entries = checked(TypeAdapter(list[dict[str, Any]]), run.read_json(name), file)
    return [checked(TypeAdapter(kind), entry, file) for entry in entries]
