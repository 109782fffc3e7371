"""What a running program stands on: the LM, the adapter, the trace and the limits in force.

Two layers, and nothing else is global: `configure` replaces process-wide defaults, from any thread, at once visible
everywhere; `context(…)` lays overrides over them for a block, in one ContextVar, so that threads, tasks and nested
blocks never see each other's. Only overrides are stored: a `configure` inside a block is visible in it.

Library threads carry the context on their own; `copy_context(function)` does it for a pool of the user's.
"""

from __future__ import annotations

import contextvars
import sys
import types
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from typing import Any, Final, ParamSpec, TypeVar, final

from telic._text import did_you_mean
from telic.errors import ConfigurationError

P = ParamSpec("P")
R = TypeVar("R")

DEFAULTS: Final[Mapping[str, Any]] = {
    "lm": None,
    "adapter": None,  # None: ChatAdapter
    "rm": None,
    "trace": None,  # a list that predictor calls append `Step`s to; None: nothing is kept
    "executor": None,  # runs the rows of evaluations elsewhere (`telic.protocols.Executor`); None: here
    "num_threads": 16,  # the limiter of each LM finds what its server takes
    "max_errors": 10,
    "max_retries": 1,  # re-asks of one reply that does not parse
    "max_backtracks": 2,  # how often an assertion has one call asked again
    "bypass_assert": False,  # True: an `Assert` that does not hold is only counted
    "bypass_suggest": False,
    "max_history_size": 1000,  # calls kept for `inspect_history`
    "disable_history": False,
    "track_usage": False,
    "usage_tracker": None,
    "budget": None,  # a `Budget` that every paid call is charged to
    "run": None,  # the open run whose journal keeps what is paid for (`telic.journal`)
    "run_step": "",  # the step of the run that is being worked on
    "run_slot": "",  # the place in the run of a call that goes into a batch
    "journal_tap": None,  # told of each event before a journal writes it; for tests of crashes
    "outage_patience": 300.0,  # seconds that a run waits for an LM that is away
    "role": "task",  # whose calls these are in a report: task, teacher, proposer, judge …
    "sample": 0,  # sample index of calls that do not set one: fresh draws of equal requests
    "lm_options": None,  # generation options laid over every call of the block (a teacher's temperature)
    "caller": (),  # modules being called, outermost first
    "callbacks": (),
    "cassette": None,  # records and answers in the place of remote LMs (`telic.testing.cassette`)
    "forbid_requests": False,  # True: no client may open a socket
    "provide_traceback": False,
    "allow_tool_async_sync_conversion": False,
    "send_stream": None,  # takes the events of a program that is streamed (`telic.streaming`)
    "cancel_scope": None,  # calls off what is done in it (`telic._cancel`)
    "stream_listeners": (),
    "async_max_workers": 128,  # plain `forward`s that event loops wait for at once; they wait for LMs, mostly
    "warn_on_type_mismatch": True,
    "interpreter_factory": None,
}

_global: dict[str, Any] = dict(DEFAULTS)
_overrides: contextvars.ContextVar[dict[str, Any] | None] = contextvars.ContextVar("telic", default=None)


def get(name: str) -> Any:
    """Return one setting as it stands here: the innermost override, else the process default."""
    overrides = _overrides.get()
    if overrides is not None and name in overrides:
        return overrides[name]
    return _global[name]


def overrides() -> Mapping[str, Any]:
    """Return the overrides in force here (not the defaults); not to be changed."""
    return _overrides.get() or {}


def _check(names: Mapping[str, Any]) -> None:
    for name in names:
        if name not in _global:
            raise ConfigurationError(
                f"unknown setting {name!r}{did_you_mean(name, _global)}; "
                "settings of your own are registered once with `telic.settings.register(name, default)`"
            )


def configure(**values: Any) -> None:
    """Replace process-wide defaults, from any thread or task; blocks that override a name keep their own.

    Args:
        values: Settings by name: `lm`, `adapter`, `num_threads`, `max_errors`, `max_retries`, `track_usage` ….

    Raises:
        ConfigurationError: A name is unknown. Nothing is changed then.
    """
    _check(values)
    _global.update(values)  # one dict update: readers see the old or the new value of a name, never half


@contextmanager
def context(**values: Any) -> Generator[None]:
    """Lay settings over the present ones for a `with` block, in this thread or task and what it starts.

    Raises:
        ConfigurationError: A name is unknown.
    """
    _check(values)
    inner = _overrides.get()
    token = _overrides.set(values if inner is None else {**inner, **values})
    try:
        yield
    finally:
        pop(token)


def push(name: str, value: Any) -> contextvars.Token[dict[str, Any] | None]:
    """Lay one override over the present ones, for the hot paths of the library; undo it with `pop(token)`.

    Unlike `context(…)` it does not check the name, and costs a third of it.
    """
    inner = _overrides.get()
    return _overrides.set({name: value} if inner is None else {**inner, name: value})


def pop(token: contextvars.Token[dict[str, Any] | None]) -> None:
    """Undo a `push`, in the same thread or task; elsewhere there is nothing to undo.

    Elsewhere: a generator or coroutine that was begun in one task and is closed, or continued, in another, as servers
    do with streamed answers. The override stayed behind in the context of the first.
    """
    try:
        _overrides.reset(token)
    except ValueError:
        return


def enter(caller: Any) -> contextvars.Token[dict[str, Any] | None] | None:
    """Push `caller` behind those of the setting `caller`, for a module's call; undo it with `pop(token)`.

    Returns:
        The token; None, and nothing is pushed, where `callbacks` or `track_usage` ask to watch the call.
    """
    inner = _overrides.get()
    if inner is None:
        if _global["callbacks"] or _global["track_usage"]:
            return None
        return _overrides.set({"caller": (*_global["caller"], caller)})
    if inner["callbacks"] if "callbacks" in inner else _global["callbacks"]:
        return None
    if inner["track_usage"] if "track_usage" in inner else _global["track_usage"]:
        return None
    return _overrides.set({**inner, "caller": (*inner.get("caller", ()), caller)})


def copy_context(function: Callable[P, R]) -> Callable[P, R]:
    """Return `function` carrying the present context into any thread; each call gets a copy of its own.

    Example:
        >>> from concurrent.futures import ThreadPoolExecutor
        >>> with context(num_threads=3), ThreadPoolExecutor() as pool:
        ...     pool.submit(copy_context(get), "num_threads").result()
        3
    """
    carried = contextvars.copy_context()

    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        return carried.copy().run(function, *args, **kwargs)

    return run


@final
class Settings:
    """The settings as attributes: `settings.lm` reads what holds here; assignment goes through `configure`."""

    __slots__ = ()

    def __getattr__(self, name: str) -> Any:
        try:
            return get(name)
        except KeyError:
            raise AttributeError(f"no setting is called {name!r}{did_you_mean(name, _global)}") from None

    def __setattr__(self, name: str, value: Any) -> None:
        configure(**{name: value})

    def __getitem__(self, name: str) -> Any:
        return getattr(self, name)

    def __contains__(self, name: str) -> bool:
        return name in _global

    def get(self, name: str, default: Any = None) -> Any:
        """Return a setting, or `default` where no setting has that name."""
        return get(name) if name in _global else default

    def configure(self, **values: Any) -> None:
        """Same as `telic.configure`."""
        configure(**values)

    def context(self, **values: Any) -> Any:
        """Same as `telic.context`."""
        return context(**values)

    def register(self, name: str, default: Any = None) -> None:
        """Add a setting of your own, with its default; the same name twice keeps the first."""
        _global.setdefault(name, default)

    def copy(self) -> dict[str, Any]:
        """Return all settings as they hold here."""
        return {**_global, **overrides()}

    def __repr__(self) -> str:
        return f"Settings({', '.join(f'{k}={v!r}' for k, v in self.copy().items() if v != DEFAULTS.get(k))})"


settings: Final = Settings()


@final
class _CallableModule(types.ModuleType):
    """`telic.context` is this module and, as everyone knows it, the function `context`: it is called as one."""

    def __call__(self, **values: Any) -> Any:
        return context(**values)


sys.modules[__name__].__class__ = _CallableModule
