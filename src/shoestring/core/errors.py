"""The errors that are the user's to mend; the command line prints them as one message without a traceback."""


class ShoestringError(Exception):
    """Something the user can put right; the message says what and how, in text that any output takes."""

    def __init__(self, message: str) -> None:
        # The name of a file may hold bytes that are no text: each becomes a question mark.
        super().__init__(message.encode(errors="replace").decode())


class UsageError(ShoestringError):
    """A command has words that no verb takes; the command line ends with status 2."""


class OverBudgetError(ShoestringError):
    """A net has more parameters, or a run would take more steps, than its budget allows."""


class DataError(ShoestringError):
    """A data file is missing, damaged or of the wrong shape; the message names the path and the remedy."""


class RecipeError(ShoestringError):
    """A recipe is unknown or does not fit together."""


class RunError(ShoestringError):
    """A run's folder is missing, incomplete or belongs to another recipe."""


class BusyError(RunError):
    """Another process holds the lock of a folder; the message names it."""


class ExportError(ShoestringError):
    """A model cannot leave in the form asked for, or would not answer there as it does here."""


class HubError(ShoestringError):
    """The Hugging Face hub cannot be reached, or does not let a run through."""


class DivergedError(ShoestringError):
    """The loss became NaN or infinite; the message names the step and the last good checkpoint."""


def require_at_least(least: int, **counts: int | None) -> None:
    """Refuses smaller numbers under the names of their options; None stands for one that was not given.

    Raises:
        ShoestringError: One is smaller.
    """
    for name, value in counts.items():
        if value is not None and value < least:
            raise ShoestringError(f"--{name.replace('_', '-')} {value}: give a whole number of at least {least}")
