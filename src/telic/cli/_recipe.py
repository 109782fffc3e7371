"""`telic recipe`: explain what would be done for the user's data and what it costs, ask, do it."""

from __future__ import annotations

import logging
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import typer
from rich.console import Console

from telic import recipes
from telic.cli import _target
from telic.cli._compile import read_budget
from telic.cli._show import told_notes
from telic.context import context
from telic.errors import ConfigurationError

Settings = tuple[Path, str | None, str | None, bool, bool, int, int | None]
"""out, lm, budget, plan, yes, seed, num_threads"""


def run(name: str, data: tuple[Path, ...], options: dict[str, Any], settings: Settings) -> None:
    """Make the recipe, print it, ask where nobody said yes, compile.

    Raises:
        TelicError: Something cannot work; told before the first LM call where it can be known.
        ConfigurationError: Nobody is there to be asked, and `--yes` was not given.
    """
    out, lm_name, limits, plan_only, yes, seed, num_threads = settings
    budget, lm = read_budget(limits), _target.load_lm(lm_name)
    console = Console()
    with context(**({} if lm is None else {"lm": lm})):
        recipe = getattr(recipes, name)(*data, **options, seed=seed, num_threads=num_threads)
        _say(console, recipe)
        if plan_only:
            return
        if lm is None:
            raise ConfigurationError(
                "name the LM that is to do it: --lm provider/model (telic/tiny is in the box)"
            )
        if not yes:
            _ask()
        with told_notes(console), _quiet():
            found = recipe.compile(out, budget=budget)
    _say(console, f"\n{found}")
    _say(console, f'ask it: telic run {out} "…"')


@contextmanager
def _quiet() -> Generator[None]:
    """Leave out warnings of single calls (an assertion that did not hold): a search makes many, and counts them."""
    logger = logging.getLogger("telic")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _ask() -> None:
    if not sys.stdin.isatty():
        raise ConfigurationError(
            "nothing was paid for yet; add --yes to go on, or --budget to set limits first"
        )
    typer.confirm("Go on?", abort=True)


def _say(console: Console, text: object) -> None:
    console.print(str(text), soft_wrap=True, highlight=False, markup=False)
