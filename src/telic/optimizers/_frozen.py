"""What optimizers may learn: the predictors whose part is not frozen, and a refusal where nothing is left to learn."""

from __future__ import annotations

from typing import Any

from telic._text import join_names
from telic.errors import ConfigurationError
from telic.modules import is_learnable


def learners(program: Any, part: str) -> dict[str, Any]:
    """Return the predictors whose `part` an optimizer may change, by path.

    Example:
        >>> from telic.modules import Predict
        >>> list(learners(Predict("question -> answer"), "demos"))
        ['self']
        >>> list(learners(Predict("question -> answer").freeze("demos"), "demos"))
        []
    """
    return {path: one for path, one in program.named_predictors() if is_learnable(one, part)}


def check_learnable(student: Any, optimizer: Any, *parts: str) -> None:
    """Refuse a program in which all that an optimizer could change is frozen.

    Raises:
        ConfigurationError: It is.
    """
    if not any(learners(student, part) for part in parts):
        raise ConfigurationError(
            f"{type(optimizer).__name__} learns {join_names(parts)}, and these are frozen in all predictors of "
            f"{type(student).__name__}; call unfreeze({', '.join(map(repr, parts))}) on one, or take another optimizer"
        )


def check_excluded(program: Any, exclude_demos: bool) -> None:
    """Refuse to take demos away that the program's author froze.

    Raises:
        ConfigurationError: `exclude_demos` would.
    """
    free = learners(program, "demos")
    kept = [path for path, one in program.named_predictors() if one.demos and path not in free]
    if exclude_demos and kept:
        raise ConfigurationError(
            f"exclude_demos=True would take the demos of {join_names(kept)} away, and they are frozen; call "
            "unfreeze('demos') there, or leave exclude_demos out"
        )
