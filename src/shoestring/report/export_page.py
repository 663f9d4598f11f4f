"""The page of an export: what left, how it answers, what it takes."""

import json
from pathlib import Path
from typing import Any

from shoestring.core.errors import RunError
from shoestring.core.run import write_atomic
from shoestring.report.format import integer, number, percent, plain, points, points_interval
from shoestring.report.templates import rendered

WORDS = {
    "onnx": "ONNX",
    "torch": "torch.export program",
    "int8": "integer net",
    "c": "C99 source",
    "web": "web page",
}


def build(folder: Path) -> Path:
    """The file export.html of an export's folder, after it was written from export.json; it needs nothing but itself.

    Raises:
        RunError: The folder has no record of an export.
    """
    try:
        record = json.loads((folder / "export.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(f"{folder / 'export.json'} cannot be read ({error}); export again") from error
    filters = {
        "integer": integer,
        "number": number,
        "percent": percent,
        "points": points,
        "points_interval": points_interval,
        "size": size,
    }
    page = rendered(
        "export.html",
        filters,
        one=record,
        form=WORDS[record["form"]],
        accuracy=record.get("accuracy"),
        made_with=_facts(record),
    )
    return write_atomic(folder / "export.html", page)


def size(count: int) -> str:
    """Bytes in KiB, to three digits: "98.2 KiB"."""
    return f"{number(count / 1024, 3)} KiB"


def _facts(record: dict[str, Any]) -> list[tuple[str, str]]:
    """What else a reader may want to know, in rows."""
    machine, weights = record["machine"], record["weights"]
    limits, quantisation = record.get("limits", {}), record.get("quantisation", {})
    rows = [
        *((f"{name} version", text) for name, text in record["versions"].items()),
        ("opset", str(record["opset"]) if "opset" in record else ""),
        ("machine", f"{machine['processor']}, {machine['cores']} cores, {machine['threads']} thread used"),
        ("made", record["made"]),
        ("weights exported", f"{size(weights['bytes'])}, sha256 {weights['sha256']}"),
        ("recipe's fingerprint", record["recipe"]),
        *((name.replace("_", " "), integer(value)) for name, value in limits.items()),
        *(
            (name.replace("_", " "), integer(record[name]))
            for name in ("constant_bytes", "arena_bytes")
            if name in record
        ),
        *((name.replace("_", " "), plain(value)) for name, value in quantisation.items()),
    ]
    return [(name, text) for name, text in rows if text]
