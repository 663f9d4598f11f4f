"""The command line: parses, calls the API, prints. Nothing else in the package prints."""

from shoestring.cli.main import main

__all__ = ["main"]
