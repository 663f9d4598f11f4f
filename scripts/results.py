"""Rewrites tables, figures and the index of recipes from the runs and recipes that the repository keeps.

python scripts/results.py [--check]

Reads the runs in src/shoestring/zoo and in results, and results/rivals.toml. In README.md and docs/results.md a table
stands between `<!-- begin: NAME -->` and `<!-- end: NAME -->`; a figure lies in docs/figures beside the data it shows;
what `list` and `new` know of recipes lies in src/shoestring/zoo, as index.json and templates/. With --check nothing is
written, and the exit status is 1 when any of it is out of date.
"""

import argparse
import re
import sys
from collections.abc import Callable, Sequence
from functools import partial

from pages.ablations import ablations
from pages.chart import read_chart
from pages.contest import contest
from pages.figure import is_current, write
from pages.index import stale_index
from pages.runs import ROOT, kept_runs
from pages.samplings import samplings
from pages.speed import growth, making, rooflines, versus, waiting
from pages.tables import Table, classifier_runs, classifiers, cost, generators, markdown, summary

from shoestring.report.run_data import RunData

PAGES = (ROOT / "README.md", ROOT / "docs" / "results.md")
FIGURES = ROOT / "docs" / "figures"
CONTESTS = ("addnist", "cifar100")
TABLES: dict[str, Callable[[Sequence[RunData]], Table]] = {
    "summary": summary,
    "classifiers": classifiers,
    "classifier-runs": classifier_runs,
    "generators": generators,
    "cost": cost,
    "throughput": lambda _: versus(),
    "rooflines": lambda _: rooflines(),
    "making": lambda _: making(),
    "growth": lambda _: growth(),
    "samplings": lambda _: samplings(),
    "waiting": lambda _: waiting(),
    **{f"contest-{data}": partial(contest, data=data) for data in CONTESTS},
}


def block(name: str, runs: Sequence[RunData]) -> str:
    """What stands between the marks of a name; an unknown name is a KeyError."""
    return ablations() if name == "ablations" else markdown(TABLES[name](runs))


def with_tables(text: str, runs: Sequence[RunData]) -> str:
    """A page with each of its blocks written anew."""

    def written(found: re.Match[str]) -> str:
        return f"<!-- begin: {found[1]} -->\n{block(found[1], runs)}\n<!-- end: {found[1]} -->"

    return re.sub(r"<!-- begin: (\S+) -->\n.*?<!-- end: \1 -->", written, text, flags=re.DOTALL)


def stale_pages(runs: Sequence[RunData], check: bool) -> list[str]:
    """The pages whose tables are out of date; rewritten unless it is only a check."""
    stale: list[str] = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        new = with_tables(text, runs)
        if new != text:
            stale.append(page.name)
            if not check:
                page.write_text(new, encoding="utf-8")
    return stale


def stale_figures(runs: Sequence[RunData], check: bool) -> list[str]:
    """The figures that show other data than there is; drawn anew unless it is only a check."""
    stale: list[str] = []
    for data in CONTESTS:
        chart, file = read_chart(runs, data), FIGURES / f"{data}.svg"
        if not is_current(chart, file):
            stale.append(file.name)
        if not check:
            write(chart, file)
    return stale


def main() -> None:
    """Rewrites the pages and draws the figures, or checks them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    check = parser.parse_args().check
    runs = kept_runs()
    stale = stale_pages(runs, check) + stale_figures(runs, check) + stale_index(check)
    if stale:
        print(f"{', '.join(stale)} {'out of date: run python scripts/results.py' if check else 'rewritten'}")
    sys.exit(1 if check and stale else 0)


if __name__ == "__main__":
    main()
