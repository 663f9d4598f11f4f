"""`PYTHONPATH=tests python -m campaign`: tries to break the promises, and records what it tried.

The same command again goes on after the trials that its record has, until all that are to be tried were. Ctrl-C ends it
and keeps the record.
"""

import argparse
import datetime
import importlib
import json
import platform
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import torch

from shoestring.core.atomic_files import write_atomic

CAMPAIGNS = (
    "hostile_inputs", "attacks", "kills", "shared_kills", "power_loss", "no_room", "races", "measures", "long_runs",
)  # fmt: skip
KEEP_SECONDS = 20.0  # between records


def main() -> int:
    """Runs the campaigns that are asked for; 1 if a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m campaign", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="for all campaigns together")
    parser.add_argument("--seed", type=int, default=0, help="decides all that is drawn")
    parser.add_argument("--only", choices=CAMPAIGNS, action="append", help="may be repeated; by default all")
    parser.add_argument("--trial", type=int, action="append", help="numbers of single trials; by default all")
    parser.add_argument("--out", type=Path, default=Path("campaign.json"), help="where the record goes; others stay")
    parser.add_argument("--table", type=Path, help="a page whose table is made of the record; nothing is tried")
    asked = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    names = asked.only or CAMPAIGNS
    record = json.loads(asked.out.read_text()) if asked.out.is_file() else {}
    if asked.table:
        asked.table.write_text(with_table(asked.table.read_text(encoding="utf-8"), record), encoding="utf-8")
        return 0
    for place, name in enumerate(names):
        began, budget = time.monotonic(), asked.minutes * 60 / len(names)
        before = record.get(name, {})
        if asked.trial or before.get("seed") != asked.seed:
            before = {}

        def keep(found: dict[str, Any], name: str = name) -> None:
            record[name] = found
            write_atomic(asked.out, (json.dumps(record, indent=1) + "\n").encode())

        stopped = conducted(name, asked.seed, keep, asked.trial, budget, sys.stdout.isatty(), before)
        asked.minutes -= (time.monotonic() - began) / 60 - budget / 60 if place + 1 < len(names) else 0
        found = record[name]
        facts = ", ".join(f"{key} {value:.4g}" for key, value in found["facts"].items())
        print(f"{found['promise']}: {found['tried']:,} tried, {len(found['broken'])} broken, at most {facts or '–'}")
        for one in found["broken"][:20]:
            print(f"  {one['number']} {one['what']}\n    {one['broken']}")
        if stopped:
            break
    return int(any(found["broken"] for found in record.values()))


def conducted(
    name: str,
    seed: int,
    keep: Callable[[dict[str, Any]], None],
    numbers: Iterable[int] | None,
    seconds: float,
    shown: bool = False,
    before: Mapping[str, Any] | None = None,
) -> bool:
    """Tries what a campaign has; whether Ctrl-C or SIGTERM ended it.

    Args:
        name: Of the campaign.
        seed: Decides all that is drawn.
        keep: Takes its record now and then, and at the end: counts, broken promises, and the largest of every fact.
        numbers: Of the trials; by default those that the record does not have.
        seconds: After which no other trial begins.
        shown: Whether counts are printed as they grow.
        before: What the record has of it, to which this is added.
    """
    campaign = importlib.import_module(f"campaign.{name}")
    torch.set_num_threads(1)
    before = before or {}
    began, processor, kept, stopped = time.monotonic(), time.process_time(), time.monotonic(), False
    tried, kinds, facts = before.get("tried", 0), dict(before.get("kinds", {})), dict(before.get("facts", {}))
    broken: list[dict[str, Any]] = list(before.get("broken", []))
    left = range(tried, campaign.ASKED) if numbers is None else numbers

    def record() -> dict[str, Any]:
        own = before.get("own_processor_seconds", 0) + time.process_time() - processor
        return {
            "promise": campaign.PROMISE,
            "asked": campaign.ASKED,
            "tried": tried,
            "kinds": kinds,
            "broken": broken,
            "facts": facts,
            "seed": seed,
            "date": datetime.date.today().isoformat(),
            "seconds": round(before.get("seconds", 0) + time.monotonic() - began, 1),
            "own_processor_seconds": round(own, 1),
            "machine": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
            "torch": torch.__version__,
        }

    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
        closing(campaign.trials(Path(folder), seed, left)) as trials,
    ):
        try:
            for trial in trials:
                tried += 1
                kind = trial.what.partition(":")[0]
                kinds[kind] = kinds.get(kind, 0) + 1
                facts |= {key: max(value, facts.get(key, value)) for key, value in trial.facts.items()}
                broken += [vars(trial)] if trial.broken else []
                now = time.monotonic()
                if now - kept > KEEP_SECONDS:
                    keep(record())
                    kept = now
                if shown:
                    print(f"\r{tried:,} tried, {len(broken)} broken", end="\r", flush=True)
                if now - began > seconds:
                    break
        except KeyboardInterrupt:
            stopped = True
    keep(record())
    return stopped


def with_table(page: str, record: dict[str, Any]) -> str:
    """A page whose table, between two marks, is that of the record."""
    head, begin, rest = page.partition("<!-- begin: campaign -->\n")
    _, end, tail = rest.partition("<!-- end: campaign -->")
    rows = [
        "| promise | to try | tried | broken | at most | seed | date |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for found in record.values():
        facts = "; ".join(f"{key} {value:.3g}" for key, value in found["facts"].items()) or "–"
        counts = f"{found['asked']:,} | {found['tried']:,} | {len(found['broken'])}"
        rows.append(f"| {found['promise']} | {counts} | {facts} | {found['seed']} | {found['date']} |")
    return head + begin + "\n".join(rows) + "\n" + end + tail


if __name__ == "__main__":
    sys.exit(main())
