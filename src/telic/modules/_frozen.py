"""Freezing: which parts of a predictor optimizers leave as they are.

A predictor has four learnable parts: its instructions, the descriptions of its fields, its demonstrations, and, in an
agent, the descriptions of its tools. Each can be frozen by name; that is a note on the predictor, `frozen_parts`, which
is copied and saved with it, and binds optimizers alone: the user's own code may assign to anything at any time. What is
frozen as a whole module (`module.frozen = True`, DSPy's `_compiled`) is another thing: programs around it do not see
its predictors at all.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, Self, cast

from telic._text import did_you_mean, join_names
from telic.errors import ConfigurationError
from telic.modules._tree import Leaf, Node, walk

PARTS: Final = ("instructions", "fields", "demos", "tools")
"""What a predictor may learn."""


class Freezable(Node):
    """What predictors can be frozen in: a part of `Module`."""

    def freeze(self, *parts: str) -> Self:
        """Have optimizers leave parts of all predictors in this module as they are, and return it; saved with it.

        Args:
            parts: Any of "instructions", "fields" (their descriptions), "demos", "tools" (their descriptions); none:
                all of them. What was frozen before stays so.

        Raises:
            ConfigurationError: One is no part.

        Example:
            >>> from telic.modules import ChainOfThought
            >>> sorted(ChainOfThought("question -> answer").freeze("instructions").predict.frozen_parts)
            ['instructions']
        """
        _change(self, checked_parts(parts), frozen=True)
        return self

    def unfreeze(self, *parts: str) -> Self:
        """Let optimizers change these parts again (none named: all), and return this module.

        Raises:
            ConfigurationError: One is no part.
        """
        _change(self, checked_parts(parts), frozen=False)
        return self


def _change(root: Node, asked: frozenset[str], *, frozen: bool) -> None:
    asked = asked or frozenset(PARTS)
    for part in walk(root):
        if isinstance(part.value, Leaf) and part.value.is_predictor:
            predictor: Any = part.value
            before: frozenset[str] = predictor.frozen_parts
            predictor.frozen_parts = before | asked if frozen else before - asked


def checked_parts(parts: Iterable[Any]) -> frozenset[str]:
    """Return the names of parts as a set.

    Raises:
        ConfigurationError: One is no part.
    """
    names = tuple(parts)
    unknown = [name for name in names if name not in PARTS]
    if unknown:
        near = did_you_mean(str(unknown[0]), PARTS)
        raise ConfigurationError(
            f"a predictor has no part {unknown[0]!r} to freeze{near}; it has {join_names(PARTS)}"
        )
    return frozenset(cast("tuple[str, ...]", names))


def is_learnable(predictor: Any, part: str) -> bool:
    """Whether optimizers may change a part of a predictor."""
    return part not in getattr(predictor, "frozen_parts", ())
