"""What a check finds, and the verdict that findings add up to."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Verdict = Literal["passed", "failed", "not decided"]
Level = Literal[1, 2, 3, 4]
LEVELS: dict[Level, str] = {1: "static", 2: "measured anew", 3: "provenance", 4: "replay"}


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        level: Which level of checks it belongs to.
        name: What was looked at, in a word or two.
        verdict: "not decided" where it cannot be told here, which is no suspicion.
        reason: What was found, in a clause.
        facts: Numbers behind it, as plain JSON values.
    """

    level: Level
    name: str
    verdict: Verdict
    reason: str
    facts: dict[str, Any] = field(default_factory=dict[str, Any])

    def to_json(self) -> dict[str, Any]:
        """Plain values, under the names of its attributes."""
        return asdict(self)


def tell(level: Level, name: str, failures: Iterable[str], otherwise: str, **facts: Any) -> Finding:
    """A finding that fails for given reasons, or passes where there are none."""
    reasons = list(failures)
    return Finding(level, name, "failed" if reasons else "passed", "; ".join(reasons) or otherwise, facts)


def verdict(findings: Iterable[Finding]) -> Verdict:
    """The worst of all: failed, else not decided, else passed."""
    found = {one.verdict for one in findings}
    if "failed" in found:
        return "failed"
    return "not decided" if "not decided" in found else "passed"
