"""`Module`: what programs are made of.

A user's module keeps its parts as attributes and says in `forward` (or `aforward`, or both) what it does with them;
`super().__init__()` is not needed. Calling a module runs `forward`, awaiting `acall` runs `aforward`; where only one of
them is written, the other way works too: a coroutine is run to its end, plain code runs in a worker thread. The class
that is nearest in the inheritance order decides.

Built-in modules are `FlowModule`s: their strategy is one generator (see `_flow`), which both ways drive.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Self, TextIO, cast

from telic._optional import load
from telic.context import enter, pop, push
from telic.context import get as setting
from telic.data import Prediction
from telic.errors import ConfigurationError, InputError, ProgramError, StateError
from telic.execution import run_coroutine, run_in_thread
from telic.modules import _state
from telic.modules._assert_settings import activate
from telic.modules._batch import Batch
from telic.modules._flow import adrive, as_flow, drive
from telic.modules._frame import arun_framed, run_framed
from telic.modules._frozen import Freezable
from telic.modules._notes import HistoryView, ReportPlace
from telic.modules._tree import Leaf, find, replace_all, walk
from telic.tracing import UsageTracker, begin, finish, history, write_entries

if TYPE_CHECKING:
    import os

    from telic.data import Message
    from telic.modules._flow import Flow
    from telic.streaming import Stream


class Module(Freezable):
    """The base of programs.

    Args:
        callbacks: Told of this module's calls, after those of the setting `callbacks`.

    Example:
        >>> class Shout(Module):
        ...     def forward(self, text):
        ...         return Prediction(text=text.upper())
        >>> Shout()(text="hi").text
        'HI'
    """

    callbacks: Sequence[Any] = ()
    history: Any = HistoryView()
    """The LM calls of this module that are still kept, oldest first; a program may have an attribute of that name."""
    report: Any = ReportPlace()
    """What the optimizer that made this program found, or None; saved with it. A program may have an attribute of
    that name, which then stands before it."""
    max_backtracks: int | None = None
    """How often an assertion in it has one call asked again; None: as the module around says, else the setting."""
    bypass_assert: bool | None = None
    bypass_suggest: bool | None = None
    _has_aforward: ClassVar[bool] = False
    _framed: ClassVar[bool] = True
    """Whether assertions may be made in it: then a call is recorded, and can run again (`_frame`)."""

    def __init__(self, callbacks: Sequence[Any] | None = None) -> None:
        if callbacks:
            self.callbacks = list(callbacks)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        own = vars(cls)
        if "_framed" not in own and not own.keys().isdisjoint(("forward", "aforward", "flow")):
            cls._framed = True
        if "aforward" in own:
            cls._has_aforward = True
        elif "forward" in own:  # nearer than an inherited `aforward`, which would not do what it says
            cls._has_aforward = False
            cls.aforward = _forward_in_thread

    # Calling

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the program on its inputs."""
        token = None if self.callbacks else enter(self)
        if token is None:
            return self._observed_call(args, kwargs)
        try:
            return run_framed(self, args, kwargs) if self._framed else self.forward(*args, **kwargs)
        finally:
            pop(token)

    async def acall(self, *args: Any, **kwargs: Any) -> Any:
        """Run the program on its inputs, for callers on an event loop; never blocks the loop."""
        token = None if self.callbacks else enter(self)
        if token is None:
            return await self._observed_acall(args, kwargs)
        try:
            if self._framed:
                return await arun_framed(self, args, kwargs)
            return await self.aforward(*args, **kwargs)
        finally:
            pop(token)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Say what the program does. Written by subclasses; the default runs `aforward`."""
        if self._has_aforward:
            return run_coroutine(self.aforward(*args, **kwargs))
        raise ProgramError(
            f"{type(self).__name__} has neither `forward` nor `aforward`: write one of them to say what it does"
        )

    async def aforward(self, *args: Any, **kwargs: Any) -> Any:
        """Say what the program does, as a coroutine. The default runs `forward` in a worker thread."""
        return await run_in_thread(self.forward, *args, **kwargs)

    def _observed_call(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        call = begin("module", self, {"args": args, "kwargs": kwargs})
        tracker, tokens = self._enter()
        try:
            result = run_framed(self, args, kwargs) if self._framed else self.forward(*args, **kwargs)
        except BaseException as error:
            finish(call, None, error)
            raise
        finally:
            _leave(tokens)
        return _close(call, tracker, result)

    async def _observed_acall(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        call = begin("module", self, {"args": args, "kwargs": kwargs})
        tracker, tokens = self._enter()
        try:
            result = await (arun_framed if self._framed else _plain)(self, args, kwargs)
        except BaseException as error:
            finish(call, None, error)
            raise
        finally:
            _leave(tokens)
        return _close(call, tracker, result)

    def _enter(self) -> tuple[UsageTracker | None, list[Any]]:
        tokens = [push("caller", (*setting("caller"), self))]
        tracker = None
        if setting("track_usage") and setting("usage_tracker") is None:
            tracker = UsageTracker()
            tokens.append(push("usage_tracker", tracker))
        return tracker, tokens

    # Parts

    def named_parameters(self) -> list[tuple[str, Any]]:
        """Return the learnable leaves with their paths; those inside modules that were compiled are left out."""
        return [(p.path, p.value) for p in walk(self, skip_compiled=True) if isinstance(p.value, Leaf)]

    def parameters(self) -> list[Any]:
        """Return the learnable leaves."""
        return [leaf for _, leaf in self.named_parameters()]

    def named_predictors(self) -> list[tuple[str, Any]]:
        """Return the predictors with their paths; those inside modules that were compiled are left out."""
        return [(path, leaf) for path, leaf in self.named_parameters() if leaf.is_predictor]

    def predictors(self) -> list[Any]:
        """Return the predictors."""
        return [leaf for _, leaf in self.named_predictors()]

    def named_sub_modules(
        self, type_: type | None = None, skip_compiled: bool = False
    ) -> Iterator[tuple[str, Module]]:
        """Go through all modules, this one first (its path is "self").

        Args:
            type_: Only those of this class.
            skip_compiled: Leave out modules that were compiled, and what is inside them.
        """
        for part in walk(self, skip_compiled=skip_compiled):
            if isinstance(part.value, Module if type_ is None else type_):
                yield part.path, cast("Module", part.value)

    def map_named_predictors(self, func: Callable[[Any], Any]) -> Self:
        """Replace each predictor by `func(predictor)`, everywhere it is held, and return this program."""
        new = {id(predictor): func(predictor) for predictor in self.predictors()}
        return replace_all(self, new)

    def set_lm(self, lm: Any) -> None:
        """Let all predictors use `lm`, those inside compiled modules too; None: the configured one."""
        for part in walk(self):
            if isinstance(part.value, Leaf):
                part.value.lm = lm

    def get_lm(self) -> Any:
        """Return the LM that all predictors use; None means the configured one.

        Raises:
            ConfigurationError: They use different ones.
        """
        lms = {id(leaf.lm): leaf.lm for leaf in self.predictors()}
        if len(lms) > 1:
            raise ConfigurationError(
                f"the predictors of {type(self).__name__} use {len(lms)} different LMs; read `.lm` of each"
            )
        return next(iter(lms.values()), None)

    # Assertions

    def activate_assertions(self, handler: Any = None, **options: Any) -> Self:
        """Set how assertions in this module are treated, by DSPy's name for it, and return it. They work without.

        Args:
            handler: One of `telic.primitives.assertions`, with what it sets in `assertion_settings`; None: the usual.
            options: `max_backtracks`, `bypass_assert` or `bypass_suggest`: attributes of the module from then on.

        Raises:
            ConfigurationError: The handler or an option is not known.
        """
        return activate(self, handler, options)

    # Copies

    def deepcopy(self) -> Self:
        """Return a copy whose parts can be changed freely; LMs, classes and the demos' rows are shared."""
        return self.__deepcopy__({})

    def reset_copy(self) -> Self:
        """Return a copy without demos; instructions and LMs stay."""
        made = self.deepcopy()
        for leaf in made.parameters():
            leaf.reset()
        return made

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "callbacks"}

    # Running over rows

    def batch(
        self,
        examples: Sequence[Any],
        num_threads: int | None = None,
        max_errors: int | None = None,
        return_failed_examples: bool = False,
        provide_traceback: bool | None = None,
        disable_progress_bar: bool = True,
        timeout: float | None = None,
        straggler_limit: int | None = None,
    ) -> Any:
        """Run the program on many examples at once and return its results in their order; see `Parallel`.

        Cost: one call of the program per example.
        """
        how = Batch(num_threads, max_errors, return_failed_examples, True, timeout, straggler_limit)
        return how.checked("batch").run([(self, example) for example in examples])

    # Looking

    def stream(self, *args: Any, **inputs: Any) -> Stream:
        """Return the events of one run while it runs: texts of fields as the LM writes them, tools, usage, the result.

        It is read by `for` in plain code and by `async for` on an event loop, and starts when the first event is
        asked for. Leaving early calls the program off. The events are in `telic.streaming`; `stream.result()` and
        `await stream.aresult()` read to the end and return the prediction.

        Cost: what a call of the program costs.
        """
        made: Stream = load("telic.streaming").Stream(self, args, inputs)
        return made

    def render(self, inputs: Mapping[str, Any] | None = None, /, **fields: Any) -> list[Message]:
        """Return the exact messages that the program's predictor would send; no LM is needed or called.

        Args:
            inputs: Input fields by name, instead of or beside `fields`.
            fields: Input fields; `predictor=path` chooses one where the program has several, and the fields are
                then that predictor's.

        Raises:
            InputError: The inputs do not fit, or the program has several predictors and none is chosen.
        """
        given = {**(inputs or {}), **fields}
        predictors = self.named_predictors()
        path = given.pop("predictor", None) if len(predictors) != 1 else None
        if path is not None:
            return cast("Any", find(self, path).value).render(given)
        if len(predictors) != 1:
            known = ", ".join(repr(name) for name, _ in predictors)
            raise InputError(
                f"{type(self).__name__} has {len(predictors)} predictors ({known}), and what the later ones are "
                "asked depends on replies; render one of them with its own inputs: program.render(predictor=…, …)"
            )
        return predictors[0][1].render(given)

    def inspect_history(self, n: int = 1, file: TextIO | None = None) -> None:
        """Write the last `n` LM calls made inside this module to standard output, or to `file`."""
        write_entries(history(self), n, file)

    def __repr__(self) -> str:
        lines = [f"{path} = {leaf!r}" for path, leaf in self.named_predictors()]
        return "\n".join([f"{type(self).__name__}:", *(f"    {line}" for line in lines)])

    # Saving

    def dump_state(self, json_mode: bool = True) -> dict[str, Any]:
        """Return what was learned, as plain data; see `save`. `json_mode` changes nothing: it always is JSON data."""
        del json_mode
        return _state.dump(self)

    def load_state(self, state: Mapping[str, Any], **unsupported: Any) -> Self:
        """Take over what `dump_state` returned, or what DSPy saved, and return this program; on an error, nothing.

        Raises:
            StateError: It is no saved program, of a newer format, or of a program of another shape.
        """
        _refuse_unsafe(unsupported)
        _state.apply(self, state, source="this state")
        return self

    def save(
        self,
        path: str | os.PathLike[str],
        save_program: bool = False,
        copy_weights: bool = False,
        **unsupported: Any,
    ) -> None:
        """Write what was learned (instructions, demos, LM names, report) to a JSON file; never code, never keys.

        The file is the same for the same state, and readable in a diff; a reader never sees half of it. Weights of
        this machine in its folder are named from there, so that it can be moved; others by where they are, unless
        `copy_weights` copies them to a folder beside the file, "NAME-weights".

        Raises:
            StateError: The file or weights cannot be written, a value is no data, or a whole program was asked for.
        """
        if save_program or any(unsupported.values()):
            raise StateError(
                "telic saves a program's state, not its code: a file that holds code would run it on load. "
                "Call save('program.json'), and load it into the program made by your own code"
            )
        _state.save(self, path, copy_weights=copy_weights)

    def load(self, path: str | os.PathLike[str], allow_pickle: bool = False, **unsupported: Any) -> Self:
        """Read a file that `save` wrote, or a JSON file of DSPy's, into this program, and return it.

        All is taken over or, on an error, nothing. LMs come by name alone: no endpoint, key or class is taken
        from a file, and weights that lie beside it are looked for in its folder alone.

        Raises:
            StateNotFoundError: There is no such file.
            StateError: The file cannot be read, is no saved program, of a newer format, or of another program.
        """
        _refuse_unsafe({"allow_pickle": allow_pickle, **unsupported})
        _state.load_into(self, path)
        return self


def _refuse_unsafe(options: Mapping[str, Any]) -> None:
    """Raise for an option that is on; off is what telic does anyway."""
    wanted = [name for name, value in options.items() if value]
    if wanted:
        raise StateError(
            f"{wanted[0]}={options[wanted[0]]!r}: telic reads saved programs as data alone: no pickles, no endpoints "
            "and no classes from a file; configure the LM in code and load the JSON state"
        )


class FlowModule(Module):
    """A module whose strategy is a flow: a generator of effects, driven sync and async."""

    def flow(self, *args: Any, **kwargs: Any) -> Flow[Any]:
        """Yield what is to be done and return the result."""
        raise ProgramError(f"{type(self).__name__} has no `flow`")

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Drive the flow in this thread."""
        return drive(as_flow(self.flow(*args, **kwargs), self))

    async def aforward(self, *args: Any, **kwargs: Any) -> Any:
        """Drive the flow on the running loop."""
        return await adrive(as_flow(self.flow(*args, **kwargs), self))


async def _plain(self: Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return await self.aforward(*args, **kwargs)


async def _forward_in_thread(self: Module, *args: Any, **kwargs: Any) -> Any:
    return await run_in_thread(self.forward, *args, **kwargs)


def _leave(tokens: list[Any]) -> None:
    for token in reversed(tokens):
        pop(token)


def _close(call: Any, tracker: UsageTracker | None, result: Any) -> Any:
    if tracker is not None and isinstance(result, Prediction):
        result.set_lm_usage(tracker.get_total_tokens())
    finish(call, result)
    return result
