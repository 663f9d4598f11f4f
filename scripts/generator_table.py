"""The table of generators in docs/results.md, from measures.json of runs: regenerated, never typed.

    python scripts/generator_table.py RUN... [--into docs/results.md]

Runs must have been measured by `shoestring evaluate RUN --seeds 3`, with --resizing clean and legacy. With --into, the
lines between `<!-- generators -->` and `<!-- /generators -->` of that file are replaced; without, the table is printed.
"""

import argparse
from pathlib import Path
from typing import Any

from shoestring import api
from shoestring.report.wording import ABSENT, number
from shoestring.run import Run, write_atomic

START, END = "<!-- generators -->", "<!-- /generators -->"
COLUMNS = {
    "FID-{d} clean": "fid_{d}_clean",
    "FID-{d} legacy": "fid_{d}_legacy",
    "FID-{d} clean, endless": "fid_{d}_clean_infinite",
    "KID-{d} clean x 1,000": "kid_{d}_clean",
    "precision": "precision_{d}_clean",
    "recall": "recall_{d}_clean",
    "density": "density_{d}_clean",
    "coverage": "coverage_{d}_clean",
    "fast distance": "fast_distance",
    "effective classes": "effective_classes",
    "diversity": "diversity_fast",
    "high-frequency energy": "high_frequency_energy",
    "grid peak, period 2": "grid_peak_period_2",
    "grid peak, period 4": "grid_peak_period_4",
    "memorised": "memorised_fast",
}


def table(runs: list[Run], dimensions: int = 768) -> str:
    """The table in Markdown: the floor, then a row for each run, and what a reader must know.

    Each value is a mean over samplings with its sample deviation over them. Columns that no run fills are left out.
    """
    measured = [run.measures().get("test", {}) for run in runs]
    names = {title.format(d=dimensions): name.format(d=dimensions) for title, name in COLUMNS.items()}
    names = {title: name for title, name in names.items() if any(name in found for found in measured)}
    rows = [["", *names, "published FID-2048"]]
    floors = [next((found[name] for found in measured if name in found), {}) for name in names.values()]
    rows.append(
        [
            "real train images (the floor)",
            *(_cell(n, f.get("floor")) for n, f in zip(names, floors, strict=True)),
            ABSENT,
        ]
    )
    for run, found in zip(runs, measured, strict=True):
        recipe = run.read_recipe()
        published = (recipe.get("published") or {}).get("value")
        cells = [_value(title, found.get(name)) for title, name in names.items()]
        rows.append([f"`{recipe['name']}`", *cells, number(published)])
    lines = [f"| {' | '.join(row)} |" for row in rows]
    lines.insert(1, "|" + "---|" * len(rows[0]))
    return "\n".join([*lines, "", *_notes(measured, dimensions)])


def _notes(measured: list[dict[str, Any]], dimensions: int) -> list[str]:
    known = [
        one for found in measured for name, one in found.items() if name.startswith("fid_") and "infinite" not in name
    ]
    if not known:
        return ["No FID was measured yet."]

    def said(key: str) -> str:
        return ", ".join(dict.fromkeys(str(one.get(key)) for one in known))

    seeds = ", ".join(dict.fromkeys(str(len(one.get("by_seed") or ())) for one in known))
    return [
        f"Against the CIFAR-100 test split; n = {said('n')} generated and {said('n_real')} real images; sampling "
        f"seeds: {seeds} (mean ± sample deviation). The floor is what as many real train images get. Features: "
        f"{said('features')}. Measured {said('measured')} by {said('computed_by')}.",
        "",
        f"The published FIDs are of 2,048-dimensional features, these of {dimensions}: they are not the same scale.",
    ]


def _value(title: str, score: dict[str, Any] | None) -> str:
    if score is None:
        return ABSENT
    several = len(score.get("by_seed") or ()) > 1
    spread = f" ± {_cell(title, score['deviation'], 2)}" if several and score.get("deviation") is not None else ""
    return _cell(title, score["value"]) + spread


def _cell(title: str, value: float | None, digits: int = 4) -> str:
    if value is None:
        return ABSENT
    return number(1000 * value if title.endswith("x 1,000") else value, digits)


def main() -> None:
    """Prints the table, or puts it into a page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+")
    parser.add_argument("--dimensions", type=int, default=768)
    parser.add_argument("--into", type=Path)
    given = parser.parse_args()
    made = table([api.open_run(name) for name in given.runs], given.dimensions)
    if given.into is None:
        print(made)
        return
    page = given.into.read_text(encoding="utf-8")
    if page.count(START) != 1 or page.count(END) != 1:
        raise SystemExit(f"{given.into} must hold {START} and {END} once each")
    before, rest = page.split(START)
    write_atomic(given.into, f"{before}{START}\n{made}\n{END}{rest.split(END)[1]}".encode())


if __name__ == "__main__":
    main()
