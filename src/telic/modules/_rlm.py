"""`RLM`: a recursive language model. Inputs of any length are variables of a Python session, not text of the prompt.

The LM sees what kind of values it has and how long they are, and writes code that looks into them, cuts them up, and
asks LMs about the pieces (`llm_query`). What code prints is all that comes back, cut to a size. `SUBMIT(…)` gives the
outputs, checked against their types, and ends.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, cast

from telic._counts import checked_count
from telic._optional import load
from telic._text import join_names
from telic.data import Prediction
from telic.errors import AdapterParseError, ConfigurationError
from telic.modules._code import (
    Execute,
    InterpreterLike,
    checked_interpreter,
    checked_tools,
    code_of,
    functions_in_words,
    opened,
    shown,
)
from telic.modules._flow import Flow
from telic.modules._inputs import InputChecker, positional_error
from telic.modules._log import Log
from telic.modules._predict import Predict
from telic.modules._rlm_session import QUERIES, SUBMIT, Session, described
from telic.modules._strategy import S, Strategy
from telic.signatures import InputField, OutputField, ensure_signature, make_signature, type_name

_RESERVED: Final = (*QUERIES, SUBMIT, "print")
_RESULTS: Final = ("trajectory", "final_reasoning")
_OVERRIDES: Final = ("lm", "config", "_trace")
_NOTHING = "(The code printed nothing.)"


class RLM(Strategy[S]):
    """Answer about inputs that are too long for a prompt, by code and calls of LMs on their parts.

    Args:
        signature: As for `Predict`. The inputs are variables of the code.
        max_iters: How many pieces of code at most.
        max_llm_calls: How many prompts code may send to LMs in one call of the program, in batches or alone.
        max_output_chars: How much of what a piece of code prints the LM gets to see; the rest is counted.
        verbose: Log each step, to the logger "telic" at level INFO.
        tools: Further functions that code may call, as for `CodeAct`.
        sub_lm: The LM that answers `llm_query`; None: the one that writes the code.
        interpreter: Where code runs: an interpreter, of which every call uses a fresh one; a class or function that
            makes one; None: as the setting `interpreter_factory` says, else `telic.sandbox.MontyInterpreter()`.
        interpreter_factory: The same, under the name that DSPy has for it.
        callbacks: Told of this module's calls.

    Returns:
        The outputs, `trajectory` (a list of dicts with `reasoning`, `code` and `output`) and `final_reasoning`.

    Raises:
        InputError: Inputs are missing, unknown or of a wrong type.
        MissingExtraError: The sandbox is not installed; found before the first LM call.
        InterpreterError: An input is larger than the interpreter takes.
        ContextWindowExceededError: The prompt does not fit, not even without its oldest steps.
        BudgetExceeded: Also where a call of `llm_query` meets the limit.

    An LM that fails in `llm_query` is an exception in the code, and a text that begins with "Error:" in the results of
    `llm_query_batched`. A reply that cannot be read ends the steps; so does `max_iters`: the outputs are then written
    from the steps by the predictor `extract`.

    Cost: at most `max_iters + 1` calls of the LM, their re-asks, and `max_llm_calls` of `sub_lm`.
    Source: Zhang and Khattab 2025, arXiv 2512.24601. Deviations: sub-calls are plain calls of an LM (depth 1), each
    counted against one limit; the end is a function with typed arguments, in the place of a text in the reply; what is
    left without an end is extracted by a further call.

    Example:
        >>> from telic.testing import ScriptedLM
        >>> lm = ScriptedLM([{"reasoning": "Count.", "code": "SUBMIT(len(text.split()))"}])
        >>> RLM("text, question -> count: int")(text="one two three", question="How many words?", lm=lm).count
        3
    """

    generate_action: Predict[Any]
    extract: Predict[Any]

    def __init__(
        self,
        signature: str | type[S],
        max_iters: int = 20,
        max_llm_calls: int = 50,
        max_output_chars: int = 10_000,
        verbose: bool = False,
        tools: Sequence[Callable[..., Any]] | None = None,
        sub_lm: Any = None,
        interpreter: InterpreterLike = None,
        *,
        interpreter_factory: InterpreterLike = None,
        callbacks: Sequence[Any] | None = None,
    ) -> None:
        self.signature = ensure_signature(signature)
        _refuse_names(self.signature)
        self.max_iters = checked_count(max_iters, "RLM: max_iters")
        self.max_llm_calls = checked_count(max_llm_calls, "RLM: max_llm_calls")
        self.max_output_chars = checked_count(max_output_chars, "RLM: max_output_chars")
        self.verbose = verbose
        self.sub_lm = sub_lm
        self.tools = checked_tools(tools or (), "RLM", (*_RESERVED, *self.signature.input_fields))
        self._open = checked_interpreter(interpreter, interpreter_factory, "RLM")
        functions = functions_in_words(list(self.tools.values()))
        self.generate_action = Predict(_acting(self.signature, functions, self.max_llm_calls))
        self.extract = Predict(_extracting(self.signature))
        if callbacks:
            self.callbacks = list(callbacks)

    def flow(self, *args: Any, **inputs: Any) -> Flow[Any]:
        """Write and run code until it submits, or extract the outputs from what was found."""
        if args:
            raise positional_error(self.signature, len(args))
        changes = {
            k: inputs.pop(k) for k in _OVERRIDES if k in inputs and k not in self.signature.input_fields
        }
        variables = InputChecker(self.signature).check(inputs)
        session = Session(self.signature, variables, self._asked_lm(changes), self.max_llm_calls)
        functions: Mapping[str, Any] = {**session.functions(), **self.tools}
        shown_inputs = {**changes, "variables_info": described(self.signature, variables)}
        log = Log("repl_history", "RLM", self.max_output_chars, "max_output_chars")
        trajectory: list[dict[str, str]] = []
        with opened(self._open, "RLM") as interpreter:
            yield Execute(
                interpreter, "", variables
            )  # what cannot run or hold them says so before an LM is paid
            for number in range(self.max_iters):
                turn = {**shown_inputs, "iteration": f"{number + 1}/{self.max_iters}"}
                try:
                    wrote = yield from log.ask(self.generate_action, turn)
                except AdapterParseError as error:
                    load("logging").getLogger("telic").warning(
                        "RLM ends its steps early: step %d could not be read (%s)", number, error
                    )
                    break
                code, output = code_of(wrote.code)
                if code:
                    ran = yield Execute(interpreter, code, tools=functions)
                    if ran.lost:
                        yield Execute(interpreter, "", variables)
                    printed = shown(ran, self.max_output_chars)
                    output = f"{printed}\n{ran.error}".strip() if ran.error else printed or _NOTHING
                step = {"reasoning": wrote.reasoning, "code": code or wrote.code, "output": output}
                trajectory.append(step)
                if self.verbose:
                    load("logging").getLogger("telic").info("RLM step %d: %s\n%s\n%s", number, *step.values())
                if session.submitted is not None:
                    return _result(session.submitted, trajectory, wrote.reasoning)
                log.add(step)
        answer = yield from log.ask(self.extract, shown_inputs)
        return _result(dict(answer.items()), trajectory, "")

    def _asked_lm(self, changes: Mapping[str, Any]) -> Any:
        """Return the LM of `llm_query`, or None for the configured one."""
        if self.sub_lm is not None:
            return self.sub_lm
        return changes.get("lm", self.generate_action.lm)


def _result(outputs: Mapping[str, Any], trajectory: list[dict[str, str]], reasoning: str) -> Prediction:
    return Prediction.of({"trajectory": trajectory, "final_reasoning": reasoning, **outputs})


def _refuse_names(signature: Any) -> None:
    for names, fields, what in (
        (_RESERVED, signature.input_fields, "is a name that code has already"),
        (_RESULTS, signature.output_fields, "is a result of the module's own"),
    ):
        for name in names:
            if name in fields:
                raise ConfigurationError(f"RLM: {name!r} {what}; rename that field of the signature")


def _acting(signature: Any, functions: str, max_llm_calls: int) -> Any:
    """Return what `generate_action` is asked: what there is and what was seen, for code."""
    outputs: Mapping[str, Any] = signature.output_fields
    submit = f"{SUBMIT}({', '.join(f'{name}=…' for name in outputs)})"
    kinds = ", ".join(f"`{name}`: {type_name(field.annotation)}" for name, field in outputs.items())
    text = (
        f"{signature.instructions}\n\n"
        f"You work in a Python session. {join_names(signature.input_fields)} are variables there; `variables_info` "
        "says what they hold. Write in `code` what to run next. Names stay for the next piece; of what it does you see "
        "what it prints, in `repl_history`, so print what you need to know, and not more. Look at the values before "
        "you decide, and let LMs read the parts that code cannot judge.\n\n"
        "Functions:\n"
        "- llm_query(prompt: string): asks an LM, which sees this prompt alone, and returns its answer.\n"
        "- llm_query_batched(prompts: array of string): asks many at once and returns their answers in order.\n"
        f"- {submit}: gives the outputs ({kinds}) and ends."
    )
    if functions:
        text = f"{text}\n{functions}"
    text = f"{text}\n\nThe LMs answer {max_llm_calls} prompts in all; one may be tens of thousands of characters long."
    fields = {
        "variables_info": (str, InputField()),
        "repl_history": (str, InputField()),
        "iteration": (str, InputField()),
        "reasoning": (str, OutputField()),
        "code": (str, OutputField()),
    }
    return make_signature(cast("Any", fields), text, signature_name=f"{signature.__name__}Action")


def _extracting(signature: Any) -> Any:
    outputs: Mapping[str, Any] = signature.output_fields
    fields = {"variables_info": (str, InputField()), "repl_history": (str, InputField()), **outputs}
    text = (
        f"{signature.instructions}\n\n"
        f"{join_names(signature.input_fields)} were looked into by code; `repl_history` holds what was run and what it "
        f"printed. There is no more time: write {join_names(outputs)} from what was found."
    )
    return make_signature(cast("Any", fields), text, signature_name=f"{signature.__name__}Extract")
