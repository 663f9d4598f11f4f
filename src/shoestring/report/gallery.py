"""The pictures of a run's folder, as img elements that hold their own bytes."""

import base64
import io
import re
from pathlib import Path

from markupsafe import Markup, escape
from PIL import Image

from shoestring.report.records import Pictured, read_list
from shoestring.report.run_data import RunData
from shoestring.report.svg import Picture

MOST_OF_A_STRIP = 8
_TYPES = {"PNG": "image/png", "JPEG": "image/jpeg", "GIF": "image/gif", "WEBP": "image/webp"}
_KNOWN = {
    "samples.png": ("Samples", "Not picked by hand: the first images drawn."),
    "interpolations.png": ("Interpolations", "Each row goes from one latent point to another in equal steps."),
    "neighbours.png": (
        "Nearest training images",
        "Each sample is followed by the three training images nearest to it. Upper half: samples not picked; lower "
        "half: those that come nearest to a training image.",
    ),
    "picked.png": ("Picked samples", "Picked, so not typical; the samples above are."),
}
_STEP = re.compile(r"step-(\d+)\.\w+")


def gallery(run_data: RunData) -> list[Picture]:
    """The pictures in the order in which the run lists them, then known ones that it does not list.

    Files that are absent, damaged or outside the run's folder of pictures are left out.
    """
    listed = _listed(run_data)
    entries = listed | {name: known for name, known in _KNOWN.items() if name not in listed}
    found = [
        _picture(run_data.run.pictures, name, *text) for name, text in entries.items() if not _STEP.fullmatch(name)
    ]
    return [picture for picture in found if picture is not None]


def strip(run_data: RunData) -> list[Picture]:
    """Sample grids over the training, at most eight, from the first to the last."""
    folder = run_data.run.pictures
    steps = {path.name: int(found[1]) for path in folder.glob("step-*") if (found := _STEP.fullmatch(path.name))}
    order = sorted(steps, key=lambda name: steps[name])
    count = min(len(order), MOST_OF_A_STRIP)
    kept = [order[round(place * (len(order) - 1) / max(count - 1, 1))] for place in range(count)]
    found = [_picture(folder, name, f"step {steps[name]:,}", "") for name in kept]
    return [picture for picture in found if picture is not None]


def _listed(run_data: RunData) -> dict[str, tuple[str, str]]:
    listed: dict[str, tuple[str, str]] = {}
    for entry in read_list(run_data.run, "samples/pictures.json", Pictured):
        name = entry.file
        known = _KNOWN.get(name, (Path(name).stem.replace("-", " ").replace("_", " ").capitalize(), ""))
        listed[name] = (entry.title or known[0], entry.caption or known[1])
    return listed


def _picture(folder: Path, name: str, title: str, caption: str) -> Picture | None:
    path = folder / name
    if Path(name).name != name or path.is_symlink() or not path.is_file():
        return None
    content = path.read_bytes()
    try:
        with Image.open(io.BytesIO(content)) as image:
            kind, (width, height) = _TYPES.get(image.format or ""), image.size
    except (OSError, ValueError):
        return None
    if kind is None:
        return None
    spoken = f"{title}. {caption}".strip() if caption else title
    data = base64.b64encode(content).decode()
    # Small images are shown by whole pixels, not blurred.
    style = "pixels" if width < 700 else "photo"
    element = f'<img class="{style}" src="data:{kind};base64,{data}" width="{width}" height="{height}"'
    return Picture(Markup(f'{element} alt="{escape(spoken)}">'), title, caption, wide=width >= 700)
