"""The exports of a run, in rows of its report."""

from dataclasses import dataclass

from shoestring.report.export_page import WORDS, size
from shoestring.report.format import integer, number, percent, points
from shoestring.report.records import Exported
from shoestring.report.run_data import RunData


@dataclass(frozen=True)
class ExportRow:
    """One export.

    Attributes:
        form: What it is, in words.
        page: Its own page, relative to the run's folder.
        size: Of the file that holds the net.
        answers: How they compare with the model's.
        made: The day.
        current: Whether it is of the weights that the run has now.
    """

    form: str
    page: str
    size: str
    answers: str
    made: str
    current: bool


def export_rows(run_data: RunData) -> list[ExportRow]:
    """A row for each export in the run's folder."""
    weights = run_data.run.weights_digest()
    return [
        ExportRow(
            form=WORDS.get(one.form, one.form),
            page=f"exports/{folder}/export.html",
            size=size(one.files[0].bytes),
            answers=_answers(one),
            made=one.made,
            current=one.weights.sha256 == weights,
        )
        for folder, one in run_data.exports.items()
    ]


def _answers(one: Exported) -> str:
    if one.accuracy:
        after, difference = one.accuracy.after.value, one.accuracy.difference.value
        return f"{percent(after, 2)} on {one.accuracy.split}, {points(difference, 2)}"
    if one.parity.differing is not None:
        return f"{one.parity.differing} of {integer(one.parity.n)} name another class"
    return f"off by {number(one.parity.largest, 2)} at most"
