"""Takes a run from the hub into the cache of the hub's client library."""

from pathlib import Path

from shoestring.core.errors import HubError
from shoestring.core.progress import Progress
from shoestring.core.run import Run
from shoestring.hub.address import FILES, parse_address
from shoestring.hub.client import explained


def fetch(text: str, progress: Progress) -> Run:
    """The run at an address such as hf://user/name, fetched where it is not in the cache. Nothing of it is executed.

    Raises:
        HubError: It cannot be fetched, or holds no run.
    """
    address = parse_address(text)
    with progress.task(f"fetching {address}", 0), explained(f"fetching {address}") as library:
        folder: str = library.snapshot_download(
            address.repository, revision=address.revision, allow_patterns=list(FILES)
        )
    run = Run(Path(folder))
    if not run.exists():
        raise HubError(f"{address} holds no run of shoestring, since it has no recipe.json")
    return run


def is_fetched(run: Run) -> bool:
    """Whether a run lies in the cache of the hub's client, which nobody writes into but that client."""
    home = run.folder.parent
    return home.name == "snapshots" and home.parent.name.startswith("models--")


def fetched_name(run: Run) -> str:
    """What a fetched run is called: the name of its repository without its user's."""
    return run.folder.parent.parent.name.rpartition("--")[2]
