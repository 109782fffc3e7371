"""`Predict`: the one module that asks an LM, and the only leaf that learns.

Its state is a signature (instructions, field descriptions), demos, an LM of its own or the configured one, and
generation options. One call joins this with the inputs: the adapter's plan (kept while the state is the same) renders
the messages, the LM answers, the plan parses. Inputs are checked first; a reply that does not parse is asked for again
in the same conversation at most `max_retries` times.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, cast

from telic._replay import ACTIVE
from telic._seed import derive_seed
from telic.adapters import ChatAdapter
from telic.context import get as setting
from telic.data import Message, Prediction, Request, Step
from telic.errors import AdapterParseError, NotConfiguredError
from telic.lm import as_lm
from telic.modules._assert_retry import retry_fields, retry_sample, retry_signature
from telic.modules._flow import adrive, drive
from telic.modules._inputs import positional_error
from telic.modules._module import Module
from telic.modules._options import LOCAL, checked_options
from telic.modules._plan_cache import PreparedPlan, prepared
from telic.modules._reask import Ask, read_all
from telic.modules._strategy import S
from telic.modules._tree import Leaf, copied
from telic.modules._watch import watched
from telic.protocols import Capabilities
from telic.signatures import ensure_signature

if TYPE_CHECKING:
    from telic.data import Response
    from telic.modules._frame import Frame
    from telic.modules._script import Note


_NOT_NATIVE = Capabilities()
_DEFAULT_ADAPTER = ChatAdapter()
_NO_OPTIONS: Mapping[str, Any] = {}


class OpenCall:
    """One call between its request and its prediction."""

    __slots__ = ("again", "asks", "config", "entry", "inputs", "keep", "lm", "note", "request", "run")

    def __init__(
        self,
        entry: PreparedPlan,
        lm: Any,
        request: Request,
        inputs: dict[str, Any],
        config: Mapping[str, Any],
        keep: bool,
    ) -> None:
        self.entry = entry
        self.lm = lm
        self.asks = lm
        """What is asked: the LM, or what watches it."""
        self.request = request
        self.inputs = inputs
        self.config = config
        self.keep = keep
        self.again: OpenCall | None = None
        """What is sent in its place, where an assertion has it asked again."""
        self.note: Note | None = None
        """What assertions have said about it."""
        self.run = 0
        """The run of the frame that it was begun in."""

    def read(self, response: Response) -> Prediction | None:
        """Return the prediction of a response with one completion that parses, as nearly all are; else None."""
        completions = response.completions
        if len(completions) != 1:
            return None
        try:
            return Prediction.of(self.entry.plan.parse(completions[0], self.inputs), response=response)
        except AdapterParseError:
            return None

    def read_again(self, response: Response) -> Generator[Ask, Response, Prediction]:
        """Read many completions, and ask again for what does not parse."""
        retries: int | None = self.config.get("max_retries")
        if retries is None:
            retries = cast("int", setting("max_retries"))
        plan = self.entry.plan
        rows, first = yield from read_all(plan, self.inputs, self.asks, self.request, response, retries)
        return Prediction.of(rows[0], response=first, completions=rows)


class Predict(Module, Leaf, Generic[S]):
    """Ask the LM for the output fields of a signature.

    Args:
        signature: A signature class, or a string such as "question -> answer".
        callbacks: Told of this predictor's calls.
        config: Generation options for all its calls: `temperature`, `max_tokens`, `n` …. They stand before those of
            the LM. `max_retries` here stands before the setting of that name. They are sent as they are: with `n`
            above 1, set a temperature that lets the samples differ.

    Calling it takes the input fields by name. Four more keywords change one call, each only where the signature has no
    input field of that name: `config` (options laid over the predictor's), `demos`, `lm`, `signature`.

    Raises:
        InputError: Inputs are missing, unknown, of a wrong type or given by position; nothing was sent.
        NotConfiguredError: There is no LM.
        AdapterParseError: No reply could be read; `TruncatedReplyError` where it was cut at `max_tokens`.
        LMError: The LM failed.

    Cost: one LM call, and at most `max_retries` more for each completion that does not parse. Safe to call from many
    threads and tasks at once.

    Example:
        >>> messages = Predict("question -> answer").render(question="Where is Paris?")
        >>> [message["role"] for message in messages]
        ['system', 'user']
    """

    is_predictor = True
    _framed = False
    _plans: tuple[PreparedPlan, ...] = ()

    signature: Any
    demos: list[Any]
    lm: Any
    config: dict[str, Any]
    frozen_parts: frozenset[str] = frozenset()
    """What optimizers leave as it is; see `freeze`."""

    def __init__(
        self, signature: str | type[S], callbacks: Sequence[Any] | None = None, **config: Any
    ) -> None:
        self.signature = ensure_signature(signature)
        self.demos = []
        self.lm = None
        self.config = checked_options(config, type(self).__name__) if config else {}
        if callbacks:
            self.callbacks = list(callbacks)

    if TYPE_CHECKING:

        def __call__(self, *args: Any, **inputs: Any) -> S: ...
        async def acall(self, *args: Any, **inputs: Any) -> S: ...

    # One call. What is done before and after the LM's answer is written once; the way to the answer is all that the
    # sync and the async side have of their own, because this is the path of every call.

    def forward(self, *args: Any, **inputs: Any) -> Any:
        """Ask the LM, in this thread."""
        call = self._open(args, inputs)
        frame: Frame | None = ACTIVE.get()
        if frame is not None and (known := self._known(frame, call)) is not None:
            return self._recorded(call, known)
        asked = call if call.again is None else call.again
        try:
            response = asked.asks.complete(asked.request)
            prediction = asked.read(response)
            if prediction is None:
                prediction = drive(asked.read_again(response))
            if asked.asks is not asked.lm:
                asked.asks.answered(prediction)
        except Exception as error:
            if frame is not None:
                frame.failed(self, call, error)
            raise
        return self._recorded(call, prediction)

    async def aforward(self, *args: Any, **inputs: Any) -> Any:
        """Ask the LM, on the running loop."""
        call = self._open(args, inputs)
        frame: Frame | None = ACTIVE.get()
        if frame is not None and (known := self._known(frame, call)) is not None:
            return self._recorded(call, known)
        asked = call if call.again is None else call.again
        try:
            response = await asked.asks.acomplete(asked.request)
            prediction = asked.read(response)
            if prediction is None:
                prediction = await adrive(asked.read_again(response))
            if asked.asks is not asked.lm:
                asked.asks.answered(prediction)
        except Exception as error:
            if frame is not None:
                frame.failed(self, call, error)
            raise
        return self._recorded(call, prediction)

    def _open(self, args: tuple[Any, ...], inputs: dict[str, Any]) -> OpenCall:
        """Check the inputs and render the request."""
        if args:
            raise positional_error(self.signature, len(args))
        lm = self.lm
        if lm is None:
            lm = setting("lm")
        config, keep = self.config, True
        entry = self._prepared(self.signature, self.demos, lm)
        if inputs.keys() != entry.checker.names and (changes := _taken_changes(inputs, entry.checker.names)):
            lm = changes.get("lm", lm)
            if changed := changes.get("config"):
                config = {**config, **checked_options(changed, type(self).__name__)}
            keep = changes.get("_trace", True)
            signature = ensure_signature(changes.get("signature", self.signature))
            entry = self._prepared(signature, changes.get("demos", self.demos), lm)
        inputs = entry.checker.check(inputs)
        if lm is None:
            raise NotConfiguredError(_NO_LM.format(name=entry.signature.__name__))
        if not hasattr(lm, "acomplete") or isinstance(lm, type):
            lm = as_lm(lm)
        return self._ready(entry, lm, inputs, config, keep)

    def _ready(
        self, entry: PreparedPlan, lm: Any, inputs: dict[str, Any], config: Mapping[str, Any], keep: bool
    ) -> OpenCall:
        """Render the request."""
        asks = lm
        if setting("callbacks") or getattr(entry.adapter, "callbacks", ()):
            entry, asks = watched(self, entry, lm)
        call = OpenCall(entry, lm, _request(entry, inputs, config), inputs, config, keep)
        call.asks = asks
        return call

    def _known(self, frame: Frame, call: OpenCall) -> Prediction | None:
        """Return what a call was answered with before `forward` ran again; None: it is to be made now."""
        known = frame.recall(self, call)
        if known is None and (note := call.note) is not None:
            entry = self._prepared(retry_signature(call.entry.signature), call.entry.demos, call.lm)
            fields = retry_fields(call.entry.signature, note.past, note.feedback)
            inputs = {**call.inputs, **fields}
            call.again = self._ready(entry, call.lm, inputs, call.config, call.keep)
            call.again.request.sample = retry_sample(call.again.request.sample, note.attempts)
        return known

    def _recorded(self, call: OpenCall, prediction: Prediction) -> Prediction:
        frame: Frame | None = ACTIVE.get()
        if frame is not None and not frame.answered(self, call, prediction):
            return prediction
        trace: list[Step] | None = setting("trace")
        if trace is not None and call.keep:
            trace.append(Step(self, call.inputs, prediction))
        return prediction

    def _prepared(self, signature: Any, demos: Sequence[Any], lm: Any) -> PreparedPlan:
        adapter = setting("adapter")
        if adapter is None:
            adapter = _DEFAULT_ADAPTER
        capabilities = getattr(lm, "capabilities", _NOT_NATIVE)
        kept = self._plans
        if kept and kept[0].fits(signature, demos, adapter, capabilities):
            return kept[0]
        if isinstance(lm, type):
            as_lm(lm)  # a class: refused
        entry, plans = prepared(kept, signature, demos, adapter, capabilities)
        if plans is not kept:
            self._plans = plans
        return entry

    # Looking, copying

    def render(self, inputs: Mapping[str, Any] | None = None, /, **fields: Any) -> list[Message]:
        """Return the exact messages of a call with these inputs; no LM is needed, and none is called."""
        given = {**(inputs or {}), **fields}
        lm = self.lm if self.lm is not None else setting("lm")
        entry = self._prepared(self.signature, self.demos, lm)
        return entry.plan.render(entry.checker.check(given))

    def reset(self) -> None:
        """Forget the demos, unless they are frozen; instructions, LM and options stay."""
        if "demos" not in self.frozen_parts:
            self.demos = []

    def update_config(self, **options: Any) -> None:
        """Change generation options of this predictor."""
        self.config = {**self.config, **checked_options(options, type(self).__name__)}

    def get_config(self) -> dict[str, Any]:
        """Return the generation options of this predictor."""
        return self.config

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        made = object.__new__(type(self))
        memo[id(self)] = made
        fields = made.__dict__
        fields.update(self.__dict__)
        fields["demos"] = list(
            self.demos
        )  # the rows are shared: a plan is made for their content, not for the list
        if self.config:
            fields["config"] = dict(self.config)
        if len(fields) > 4 + ("_plans" in fields):  # attributes of a subclass, callbacks
            for name, value in self.__dict__.items():
                if name not in _OWN:
                    fields[name] = copied(value, memo)
        return made

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in ("callbacks", "_plans")}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.signature!r})"


_OWN = frozenset({"signature", "demos", "lm", "config", "frozen_parts", "_plans"})
_OVERRIDES = ("signature", "demos", "config", "lm", "_trace")
_NO_LM = (
    "no LM is configured for {name}; call telic.configure(lm=telic.LM('provider/model')) once, or "
    "`with telic.context(lm=…)` around the call, or set `.lm` of the predictor"
)


def _taken_changes(inputs: dict[str, Any], names: frozenset[str]) -> dict[str, Any]:
    """Take the keywords that change one call out of `inputs`; those that are input fields stay there."""
    changes = {name: inputs.pop(name) for name in _OVERRIDES if name in inputs and name not in names}
    expected = inputs.get("prediction")
    if "prediction" not in names and isinstance(expected, dict) and "content" in expected:
        changes["config"] = {**changes.get("config", {}), "prediction": inputs.pop("prediction")}
    return changes


def _request(entry: PreparedPlan, inputs: dict[str, Any], config: Mapping[str, Any]) -> Request:
    messages = entry.plan.render(inputs)
    sample: int = setting("sample")
    if entry.call_options is not None:
        config = {**entry.call_options(inputs), **config}
    if not config and entry.options is None:
        return Request(messages, _NO_OPTIONS, sample=sample, prefix=entry.prefix)
    options = {**(entry.options or _NO_OPTIONS), **config}
    rollout: Any = options.get("rollout_id")
    cache: bool | None = options.get("cache")
    for name in LOCAL:
        options.pop(name, None)
    if rollout is not None:  # the user's draw; under a search, a draw of its own for each of its attempts
        sample = derive_seed(sample, "rollout", rollout) if sample else rollout
    return Request(messages, options, sample=sample, prefix=entry.prefix, cache=cache)
