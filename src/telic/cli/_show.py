"""How results look in a terminal: a prompt in a frame, an optimizer's notes as they come."""

from __future__ import annotations

import logging
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.markup import escape
from rich.panel import Panel
from rich.text import Text

if TYPE_CHECKING:
    from rich.console import Console

    from telic.data import Message

_MOST_LINES = 60


def show_prompt(console: Console, title: str, messages: Sequence[Message]) -> None:
    """Print a rendered prompt as it would be sent; long ones lose their middle."""
    lines: list[str] = []
    for message in messages:
        content = message.get("content")
        lines += [f"── {message['role']} ──", *str(content).split("\n")]
    if len(lines) > _MOST_LINES:
        kept = _MOST_LINES // 2
        lines = [*lines[:kept], f"   … {len(lines) - 2 * kept} more lines …", *lines[-kept:]]
    console.print(Panel(Text("\n".join(lines)), title=escape(title), title_align="left"))


class _Lines(logging.Handler):
    def __init__(self, console: Console) -> None:
        super().__init__(logging.INFO)
        self._console = console

    def emit(self, record: logging.LogRecord) -> None:
        self._console.print(f"  [dim]{escape(record.getMessage())}[/dim]", highlight=False, soft_wrap=True)


@contextmanager
def told_notes(console: Console) -> Generator[None]:
    """Print what the optimizers log while the block runs."""
    logger = logging.getLogger("telic.optimizers")
    handler, level = _Lines(console), logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
