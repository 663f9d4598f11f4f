"""Where and when a benchmark ran; shared by the pages here."""

import time
from typing import Any


def conditions(device: str | None = None, engine: Any = None) -> dict[str, Any]:
    """The machine as a training with an engine (by default its defaults) would choose it, torch's version, the date."""
    import torch  # only now: some pages time this import

    from shoestring.core.device import Engine, Machine

    return {
        "machine": Machine.choose(engine or Engine(), device).describe(),
        "torch": str(torch.__version__),
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
    }
