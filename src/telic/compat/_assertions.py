"""DSPy's handlers of assertions, and how they were switched on.

telic's assertions need none of it. A handler here is a set of values for a module's own `max_backtracks`,
`bypass_assert` and `bypass_suggest`, which hold for it and all that it calls.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Final, final

from telic.context import context
from telic.errors import ConfigurationError, TelicError
from telic.modules import Module


@final
class Handler:
    """One way to treat assertions that do not hold.

    Args:
        name: What it is called.
        settings: What it sets on a module.
    """

    def __init__(self, name: str, **settings: Any) -> None:
        self.__name__ = name
        self.assertion_settings = settings

    def __call__(self, func: Callable[..., Any], **options: Any) -> Callable[..., Any]:
        """Return `func`, run in this way."""

        @wraps(func)
        def handled(*args: Any, **kwargs: Any) -> Any:
            with context(**{**self.assertion_settings, **options}):
                return func(*args, **kwargs)

        return handled

    def __repr__(self) -> str:
        return self.__name__


backtrack_handler: Final = Handler(
    "backtrack_handler", max_backtracks=2, bypass_assert=False, bypass_suggest=False
)
noop_handler: Final = Handler("noop_handler", max_backtracks=0, bypass_assert=True, bypass_suggest=True)
bypass_suggest_handler: Final = Handler(
    "bypass_suggest_handler", max_backtracks=0, bypass_assert=False, bypass_suggest=True
)
bypass_assert_handler: Final = Handler(
    "bypass_assert_handler", max_backtracks=0, bypass_assert=True, bypass_suggest=False
)
suggest_backtrack_handler: Final = backtrack_handler
default_assertion_handler: Final = backtrack_handler


class DSPySuggestionError(TelicError, AssertionError):
    """What DSPy raised for a `Suggest` of a program that was not activated. Never raised: a `Suggest` warns."""


def assert_transform_module(
    module: Any, assertion_handler: Any = default_assertion_handler, **handler_args: Any
) -> Any:
    """Set how a module treats assertions, and return it.

    Args:
        module: A module; it is changed, as ever.
        assertion_handler: A handler of this file, or a `functools.partial` of one.
        handler_args: `max_backtracks`.

    Raises:
        ConfigurationError: The module is none, or the handler or an option is not known.

    Example:
        >>> from functools import partial
        >>> from telic.modules import Predict
        >>> program = assert_transform_module(Predict("a -> b"), partial(backtrack_handler, max_backtracks=1))
        >>> program.max_backtracks
        1
    """
    if not isinstance(module, Module):
        raise ConfigurationError(f"assert_transform_module takes a module, got {module!r}")
    return module.activate_assertions(assertion_handler, **handler_args)


def retry(module: Any) -> Any:
    """Return the predictor as it is: what DSPy's `Retry` wrapped it in, any predictor does."""
    return module
