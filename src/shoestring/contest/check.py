"""A submission checked, level by level, and what cannot be shown at all."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from shoestring.contest.finding import Finding, Level, Verdict, verdict
from shoestring.contest.measured import Measured, Sampled, measure
from shoestring.contest.provenance import provenance_findings
from shoestring.contest.replay import replay_findings
from shoestring.contest.static import makes_images, static_findings
from shoestring.contest.submission import Submission, open_submission
from shoestring.core.errors import ExportError, RecipeError, ShoestringError
from shoestring.core.progress import Progress
from shoestring.recipes.rules import Rules

WINDOWS = 3
UNREADABLE = (AttributeError, LookupError, TypeError, ValueError, ArithmeticError, RuntimeError, MemoryError)
"""What reading a record raises that holds other things than a run does: nothing of it was checked before."""


@dataclass(frozen=True)
class Checked:
    """What came of a check.

    Attributes:
        name: Of the submission.
        kind: "classifier" or "generator".
        findings: Level by level.
        measured: What was measured, from level 2 on.
        not_shown: What these levels cannot show, a sentence for each.
    """

    name: str
    kind: str
    findings: list[Finding]
    measured: Measured
    not_shown: list[str]

    @property
    def verdict(self) -> Verdict:
        """The worst of all findings."""
        return verdict(self.findings)

    @property
    def correct(self) -> Tensor | None:
        """As of `Measured`."""
        return self.measured.correct

    def to_json(self) -> dict[str, Any]:
        """Plain values; without answers and samples."""
        metric = self.measured.metric
        return {
            "name": self.name,
            "kind": self.kind,
            "verdict": self.verdict,
            "findings": [one.to_json() for one in self.findings],
            "metric": self.measured.name or None,
            "measured": None if metric is None else metric.to_json(),
            "not_shown": self.not_shown,
        }


def check(
    path: Path,
    rules: Rules,
    level: Level,
    data_folder: Path,
    progress: Progress,
    *,
    windows: int = WINDOWS,
    seed: int | None = None,
    device: str | None = None,
    sampled: Sampled | None = None,
) -> Checked:
    """A submission checked up to a level. No code that it brings is run, whatever was allowed before.

    Args:
        path: A packed file, an ONNX file, or a run's folder.
        rules: What it must keep.
        level: 1 static, 2 measured anew, 3 provenance, 4 replay; each with those before.
        data_folder: Where images lie.
        progress: Reports everything that takes time.
        windows: Windows to replay.
        seed: Decides which windows; by default nobody can know beforehand.
        device: Where to replay.
        sampled: How generators are measured.

    Raises:
        ExportError: It is ONNX, and the extra that reads it is not installed.
    """
    try:
        submission = open_submission(path)
    except ExportError:
        raise
    except (ShoestringError, *UNREADABLE) as error:
        reason = str(error) if isinstance(error, ShoestringError) else f"{type(error).__name__}: {error}"
        return Checked(path.stem, "", [Finding(1, "form", "failed", reason)], Measured([]), [])
    found, measured = list[Finding](), Measured([])
    reached: Level = 1
    try:
        found += static_findings(submission, rules)
        sound = all(one.verdict != "failed" for one in found if one.name in ("form", "recipe", "net"))
        if level >= 2 and sound:
            reached = 2
            measured = measure(submission, rules, data_folder, progress, sampled)
            found += measured.findings
        if level >= 3 and sound:
            reached = 3
            found += provenance_findings(submission)
        if level >= 4 and sound:
            reached = 4
            found += replay_findings(submission, rules, windows, seed, data_folder, device, progress)
    except (RecipeError, *UNREADABLE) as error:
        reason = f"what it says of itself cannot be read: {type(error).__name__}: {error}"
        found.append(Finding(reached, "record", "failed", reason))
    kind = "generator" if makes_images(submission) else "classifier"
    return Checked(submission.name, kind, found, measured, not_shown(submission, level))


def not_shown(submission: Submission, level: Level) -> list[str]:
    """What a check up to a level leaves open, a sentence for each."""
    said = ["How often other trainings were made and thrown away, and whether anything was chosen by test images."]
    if level < 4:
        said.append("That these weights came out of this training on these images: a replay of its run's folder shows "
                    "that, --level 4.")  # fmt: skip
    elif submission.run is not None:
        said.append("That the windows that were not drawn hold no other steps: draw more of them, or all.")
    if level < 2:
        said.append("What it answers: nothing was measured, and what it claims was not believed.")
    return said
