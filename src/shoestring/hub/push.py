"""Puts a run on the hub."""

import json
from pathlib import Path
from typing import Any

from shoestring.core.atomic_files import json_bytes
from shoestring.core.errors import RunError
from shoestring.core.progress import Progress
from shoestring.core.run import Run
from shoestring.hub.address import FILES, Address
from shoestring.hub.card import card
from shoestring.hub.client import explained


def push(run: Run, address: Address, progress: Progress, *, private: bool = False) -> str:
    """The web address of a run's repository, after its files and a model card were put there in one commit.

    Args:
        run: A finished run with its weights.
        address: Where to; made if it is not there.
        progress: Reports the files, and what they tell of this machine.
        private: Whether a repository that is made now is to be seen by its owner only.

    Raises:
        RunError: The run is not finished, or its weights are not kept.
        HubError: There is no connection, or no right to write.
    """
    run.require_weights_kept()
    if not run.has_weights():
        raise RunError(f"{run.folder} is not finished; run the same `train` command again, and push it then")
    data = run.read_recipe()["data"]
    if data.get("path"):
        progress.say(f"recipe.json tells where your images lay: {data['path']}")
    files = sorted(file for pattern in FILES for file in run.folder.glob(pattern) if file.is_file())
    with explained(f"pushing to {address.repository}") as library:
        api = library.HfApi()
        made = api.create_repo(address.repository, private=private, exist_ok=True)
        readme = library.CommitOperationAdd("README.md", card(run, address).encode())
        additions = [library.CommitOperationAdd(_inside(run, file), _content(file)) for file in files]
        with progress.task(f"pushing to {address.repository}", len(files) + 1, "files") as advance:
            api.create_commit(
                address.repository,
                [readme, *additions],
                commit_message=f"{run.read_recipe()['name']}, trained with shoestring",
                revision=address.revision,
            )
            advance(len(files) + 1)
    return str(made)


def _content(file: Path) -> str | bytes:
    """The file, by its path; of what tells where code was on this machine, the same without that."""
    if file.name != "source.json":
        return str(file)
    records: dict[str, dict[str, Any]] = json.loads(file.read_text(encoding="utf-8"))
    without = {part: record | {"origin": None} for part, record in records.items()}
    return json_bytes(without)


def _inside(run: Run, file: Path) -> str:
    return file.relative_to(run.folder).as_posix()
