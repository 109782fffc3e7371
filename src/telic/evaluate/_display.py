"""What a person sees of an evaluation: a progress bar with the running score, and a table. The one place with rich."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, final

from telic._optional import load
from telic._text import truncate

if TYPE_CHECKING:
    from telic.evaluate._row import Row

_CELL = 80


@final
class Progress:
    """A bar on standard error: rows done, mean so far, failures. `with Progress(n) as bar: bar.add(row)`."""

    def __init__(self, total: int) -> None:
        rich = load("rich.progress")
        console = load("rich.console").Console(file=sys.stderr)
        self._bar: Any = rich.Progress(
            rich.TextColumn("{task.description}"),
            rich.BarColumn(),
            rich.MofNCompleteColumn(),
            rich.TimeElapsedColumn(),
            console=console,
        )
        self._task: Any = self._bar.add_task("evaluating", total=total)
        self._sum = 0.0
        self._count = 0
        self._failed = 0

    def add(self, row: Row) -> None:
        """Count a finished row."""
        self._count += 1
        self._sum += row.score
        self._failed += row.error is not None
        said = f"score {100 * self._sum / self._count:.1f} %"
        if self._failed:
            said += f", {self._failed} failed"
        self._bar.update(self._task, advance=1, description=said)

    def __enter__(self) -> Progress:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()


def show_table(records: Sequence[Mapping[str, Any]], metric_name: str, n: int | None, console: Any) -> None:
    """Print the first `n` records; the score's column stands last but the notes, in bold."""
    shown = records if n is None else records[:n]
    names = dict.fromkeys(
        name for record in shown for name in record if name not in ("seconds", "tokens", "cost_usd")
    )
    text = load("rich.text").Text  # plain text: markup inside data stays what it is
    table = load("rich.table").Table(show_lines=False)
    for name in names:
        table.add_column(text(name), style="bold" if name == metric_name else None, overflow="fold")
    for record in shown:
        table.add_row(*(text(truncate(str(record.get(name, "")), _CELL)) for name in names))
    console = load("rich.console").Console() if console is None else console
    console.print(table)
    if len(shown) < len(records):
        console.print(text(f"… {len(records) - len(shown)} more rows"))
