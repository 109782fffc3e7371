"""How one module treats assertions: three attributes that stand before the settings of the same names."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Final, TypeVar

from telic._text import did_you_mean
from telic.errors import ConfigurationError

M = TypeVar("M")

_USUAL: Final[Mapping[str, Any]] = {"max_backtracks": 2, "bypass_assert": False, "bypass_suggest": False}


def activate(module: M, handler: Any, options: Mapping[str, Any]) -> M:
    """Set the attributes of `module` that a handler and options say, and return it.

    Args:
        module: A module.
        handler: Anything with such values in `assertion_settings`, or a `partial` of it; None: the usual ones.
        options: Values by name, before those of the handler.

    Raises:
        ConfigurationError: The handler or an option is not known. Nothing is set then.
    """
    while isinstance(handler, partial):
        options = {**handler.keywords, **options}
        handler = handler.func
    values: Any = _USUAL if handler is None else getattr(handler, "assertion_settings", None)
    if values is None:
        raise ConfigurationError(
            f"{handler!r} is no handler of assertions that is known here: take backtrack_handler or another one of "
            "telic.primitives.assertions, or catch telic.AssertionFailed around the call"
        )
    checked = {**values}
    for name, value in options.items():
        if name not in _USUAL:
            raise ConfigurationError(
                f"assertions have no option {name!r}{did_you_mean(name, _USUAL)}; they have: {', '.join(_USUAL)}"
            )
        checked[name] = value
    for name, value in checked.items():
        setattr(module, name, value)
    return module
