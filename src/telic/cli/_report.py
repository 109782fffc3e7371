"""`telic report`: the page of a run, as one HTML file."""

from __future__ import annotations

import webbrowser
from pathlib import Path

from rich.console import Console

from telic.errors import ConfigurationError
from telic.journal import Run
from telic.viewer import report_page


def run(name: str, out: Path | None, candidate: str | None, show: bool) -> None:
    """Write the page.

    Args:
        name: The run.
        out: Where to; None: `report.html` in the run's folder.
        candidate: Whose prompts are shown; None: the best one's.
        show: Open it in the user's browser.

    Raises:
        JournalError: There is no such run or candidate.
        MissingExtraError: plotly is not installed.
        ConfigurationError: The file cannot be written.
    """
    one = Run(name)
    path = one.folder / "report.html" if out is None else out
    page = report_page(one, candidate)
    try:
        path.write_text(page, encoding="utf-8", newline="\n")
    except OSError as error:
        raise ConfigurationError(
            f"the page cannot be written to {str(path)!r}: {error.strerror or error}; name another file with --out"
        ) from error
    Console().print(str(path), soft_wrap=True, highlight=False, markup=False)
    if show:
        webbrowser.open(path.resolve().as_uri())
