"""The page of an export: what left, how it answers, what it takes."""

import json
from pathlib import Path
from typing import Any

from shoestring.core.atomic_files import write_atomic
from shoestring.core.errors import RunError
from shoestring.core.run_records import EXPORT
from shoestring.report.format import integer, number, percent, plain, points, points_interval
from shoestring.report.templates import rendered

WORDS = {
    "onnx": "ONNX",
    "torch": "torch.export program",
    "int8": "integer net",
    "onnx-int8": "ONNX in int8",
    "c": "C99 source",
    "web": "web page",
}


def build(folder: Path) -> Path:
    """The file export.html of an export's folder, after it was written from export.json; it needs nothing but itself.

    Raises:
        RunError: The folder has no record of an export.
    """
    try:
        record = json.loads((folder / EXPORT).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise RunError(f"{folder / EXPORT} cannot be read ({error}); export again") from error
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
        scores=_scores(record),
        made_with=_facts(record),
    )
    return write_atomic(folder / "export.html", page)


def _scores(record: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Of a GAN how its images are made, the FID of these, and what else there is to say."""
    ways = {"one_call": "one call of the net, which left"}
    ways |= {"own_sampling": f"the model's own sampling, {record.get('calls')} calls, which stayed"}
    rows: list[tuple[str, str, str]] = []
    for way, words in ways.items():
        metrics = record.get("scores", {}).get(way)
        if metrics is None:
            continue
        fids = [name for name in metrics if name.startswith("fid_")]
        if fids:
            fid = metrics[fids[0]]
            rows.append((words, number(fid["value"]), f"{fids[0]}, n = {integer(fid['n'])}"))
        else:
            rows.append(
                (words, "–", "not measured: shoestring evaluate RUN, with the options of sampling that do this")
            )
    return rows


def size(count: int) -> str:
    """Bytes in KiB, to three digits: "98.2 KiB"."""
    return f"{number(count / 1024, 3)} KiB"


def _simulation(parity: dict[str, Any]) -> str:
    return (
        f"logits off by {number(parity['largest'], 2)} at most, {parity['differing']} of {integer(parity['n'])} "
        f"answers differ, on {parity['inputs']}"
    )


def _facts(record: dict[str, Any]) -> list[tuple[str, str]]:
    """What else a reader may want to know, in rows."""
    machine, weights = record["machine"], record["weights"]
    limits, quantisation = record.get("limits", {}), record.get("quantisation", {})
    rows = [
        *((f"{name} version", text) for name, text in record["versions"].items()),
        ("opset", str(record["opset"]) if "opset" in record else ""),
        ("against the simulation", _simulation(record["simulation"]) if "simulation" in record else ""),
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
