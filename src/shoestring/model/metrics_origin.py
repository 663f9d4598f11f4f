"""Where the metrics of a run come from: this machine, the package, or somebody's claim."""

from shoestring import zoo
from shoestring.core.measured_here import was_measured_here
from shoestring.core.run import Run

CLAIMED = "claimed by the run, not measured on this machine"


def metrics_origin(run: Run, split: str) -> str:
    """Who measured what a run has of a split, in a few words."""
    if run.folder.parent == zoo.FOLDER:
        return "shipped with the package"
    return "measured on this machine" if was_measured_here(run, split) else CLAIMED
