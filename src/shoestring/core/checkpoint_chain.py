"""The chain of checkpoints: a link for each, bound to its content, to the log so far and to the link before.

Whoever has the last link of a chain can tell later whether checkpoints and log are those it was made of.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

FILE = "chain.json"


def next_link(
    links: Sequence[Mapping[str, Any]], step: int, sha256: str, log: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """The link of a checkpoint.

    Args:
        links: Those before.
        step: Steps taken.
        sha256: Of the checkpoint's file, in hex.
        log: All records up to that step.
    """
    link = {"step": step, "sha256": sha256, "log": digest([*log])}
    return link | {"link": digest([links[-1]["link"] if links else "", link])}


def broken_links(links: Sequence[Mapping[str, Any]], log: Sequence[Mapping[str, Any]]) -> list[str]:
    """What is wrong with a chain, a clause for each link that does not follow from the one before and from the log."""
    said: list[str] = []
    for place, link in enumerate(links):
        upto = [record for record in log if record["step"] <= link["step"]]
        if link["log"] != digest(upto):
            said.append(f"the log up to step {link['step']:,} is not that of the checkpoint")
        elif dict(link) != next_link(links[:place], link["step"], link["sha256"], upto):
            said.append(f"the checkpoint of step {link['step']:,} does not follow the one before")
    return said[:2] + ([f"and {len(said) - 2} more"] if len(said) > 2 else [])


def digest(values: Any) -> str:
    """The sha256 of plain JSON values, in hex."""
    return hashlib.sha256(json.dumps(values, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
