"""Which columns of a data set hold its images and labels."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Columns:
    """Names, empty where they are to be found.

    Attributes:
        image: Of a table's column, or of a shard's files their ending.
        label: The same; in shards also a key of the JSON beside an image.
    """

    image: str = ""
    label: str = ""


FOUND = Columns()
