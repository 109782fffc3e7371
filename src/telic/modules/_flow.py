"""Flows: a strategy written once, driven sync or async.

A flow is a generator that yields what it needs done and gets back what came of it; failures are raised at the `yield`,
so that a flow handles them with an ordinary `try`:

    class Draft(FlowModule):
        def flow(self, *, question):
            draft = yield Call(self.draft, question=question)
            facts = yield Gather(UseTool(search, {"query": q}) for q in draft.queries)
            return (yield Call(self.answer, question=question, facts=facts))

`drive` does the work in the calling thread, and a `Gather` in threads; `adrive` awaits it on the running loop, and runs
plain tools in worker threads so that they never block it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator, Iterable, Mapping, Sequence
from typing import Any, Protocol, TypeVar, cast

from telic._optional import load
from telic._replay import astep
from telic._replay import step as replayed_step
from telic.context import get as setting
from telic.errors import ENDS_A_RUN, TelicError
from telic.execution import RunStopped, is_async, run_all, run_coroutine, run_in_thread
from telic.modules._frame import Backtrack

R = TypeVar("R")


class Effect(Protocol):
    """Something a flow asks for; it knows how to be done both ways."""

    def run(self) -> Any: ...
    async def arun(self) -> Any: ...


Flow = Generator[Effect, Any, R]


class Call:
    """Call a module.

    Args:
        module: A module, or any program.
        inputs: Its inputs by name.
    """

    __slots__ = ("inputs", "module")

    def __init__(self, module: Callable[..., Any], /, **inputs: Any) -> None:
        self.module = module
        self.inputs = inputs

    def run(self) -> Any:
        """Call it in this thread."""
        return self.module(**self.inputs)

    async def arun(self) -> Any:
        """Await its `acall`; what has none is run as a tool would be."""
        acall: Callable[..., Awaitable[Any]] | None = getattr(self.module, "acall", None)
        if acall is not None:
            return await acall(**self.inputs)
        return await UseTool(self.module, self.inputs, replayed=False).arun()


class UseTool:
    """Call a tool: any function, sync or async.

    Args:
        tool: The function.
        arguments: Its arguments by name.
        replayed: False: where an assertion lets the caller run again, it is called again; True: it is not.
    """

    __slots__ = ("arguments", "replayed", "tool")

    def __init__(
        self, tool: Callable[..., Any], arguments: Mapping[str, Any], *, replayed: bool = True
    ) -> None:
        self.tool = tool
        self.arguments = arguments
        self.replayed = replayed and not hasattr(tool, "acall")  # a program's own steps are

    def run(self) -> Any:
        """Call it in this thread; a coroutine is run to its end."""
        return replayed_step(self.tool, dict(self.arguments), self._run) if self.replayed else self._run()

    def _run(self) -> Any:
        result = self.tool(**self.arguments)
        return run_coroutine(_awaited(result)) if hasattr(result, "__await__") else result

    async def arun(self) -> Any:
        """Await it, in a worker thread if it is a plain function."""
        if self.replayed:
            return await astep(self.tool, dict(self.arguments), self._arun)
        return await self._arun()

    async def _arun(self) -> Any:
        acall: Callable[..., Awaitable[Any]] | None = getattr(self.tool, "acall", None)
        if acall is not None:
            return await acall(**self.arguments)
        if is_async(self.tool):
            return await self.tool(**self.arguments)
        result = await run_in_thread(self.tool, **self.arguments)
        return await result if hasattr(result, "__await__") else result


class Gather:
    """Do several things at once, and get the results in order.

    Args:
        effects: What to do: `Call`s, `UseTool`s or other `Gather`s.
        keep_errors: True: a failure stands in the results as the exception. False: all are finished, then the
            first failure (in order) is raised. A spent budget is raised in either case.

    At most `num_threads` (the setting) run at once under the sync driver.
    """

    __slots__ = ("effects", "keep_errors")

    def __init__(self, effects: Iterable[Effect], *, keep_errors: bool = False) -> None:
        self.effects: Sequence[Effect] = list(effects)
        self.keep_errors = keep_errors

    def run(self) -> list[Any]:
        """Run them in threads."""
        if not self.effects:
            return []
        threads = min(setting("num_threads"), len(self.effects))
        try:
            outcomes = run_all(self.effects, _run, num_threads=threads)
        except RunStopped as stopped:  # a spent budget, which starts nothing more
            raise stopped.__cause__ or stopped from None
        return self._results([o.value if o.error is None else o.error for o in outcomes])

    async def arun(self) -> list[Any]:
        """Run them as tasks."""
        results = await load("asyncio").gather(*(e.arun() for e in self.effects), return_exceptions=True)
        return self._results(results)

    def _results(self, results: Sequence[Any]) -> list[Any]:
        kinds = (*ENDS_A_RUN, Backtrack) if self.keep_errors else BaseException
        for result in results:
            if isinstance(result, kinds):
                raise result
        return list(results)


def _run(effect: Effect) -> Any:
    return effect.run()


async def _awaited(awaitable: Any) -> Any:
    return await awaitable


def drive(flow: Flow[R]) -> R:
    """Run a flow to its end in this thread and return its result."""
    step: Callable[[Any], Effect] = flow.send
    value: Any = None
    while True:
        try:
            effect = step(value)
        except StopIteration as stop:
            return stop.value
        try:
            value = effect.run()
            step = flow.send
        except Exception as error:  # noqa: BLE001  thrown into the flow, which handles it or lets it pass
            value = error
            step = flow.throw


async def adrive(flow: Flow[R]) -> R:
    """Run a flow to its end on the running loop and return its result. Cancelling it closes the flow."""
    step: Callable[[Any], Effect] = flow.send
    value: Any = None
    try:
        while True:
            try:
                effect = step(value)
            except StopIteration as stop:
                return stop.value
            try:
                value = await effect.arun()
                step = flow.send
            except Exception as error:  # noqa: BLE001  as in `drive`
                value = error
                step = flow.throw
    finally:
        flow.close()


def as_flow(made: Any, owner: object) -> Flow[Any]:
    """Return `made` if it is a flow.

    Raises:
        TelicError: `flow` was written without a `yield`, and is no generator.
    """
    if not isinstance(made, Generator):
        raise TelicError(
            f"{type(owner).__name__}.flow must be a generator (it contains `yield`); it returned {made!r}"
        )
    return cast("Flow[Any]", made)
