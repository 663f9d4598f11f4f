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
    for facts in _files("versus-*.json"):
        for row in facts["results"]:
            aim = AIMS.get((row["recipe"], row["what"])) if facts["machine"]["device"] == "cpu" else None
            rows.append([
                f"`{row['recipe']}`", f"{row['what']}, {row['unit']}", f"{row['plain']:,.1f}", f"{row['ours']:,.1f}",
                f"**{row['ratio']:.2f}**", f"{row['ratios'][0]:.2f} to {row['ratios'][-1]:.2f}",
                "" if aim is None else f"{aim:.1f}", _place(facts),
            ])  # fmt: skip
    return ("system", "what", "plain loop", "ours", "ratio", "over rounds", "aim", "machine"), rows


def rooflines() -> Table:
    """A row for each `shoestring speed NAME --json` that was kept."""
    rows: list[list[str]] = []
    for facts in _files("speed-*.json"):
        rows.append([
            f"`{facts['recipe']}`", str(facts["batch_size"]), f"{facts['milliseconds']:,.0f}",
            f"{facts['least_milliseconds']:,.0f}", f"{100 * facts['least_milliseconds'] / facts['milliseconds']:.0f} %",
            f"{facts['gigaflop']:,.1f}", f"{facts['ceiling_gigaflop_per_second']:,.0f}",
            f"{facts['moved_megabytes'] / 1e3:,.2f}", f"{facts['copy_gigabytes_per_second']:,.1f}",
            f"{100 * facts['parts_milliseconds']['data'] / sum(facts['parts_milliseconds'].values()):.1f} %",
            _hardware(facts["machine"]),
        ])  # fmt: skip
    columns = ("system", "batch", "ms a step", "least ms", "share", "GFLOP a step", "GFLOP/s of a matrix product")
    return (*columns, "GB read and written a step", "GB/s of a copy", "data's share", "machine"), rows


def making() -> Table:
    """A row for each `shoestring speed NAME --json` of a generator, by net calls.

    A file called making-*.json is in this table only: a way of sampling does not change the steps of a training.
    """
    kept = (*_files("speed-*.json"), *_files("making-*.json"))
    found = [facts for facts in kept if "image_milliseconds" in facts]
    rows = [
        [
            f"`{facts['recipe']}`", str(facts["evaluations"]), duration(10 * facts["image_milliseconds"]),
            _hardware(facts["machine"]),
        ]
        for facts in sorted(found, key=lambda facts: (facts["recipe"], facts["evaluations"]))
    ]  # fmt: skip
    return ("generator", "net calls", "10,000 images take", "machine"), rows


def growth() -> Table:
    """A row for each recipe and thing that grows."""
    rows = [
        [f"`{row['recipe']}`", row["case"], f"{row['ms']:,.1f}", _place(facts)]
        for facts in _files("grow-*.json")
        for row in facts["results"]
    ]
    return ("system", "case", "ms a step", "machine"), rows


def waiting() -> Table:
    """A row for each thing that `benchmarks/startup.py --json` timed."""
    aims = {"import shoestring": "0.5"}
    rows = [
        [f"`{case}`", f"{seconds:.2f}", aims.get(case, "5" if case.startswith("first step") else ""), _place(facts)]
        for facts in _files("startup-*.json")
        for case, seconds in facts["seconds"].items()
    ]
    return ("what", "seconds", "aim, below", "machine"), rows


def _files(pattern: str) -> list[dict[str, Any]]:
    return [json.loads(file.read_text(encoding="utf-8")) for file in sorted(FOLDER.glob(pattern))]


def _place(facts: dict[str, Any]) -> str:
    return f"{_hardware(facts['machine'])}, torch {facts['torch']}, {facts['date']}"


def _hardware(machine: dict[str, Any]) -> str:
    name = machine["processor"] if machine["device"] == "cpu" else machine["device"]
    threads = machine["threads"]
    return f"{name}, {threads} thread{'s' * (threads > 1)}, {machine['precision']}"
