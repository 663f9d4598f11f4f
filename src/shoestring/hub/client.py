"""The client library of the hub, and its errors in one line."""

from collections.abc import Generator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from shoestring.core.errors import HubError


def client() -> Any:
    """The module huggingface_hub.

    Raises:
        HubError: It is not installed.
    """
    try:
        return import_module("huggingface_hub")
    except ImportError as error:
        raise HubError("the Hugging Face hub needs a package: pip install 'shoestring[hub]'") from error


def _causes(error: BaseException) -> list[BaseException]:
    """What an error was raised from, the nearest first."""
    cause = error.__cause__
    return [] if cause is None else [cause, *_causes(cause)]


def _status(error: BaseException) -> int | None:
    """The HTTP status that an error is about, if any."""
    return getattr(getattr(error, "response", None), "status_code", None)


@contextmanager
def explained(what: str) -> Generator[Any]:
    """Inside, errors of the client become a `HubError` with a remedy; gives the client, its own bars turned off.

    Args:
        what: What is being done, such as "pushing to user/name".
    """
    library = client()
    bars: Any = import_module("huggingface_hub.utils")
    silent: bool = bars.are_progress_bars_disabled()
    bars.disable_progress_bars()
    try:
        yield library
    except HubError:
        raise
    except Exception as error:  # its own, those of the HTTP library below it, and those of files
        causes = [error, *_causes(error)]
        status = next((code for one in causes if (code := _status(one)) is not None), None)
        first = next(iter(str(error).strip().splitlines()), type(error).__name__)
        remedy = {
            401: "log in with `hf auth login`, or set HF_TOKEN",
            403: "your token may not do that; it needs the right to write",
            404: "is its name right, and may you see it?",
        }.get(status or 0, "is there a connection?" if status is None else "try again")
        raise HubError(f"{what} failed: {first}; {remedy}") from error
    finally:
        if not silent:
            bars.enable_progress_bars()
