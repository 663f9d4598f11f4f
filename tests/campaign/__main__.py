"""`PYTHONPATH=tests python -m campaign`: tries to break the promises, and records what it tried."""

import argparse
import datetime
import importlib
import json
import platform
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

from campaign.trials import Trial

CAMPAIGNS = (
    "hostile_inputs", "attacks", "kills", "power_loss", "no_room", "races", "measures", "long_runs",
)  # fmt: skip


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
    names = asked.only or CAMPAIGNS
    record = json.loads(asked.out.read_text()) if asked.out.is_file() else {}
    if asked.table:
        asked.table.write_text(with_table(asked.table.read_text(encoding="utf-8"), record), encoding="utf-8")
        return 0
    for place, name in enumerate(names):
        began, budget = time.monotonic(), asked.minutes * 60 / len(names)
        found = conducted(name, asked.seed, asked.trial, budget, sys.stdout.isatty())
        asked.minutes -= (time.monotonic() - began) / 60 - budget / 60 if place + 1 < len(names) else 0
        record[name] = found
        asked.out.write_text(json.dumps(record, indent=1) + "\n")
        facts = ", ".join(f"{key} {value:.4g}" for key, value in found["facts"].items())
        print(f"{found['promise']}: {found['tried']:,} tried, {len(found['broken'])} broken, at most {facts or '–'}")
        for one in found["broken"][:20]:
            print(f"  {one['number']} {one['what']}\n    {one['broken']}")
    return int(any(found["broken"] for found in record.values()))


def conducted(
    name: str, seed: int, numbers: Iterable[int] | None, seconds: float, shown: bool = False
) -> dict[str, Any]:
    """What a campaign found within a time: counts, broken promises, and the largest of every fact."""
    campaign = importlib.import_module(f"campaign.{name}")
    torch.set_num_threads(1)
    began, processor = time.monotonic(), time.process_time()
    tried, kinds, facts = 0, dict[str, int](), dict[str, float]()
    broken: list[Trial] = []
    with tempfile.TemporaryDirectory() as folder:
        for trial in campaign.trials(Path(folder), seed, range(campaign.ASKED) if numbers is None else numbers):
            tried += 1
            kind = trial.what.partition(":")[0]
            kinds[kind] = kinds.get(kind, 0) + 1
            facts |= {key: max(value, facts.get(key, value)) for key, value in trial.facts.items()}
            broken += [trial] if trial.broken else []
            if shown:
                print(f"\r{tried:,} tried, {len(broken)} broken", end="\r", flush=True)
            if time.monotonic() - began > seconds:
                break
    return {
        "promise": campaign.PROMISE,
        "asked": campaign.ASKED,
        "tried": tried,
        "kinds": kinds,
        "broken": [vars(trial) for trial in broken],
        "facts": facts,
        "seed": seed,
        "date": datetime.date.today().isoformat(),
        "seconds": round(time.monotonic() - began, 1),
        "own_processor_seconds": round(time.process_time() - processor, 1),
        "machine": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "torch": torch.__version__,
    }


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
