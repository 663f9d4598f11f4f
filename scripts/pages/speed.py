"""The tables about speed, from what benchmarks/throughput.py and `shoestring speed` wrote into results/throughput."""

import json
from typing import Any

from pages.runs import ROOT
from pages.tables import Table
from shoestring.report.format import duration

FOLDER = ROOT / "results" / "throughput"
AIMS = {
    ("addnist-effnet", "train"): 2.5,
    ("cifar100-resnet", "train"): 2.3,
    ("cifar100-dcgan-64", "train"): 1.9,
    ("cifar100-dcgan-44", "train"): 2.2,
    ("cifar100-dcgan-64", "sample"): 2.0,
    ("cifar100-dcgan-44", "sample"): 2.0,
}
"""Ratios on 2 CPU cores that this project set itself."""


def versus() -> Table:
    """A row for each comparison with the plain loop, machine by machine."""
    rows: list[list[str]] = []
    for timing in _files("versus-*.json"):
        for row in timing["results"]:
            aim = AIMS.get((row["recipe"], row["what"])) if timing["machine"]["device"] == "cpu" else None
            rows.append([
                f"`{row['recipe']}`", f"{row['what']}, {row['unit']}", f"{row['plain']:,.1f}", f"{row['ours']:,.1f}",
                f"**{row['ratio']:.2f}**", f"{row['ratios'][0]:.2f} to {row['ratios'][-1]:.2f}",
                "" if aim is None else f"{aim:.1f}", _place(timing),
            ])  # fmt: skip
    return ("system", "what", "plain loop", "ours", "ratio", "over rounds", "aim", "machine"), rows


def rooflines() -> Table:
    """A row for each `shoestring speed NAME --json` that was kept."""
    rows: list[list[str]] = []
    for timing in _files("speed-*.json"):
        rows.append([
            f"`{timing['recipe']}`", str(timing["batch_size"]), f"{timing['milliseconds']:,.0f}",
            f"{timing['least_milliseconds']:,.0f}",
            f"{100 * timing['least_milliseconds'] / timing['milliseconds']:.0f} %",
            f"{timing['gigaflop']:,.1f}", f"{timing['ceiling_gigaflop_per_second']:,.0f}",
            f"{timing['moved_megabytes'] / 1e3:,.2f}", f"{timing['copy_gigabytes_per_second']:,.1f}",
            f"{100 * timing['parts_milliseconds']['data'] / sum(timing['parts_milliseconds'].values()):.1f} %",
            _hardware(timing["machine"]),
        ])  # fmt: skip
    columns = ("system", "batch", "ms a step", "least ms", "share", "GFLOP a step", "GFLOP/s of a matrix product")
    return (*columns, "GB read and written a step", "GB/s of a copy", "data's share", "machine"), rows


def making() -> Table:
    """A row for each `shoestring speed NAME --json` of a generator, by NFE.

    A file called making-*.json is in this table only: a way of sampling does not change the steps of a training.
    """
    kept = (*_files("speed-*.json"), *_files("making-*.json"))
    found = [timing for timing in kept if "image_milliseconds" in timing]
    rows = [
        [
            f"`{timing['recipe']}`", str(timing["nfe"]), duration(10 * timing["image_milliseconds"]),
            _hardware(timing["machine"]),
        ]
        for timing in sorted(found, key=lambda timing: (timing["recipe"], timing["nfe"]))
    ]  # fmt: skip
    return ("generator", "NFE", "10,000 images take", "machine"), rows


def growth() -> Table:
    """A row for each recipe and thing that grows."""
    rows = [
        [f"`{row['recipe']}`", row["case"], f"{row['ms']:,.1f}", _place(timing)]
        for timing in _files("grow-*.json")
        for row in timing["results"]
    ]
    return ("system", "case", "ms a step", "machine"), rows


def waiting() -> Table:
    """A row for each thing that `benchmarks/startup.py --json` timed."""
    aims = {"import shoestring": "0.5"}
    rows = [
        [f"`{case}`", f"{seconds:.2f}", aims.get(case, "5" if case.startswith("first step") else ""), _place(timing)]
        for timing in _files("startup-*.json")
        for case, seconds in timing["seconds"].items()
    ]
    return ("what", "seconds", "aim, below", "machine"), rows


def _files(pattern: str) -> list[dict[str, Any]]:
    return [json.loads(file.read_text(encoding="utf-8")) for file in sorted(FOLDER.glob(pattern))]


def _place(timing: dict[str, Any]) -> str:
    return f"{_hardware(timing['machine'])}, torch {timing['torch']}, {timing['date']}"


def _hardware(machine: dict[str, Any]) -> str:
    name = machine["processor"] if machine["device"] == "cpu" else machine["device"]
    threads = machine["threads"]
    return f"{name}, {threads} thread{'s' * (threads > 1)}, {machine['precision']}"
