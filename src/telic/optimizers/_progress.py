"""What a person sees of a compile: one line that says how far it is and how good the best is so far.

Shown on standard error where that is a terminal; the bar's library is loaded only then.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

from telic._optional import load
from telic.errors import ConfigurationError
from telic.optimizers._pool import Standing


def check_display(show: object) -> None:
    """Refuse a `display_progress` that is none.

    Raises:
        ConfigurationError: It is not True, False or "force".
    """
    if not isinstance(show, bool) and show != "force":
        raise ConfigurationError(f"display_progress must be True, False or 'force', got {show!r}")


@contextmanager
def shown_progress(title: str, show: bool | str) -> Generator[Callable[[Standing], None] | None]:
    """Give what to tell of a run's standing while the block runs, or None where nobody looks.

    Args:
        title: Stands in front.
        show: True: where standard error is a terminal; "force": wherever it goes.
    """
    if show is False or (show is True and not sys.stderr.isatty()):
        yield None
        return
    rich = load("rich.progress")
    whole: Any = load("rich.table").Column(min_width=len(title))
    bar: Any = rich.Progress(
        rich.TextColumn("{task.description}", markup=False, table_column=whole),
        rich.BarColumn(bar_width=20),
        rich.TextColumn("{task.fields[words]}", markup=False),
        rich.TimeElapsedColumn(),
        console=load("rich.console").Console(file=sys.stderr),
    )
    task = bar.add_task(title, total=None, words="")

    def tell(standing: Standing) -> None:
        bar.update(task, completed=standing.done, total=standing.total, words=standing.words)

    with bar:
        yield tell
