"""What is said of a name that nobody knows."""

import difflib
from typing import Any


def did_you_mean(what: str, given: str, known: Any) -> str:
    """The sentence that says a name is unknown and which known one is nearest.

    Args:
        what: What the name should have been, such as "recipe".
        given: The name the user gave.
        known: The names that would have been understood.
    """
    names = sorted(str(name) for name in known)
    nearest = difflib.get_close_matches(given, names, n=1, cutoff=0.5)
    hint = f"did you mean {nearest[0]!r}?" if nearest else f"known: {', '.join(names)}."
    return f"unknown {what} {given!r}; {hint}"
