"""The command line: `telic demo`, `telic compile`, `telic eval`. The only place of the library that prints."""

from telic.cli._app import main as main

__all__ = ["main"]
