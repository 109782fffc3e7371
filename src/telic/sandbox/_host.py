"""The doors in the wall: functions of the host that code inside may call.

Nothing else of the host can be reached, so a function is a permission: code can do what it does, as often as
`max_calls` allows, with any arguments. Arguments and results cross as plain data. What a function raises is raised
inside, by name and message alone, so that code may handle it. What no code can mend (a spent budget, a missing key,
Ctrl-C) ends the code and is raised by `execute`: code cannot catch it, since every later call ends it again.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable, Mapping
from typing import Any, Final, final

from telic._text import truncate
from telic.errors import (
    ENDS_A_RUN,
    LMAuthError,
    LMBillingError,
    MissingExtraError,
    NotConfiguredError,
    RequestsForbiddenError,
)
from telic.sandbox._plain import plain

_FATAL: Final = (
    *ENDS_A_RUN,
    LMAuthError,
    LMBillingError,
    MissingExtraError,
    NotConfiguredError,
    RequestsForbiddenError,
)
_MAX_ERROR_CHARS: Final = 500


class Finish(Exception):
    """Raised by a host function: the code ends here, and that is no error."""


@final
class HostCalls:
    """The host functions of one execution.

    Args:
        functions: By the name that code calls them by.
        max_calls: How many calls one execution may make, of all of them together.
        max_chars: How large arguments and results may be, each.

    Attributes:
        stopped_by: What ended the code, or None.
    """

    __slots__ = ("_functions", "_left", "_max_calls", "_max_chars", "stopped_by")

    def __init__(
        self, functions: Mapping[str, Callable[..., Any]] | None, max_calls: int, max_chars: int
    ) -> None:
        self._functions = dict(functions or {})
        self._max_calls = max_calls
        self._left = max_calls
        self._max_chars = max_chars
        self.stopped_by: BaseException | None = None

    def names(self) -> list[str]:
        """Return the names that code may call."""
        return list(self._functions)

    def call(self, name: str, args: Any, kwargs: Any) -> Any:
        """Call a function for the code inside, and return plain data.

        Raises:
            SystemExit: The code must end; `stopped_by` says why.
            Exception: A built-in one, for the code to handle.
        """
        if self.stopped_by is not None:
            raise SystemExit("stopped")
        self._left -= 1
        if self._left < 0:
            raise RuntimeError(f"the code called functions more than {self._max_calls} times")
        try:
            given = plain(args, self._max_chars)
            named = {str(key): value for key, value in plain(kwargs, self._max_chars).items()}
            return plain(self._functions[name](*given, **named), self._max_chars)
        except (Finish, *_FATAL) as error:
            self.stopped_by = error
            raise SystemExit("stopped") from None
        except Exception as error:  # noqa: BLE001  told to the code, without traceback
            raise _told(error) from None
        except BaseException as error:  # noqa: BLE001  Ctrl-C, a cancellation: raised again when the code has ended
            self.stopped_by = error
            raise SystemExit("stopped") from None

    def bound(self) -> dict[str, Callable[..., Any]]:
        """Return the functions as plain callables."""
        return {name: self._one(name) for name in self._functions}

    def _one(self, name: str) -> Callable[..., Any]:
        return lambda *args, **kwargs: self.call(name, args, kwargs)

    def raise_if_stopped(self) -> None:
        """Raise what ended the code, unless a function ended it as a matter of course."""
        if self.stopped_by is not None and not isinstance(self.stopped_by, Finish):
            raise self.stopped_by


def _told(error: Exception) -> Exception:
    """Return a built-in exception in the place of one that the sandbox does not know."""
    said = truncate(str(error), _MAX_ERROR_CHARS)
    known = getattr(builtins, type(error).__name__, None)
    if known is type(error) and known in _KNOWN:
        return known(said)
    name = type(error).__name__
    return RuntimeError(said if name == "ToolError" else f"{name}: {said}")


_KNOWN: Final = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    FileNotFoundError,
    IndexError,
    KeyError,
    LookupError,
    NotImplementedError,
    PermissionError,
    RuntimeError,
    TimeoutError,
    TypeError,
    ValueError,
    ZeroDivisionError,
)
