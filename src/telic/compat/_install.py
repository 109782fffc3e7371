"""`import dspy`, served by telic."""

from __future__ import annotations

import importlib
import sys

from telic.compat._callers import read_callers
from telic.compat._paths import Alias, Facade
from telic.errors import ConfigurationError


def install() -> None:
    """Make `import dspy` in this process mean telic, from now on. Calling it twice does no harm.

    Signature strings then find types in the variables of their callers, as DSPy's do.

    Raises:
        ConfigurationError: The real DSPy has been imported already; install before the first `import dspy`.

    Example:
        >>> install()
        >>> import dspy
        >>> from dspy.teleprompt import BootstrapFewShot
        >>> dspy.BootstrapFewShot is BootstrapFewShot
        True
    """
    present = sys.modules.get("dspy")
    if isinstance(present, Facade):
        return
    if present is not None:
        raise ConfigurationError(
            f"'dspy' is already imported from {getattr(present, '__file__', None)!r}; "
            "call telic.compat.install() before anything imports it"
        )
    importlib.import_module("telic")
    read_callers()
    sys.meta_path.insert(0, Alias())
    sys.modules["dspy"] = Facade("dspy", "telic, under the name that programs know.")
