"""Small functions that programs import from DSPy: list and logging helpers that telic itself has no use for."""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable, Iterable
from typing import Any, TypeVar

Item = TypeVar("Item", bound=Hashable)
Function = TypeVar("Function", bound=Callable[..., Any])


def deduplicate(seq: Iterable[Item]) -> list[Item]:
    """Return each item once, in the order of its first appearance.

    Example:
        >>> deduplicate(["b", "a", "b"])
        ['b', 'a']
    """
    return list(dict.fromkeys(seq))


class dotdict(dict[str, Any]):  # noqa: N801  the name that programs import
    """A dict whose keys are attributes too.

    Example:
        >>> passage = dotdict(long_text="Ada was born in London.")
        >>> passage.long_text
        'Ada was born in London.'
    """

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError as error:
            raise AttributeError(f"this dotdict has no {name!r}") from error

    def __setattr__(self, name: str, value: Any) -> None:
        self[name] = value

    def __delattr__(self, name: str) -> None:
        try:
            del self[name]
        except KeyError as error:
            raise AttributeError(f"this dotdict has no {name!r}") from error


def disable_logging() -> None:
    """Let the library say nothing through `logging`."""
    logging.getLogger("telic").setLevel(logging.CRITICAL + 1)


def enable_logging() -> None:
    """Undo `disable_logging`."""
    logging.getLogger("telic").setLevel(logging.NOTSET)


def disable_litellm_logging() -> None:
    """Let LiteLLM say errors only, where it is used at all."""
    logging.getLogger("LiteLLM").setLevel(logging.ERROR)


def enable_litellm_logging() -> None:
    """Let LiteLLM say everything."""
    logging.getLogger("LiteLLM").setLevel(logging.DEBUG)


def with_callbacks(fn: Function) -> Function:
    """Return `fn` as it is: calls of modules, LMs, adapters, tools and evaluations tell callbacks by themselves."""
    return fn
