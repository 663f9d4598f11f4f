"""hf://user/name: a run on the Hugging Face hub."""

import re
from dataclasses import dataclass

from shoestring.core.errors import HubError

SCHEME = "hf://"
FILES = (
    "recipe.json",
    "overrides.json",
    "layers.json",
    "classes.json",
    "rules.json",
    "fit.json",
    "pretrained.json",
    "splits.json",
    "environment.json",
    "autotune.json",
    "source.json",
    "chain.json",
    "metrics.json",
    "one_call.json",
    "log.jsonl",
    "weights.safetensors",
    "samples/*",
    "source/*",
)
"""What of a run is pushed and fetched: no checkpoints, which are for going on, and no report, which is made anew."""


@dataclass(frozen=True)
class Address:
    """A repository on the hub.

    Attributes:
        repository: Such as user/name.
        revision: A branch, tag or commit; None for the newest.
    """

    repository: str
    revision: str | None = None

    def __str__(self) -> str:
        return f"{SCHEME}{self.repository}{f'@{self.revision}' if self.revision else ''}"


def is_address(what: object) -> bool:
    """Whether a user means a run on the hub."""
    return str(what).startswith((SCHEME, "hf:/"))  # a path of it has lost a slash


def parse_address(text: str) -> Address:
    """The address that is written as hf://user/name, hf://user/name@revision, or without hf://.

    Raises:
        HubError: It is none.
    """
    found = re.fullmatch(r"(?:hf://?)?([\w.-]+/[\w.-]+)(?:@([\w./-]+))?", text)
    if found is None:
        raise HubError(f"{text!r} is no address on the hub; write user/name, or to take a run hf://user/name")
    return Address(found[1], found[2])
