"""What the code of an `RLM` can call: LMs, within one limit, and `SUBMIT`, which checks the outputs and ends."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, cast, final

from telic._replay import step
from telic._text import did_you_mean, join_names, plural, truncate
from telic.context import get as setting
from telic.data import Request
from telic.errors import ENDS_A_RUN, LMAuthError, LMBillingError, LMError, NotConfiguredError, ToolError
from telic.lm import as_lm
from telic.modules._flow import Gather, UseTool
from telic.modules._value_text import value_text
from telic.sandbox import Finish
from telic.signatures import type_adapter, type_name

QUERIES: Final = ("llm_query", "llm_query_batched")
SUBMIT: Final = "SUBMIT"
_EDGE: Final = 500


@final
class Session:
    """One call of an `RLM`, as its code sees it.

    Args:
        signature: The outputs that `SUBMIT` takes.
        inputs: For the signature's validators.
        lm: Who answers; None: the configured one.
        max_llm_calls: How many prompts in all.

    Attributes:
        submitted: The outputs, or None.
    """

    __slots__ = ("_inputs", "_left", "_lm", "_lock", "_max", "_signature", "submitted")

    def __init__(self, signature: Any, inputs: Mapping[str, Any], lm: Any, max_llm_calls: int) -> None:
        self._signature = signature
        self._inputs = inputs
        self._lm = lm
        self._max = self._left = max_llm_calls
        self._lock = threading.Lock()
        self.submitted: dict[str, Any] | None = None

    def functions(self) -> dict[str, Callable[..., Any]]:
        """Return the functions by the names that code calls them by."""
        return {"llm_query": self.llm_query, "llm_query_batched": self.llm_query_batched, SUBMIT: self.submit}

    def llm_query(self, prompt: Any) -> str:
        """Ask an LM."""
        self._take([prompt])
        return self._ask(prompt)

    def llm_query_batched(self, prompts: Any) -> list[str]:
        """Ask an LM many prompts at once; what failed is a text that says so."""
        if not isinstance(prompts, (list, tuple)):
            raise TypeError(f"llm_query_batched takes a list of texts, not {type(prompts).__name__}")
        asked = cast("Sequence[Any]", prompts)
        self._take(asked)
        effects = [UseTool(self._ask, {"prompt": one}, replayed=False) for one in asked]
        answers = Gather(effects, keep_errors=True).run()
        for answer in answers:
            if isinstance(answer, BaseException) and not _tellable(answer):
                raise answer
        return [f"Error: {_told(one)}" if isinstance(one, BaseException) else one for one in answers]

    def submit(self, *args: Any, **kwargs: Any) -> None:
        """Give the outputs, in their order or by name (or as one dict), and end.

        Raises:
            ToolError: They do not fit, in words for the LM; the code goes on.
            Finish: They do.
        """
        given = self._named(args, kwargs)
        values: dict[str, Any] = {}
        problems: list[str] = []
        for name, field in self._signature.output_fields.items():
            if name not in given:
                problems.append(f"`{name}` is missing")
                continue
            try:
                values[name] = _as_type(field, given[name])
            except ValueError:
                shown = truncate(repr(given[name]), 100)
                problems.append(
                    f"`{name}` must be {type_name(field.annotation)}{_within(field)}, got {shown}"
                )
        if not problems:
            try:
                values = self._signature.check_outputs(values, self._inputs)
            except ValueError as error:  # the signature's own validators
                problems.append(str(error))
        if problems:
            raise ToolError(f"{SUBMIT}: {'; '.join(problems)}", tool=SUBMIT, problems=tuple(problems))
        self.submitted = values
        raise Finish

    def _named(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        names = list(self._signature.output_fields)
        if (
            len(args) == 1
            and isinstance(args[0], dict)
            and not kwargs
            and set(cast("Any", args[0])) == set(names)
        ):
            return cast("dict[str, Any]", args[0])
        if len(args) > len(names):
            raise ToolError(f"{SUBMIT} takes {join_names(names)}, and got {len(args)} values", tool=SUBMIT)
        unknown = [name for name in kwargs if name not in names]
        if unknown:
            near = did_you_mean(unknown[0], names)
            raise ToolError(f"{SUBMIT} takes {join_names(names)}, not `{unknown[0]}`{near}", tool=SUBMIT)
        return {**dict(zip(names, args, strict=False)), **kwargs}

    def _take(self, prompts: Sequence[Any]) -> None:
        """Take prompts off the limit, all of them or none."""
        wrong = [one for one in prompts if not isinstance(one, str)]
        if wrong:
            raise TypeError(
                f"a prompt is a text, not {type(wrong[0]).__name__}; put values in with an f-string"
            )
        with self._lock:
            if len(prompts) > self._left:
                raise ToolError(
                    f"of {plural(self._max, 'prompt')} to LMs {self._left} are left, and {len(prompts)} were asked: "
                    f"ask fewer, or {SUBMIT} what is known",
                    tool="llm_query",
                )
            self._left -= len(prompts)

    def _ask(self, prompt: str) -> str:
        lm = setting("lm") if self._lm is None else self._lm
        if lm is None:
            raise NotConfiguredError(
                "no LM is configured for llm_query; call telic.configure(lm=…) or pass sub_lm=…"
            )
        request = Request([{"role": "user", "content": prompt}], {})
        return step(lm, prompt, lambda: as_lm(lm).complete(request).completions[0].text)


def described(signature: Any, inputs: Mapping[str, Any]) -> str:
    """Return what the LM is told of the variables: type, length, meaning, and how they begin and end."""
    return "\n\n".join(_described(field, inputs[name]) for name, field in signature.input_fields.items())


def _described(field: Any, value: Any) -> str:
    text = value_text(value)
    held: Any = value
    items = f"{plural(len(held), 'item')}, " if type(held) in (list, tuple, dict, set) else ""
    about = f": {field.desc}" if field.desc else ""
    shown = text if len(text) <= 2 * _EDGE else f"{text[:_EDGE]}\n[…]\n{text[-_EDGE:]}"
    inner = "\n    ".join(shown.splitlines())
    return (
        f"`{field.name}` ({type(held).__name__}, {items}{plural(len(text), 'character')}){about}\n    {inner}"
    )


def _as_type(field: Any, value: Any) -> Any:
    if field.annotation is str and isinstance(value, (int, float)) and not isinstance(value, bool):
        value = str(value)
    return type_adapter(field).validate_python(value)


def _within(field: Any) -> str:
    return (
        f" with {', '.join(f'{k} {v!r}' for k, v in field.constraints.items())}" if field.constraints else ""
    )


def _tellable(error: BaseException) -> bool:
    fatal = (*ENDS_A_RUN, NotConfiguredError, LMAuthError, LMBillingError)
    return isinstance(error, LMError) and not isinstance(error, fatal)


def _told(error: BaseException) -> str:
    return f"{type(error).__name__}: {truncate(str(error), 300)}"
