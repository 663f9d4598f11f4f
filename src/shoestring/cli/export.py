"""The verbs by which a model leaves; torch is imported when one runs."""

import json
import webbrowser
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from tyro.conf import FlagCreatePairsOff, arg

from shoestring.cli.display import Display
from shoestring.cli.options import Options, RunOrName, require_run
from shoestring.exporting.form import Form
from shoestring.report.format import number, percent, points, points_interval


@dataclass(frozen=True, kw_only=True)
class Export(Options):
    """Write a trained model as ONNX, torch.export program, int8, C or web page, checked against the model itself.

    The export is a folder: its files, export.json and export.html.
    """

    target: Annotated[RunOrName, arg(metavar="RUN_OR_NAME")]
    """A finished run's folder, or the name of a recipe whose weights are shipped."""
    to: Form
    """onnx and onnx-int8 need pip install 'shoestring[onnx]'; int8, onnx-int8 and c are for classifiers."""
    out: Path | None = None
    """The folder to write. By default RUN/exports/TO, or NAME-TO here for shipped weights."""
    force: FlagCreatePairsOff[bool] = False
    """Write also integers that lose more than a point of accuracy."""

    def do(self, display: Display) -> None:
        """Writes the folder."""
        require_run(self.target)
        from shoestring import api

        folder = api.export(self.target, self.to, self.out, self.data_folder, display, force=self.force)
        display.result(show_export(display, folder))


@dataclass(frozen=True, kw_only=True)
class Demo(Options):
    """Open a model's own web page, one file that needs no server: its pictures are yours, or it makes them of seeds."""

    target: Annotated[RunOrName, arg(metavar="RUN_OR_NAME")]
    """A finished run's folder, or the name of a recipe whose weights are shipped."""
    out: Path | None = None
    """The folder of the page. By default RUN/exports/web, or NAME-web here for shipped weights."""

    def do(self, display: Display) -> None:
        """Writes the page, unless there is a current one, and opens it."""
        require_run(self.target)
        from shoestring import api

        page = api.demo(self.target, self.out, self.data_folder, display).resolve()
        display.result({"page": str(page)})
        display.line(f"page  {page}")
        if not self.json and not webbrowser.open(page.as_uri()):
            display.say("no browser was found here: open the page in one")


def show_export(display: Display, folder: Path) -> dict[str, Any]:
    """Prints what an export's folder holds and what was checked, and gives it as plain JSON values."""
    from shoestring.core.run_records import EXPORT

    record = json.loads((folder / EXPORT).read_text(encoding="utf-8"))
    for file in record["files"]:
        display.line(f"file    {(folder / file['name']).resolve()}  {file['bytes']:,} bytes")
    for line in summary(record):
        display.line(line)
    display.line(f"report  {(folder / 'export.html').resolve()}")
    return {"folder": str(folder.resolve())} | record


def summary(record: dict[str, Any]) -> list[str]:
    """What was checked, in a line each."""
    parity, accuracy = record["parity"], record.get("accuracy")
    answers = f", {parity['differing']} of {parity['n']:,} answers differ" if parity["differing"] is not None else ""
    lines = [
        f"parity  off by {number(parity['largest'], 2)} at most on {parity['n']:,} images: {parity['inputs']}{answers}"
    ]
    if accuracy:
        before, after, difference = (accuracy[name] for name in ("before", "after", "difference"))
        lines.append(
            f"{accuracy['split']}    {percent(before['value'], 2)} before, {percent(after['value'], 2)} after: "
            f"{points(difference['value'], 2)}, 95 % interval {points_interval(difference['interval'])}, "
            f"n = {difference['n']:,}"
        )
    for row in record["speed"]:
        here, model = row["milliseconds"]["median"], row["model_milliseconds"]["median"]
        unit = "processor ms" if row["clock"] == "process_time" else "ms"
        ratio = number(model / here, 2)
        lines.append(f"batch {row['batch']:<3} {number(here, 3)} {unit}, {ratio} times as fast as the model here")
    return lines
