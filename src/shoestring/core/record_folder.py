"""A folder of JSON and other files, each whole or not at all, into which one process at a time writes."""

import tempfile
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter

from shoestring.core.atomic_files import forget_unfinished_writes, make_folder, write_atomic, write_json
from shoestring.core.checked import checked, parsed
from shoestring.core.errors import RunError
from shoestring.core.lock import locked
from shoestring.core.progress import Progress

T = TypeVar("T")


@dataclass(frozen=True)
class RecordFolder:
    """The files of a folder, by name.

    Every write is atomic, so that a reader or a resumed training never sees half a file, and on the disk before the
    next one begins, so that a power failure costs no more than a killed process does.
    """

    folder: Path

    @contextmanager
    def locked(self, progress: Progress) -> Generator[None]:
        """Inside, this process alone writes into the folder. Folders made for that and left empty are removed.

        Raises:
            BusyError: Another process is at it.
            RunError: The folder is a file.
        """
        made = [folder for folder in (self.folder, *self.folder.parents) if not folder.exists()]
        try:
            make_folder(self.folder)
        except (FileExistsError, NotADirectoryError):
            raise RunError(f"{self.folder} is a file; name a folder with --run") from None
        try:
            with locked(self.folder / ".lock", progress):
                forget_unfinished_writes(self.folder)
                yield
        finally:
            with suppress(OSError):  # the first that is not empty ends it
                for folder in made:
                    folder.rmdir()

    def require_writable(self, remedy: str) -> None:
        """Does nothing if files can be written into the folder.

        Raises:
            RunError: They cannot, as in a read-only installation; says why, and the remedy.
        """
        try:
            with tempfile.TemporaryFile(dir=self.folder):
                return
        except OSError as error:
            raise RunError(f"nothing can be written into {self.folder} ({error.strerror}); {remedy}") from error

    def read_json(self, name: str) -> Any:
        """A JSON file of the folder."""
        try:
            return parsed((self.folder / name).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise RunError(
                f"{self.folder / name} cannot be read ({error}); is {self.folder} a complete run?"
            ) from error

    def read_as(self, name: str, kind: TypeAdapter[T], otherwise: T) -> T:
        """What a JSON file of the folder holds, as a type has it.

        Args:
            name: Of the file.
            kind: The type.
            otherwise: What there is without that file.

        Raises:
            RunError: It holds something else.
        """
        file = self.folder / name
        return checked(kind, self.read_json(name), file) if file.is_file() else otherwise

    def read_held(self, name: str, kind: TypeAdapter[Any], otherwise: Any) -> Any:
        """What a JSON file of the folder holds, as it is, after it was held against a type; arguments as of `read_as`.

        Raises:
            RunError: It holds something else.
        """
        file = self.folder / name
        if not file.is_file():
            return otherwise
        found = self.read_json(name)
        checked(kind, found, file)
        return found

    def write_json(self, name: str, content: Any) -> None:
        """Replaces a JSON file of the folder."""
        write_json(self.folder / name, content)

    def write_bytes(self, name: str, content: bytes) -> Path:
        """Replaces any other file of the folder, such as "samples/samples.png"."""
        return write_atomic(self.folder / name, content)
