"""Which names can name a folder on every system."""

import re

DEVICES = r"(con|prn|aux|nul|com[1-9]|lpt[1-9])(\..*)?"  # of Windows


def folder_name(name: str) -> str:
    """The name, if it can be a part of a folder's name on every system, and leads to no other folder.

    Raises:
        ValueError: It cannot.
    """
    device = re.fullmatch(DEVICES, name, re.IGNORECASE)
    if device or not re.fullmatch(r"(?!\.)[^/\\\x00-\x1f\x7f\ud800-\udfff]{1,100}", name):
        raise ValueError(
            f"{name!r} cannot name the folder of a run: take 1 to 100 characters, no / or \\ or control characters, no "
            "dot in front, and no name of a device such as NUL"
        )
    return name
