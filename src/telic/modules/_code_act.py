"""`CodeAct`: act by code. Each step is a program that calls tools; what it gives is seen by the next.

As `ReAct`, but one step can call many tools, loop over their results and compute with them. The session stays open from
step to step, so that later code uses the names of earlier code. What goes wrong is the step's observation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from telic._counts import checked_count
from telic._optional import load
from telic._text import join_names
from telic.data import Prediction
from telic.errors import AdapterParseError, InputError
from telic.modules._chain_of_thought import ChainOfThought
from telic.modules._code import (
    Execute,
    InterpreterLike,
    checked_interpreter,
    checked_tools,
    code_of,
    functions_in_words,
    opened,
    refuse_fields,
    shown,
    variables_of,
)
from telic.modules._flow import Flow
from telic.modules._inputs import positional_error
from telic.modules._log import Log
from telic.modules._predict import Predict
from telic.modules._strategy import S, Strategy
from telic.signatures import InputField, OutputField, ensure_signature, make_signature

_OWN_FIELDS = ("trajectory", "generated_code", "finished")
_NOTHING = "(The code printed nothing.)"


class CodeAct(Strategy[S]):
    """Answer with the help of tools that code calls, step by step.

    Args:
        signature: As for `Predict`.
        tools: Functions, sync or async, `Tool`s, programs, or any callables; code calls them by their names.
        max_iters: How many steps at most; `program(…, max_iters=…)` changes one call.
        interpreter: Where code runs: an interpreter, of which every call uses a fresh one; a class or function that
            makes one; None: as the setting `interpreter_factory` says, else `telic.sandbox.MontyInterpreter()`.
        interpreter_factory: The same, under the name that DSPy has for it.
        max_output_chars: How much of what a step prints the LM gets to see; the rest is counted.
        callbacks: Told of this module's calls.

    Returns:
        The outputs, `reasoning`, and `trajectory`: a dict with `generated_code_i` for each step i from 0, and
        `code_output_i` for code that ran, or `observation_i`, what went wrong.

    Raises:
        MissingExtraError: The sandbox is not installed; found before the first LM call.
        ContextWindowExceededError: The prompt does not fit, not even without its oldest steps.
        AdapterParseError: The final answer could not be read.
        BudgetExceeded: Also where a tool raises it; so are the other errors that no code can mend.

    Tools run in this process, with its rights: the sandbox ends where they begin. The inputs are variables of the code
    under their names, where those are no names of Python's own. A reply for a step that cannot be read, after the
    predictor's own re-asks, ends the steps.

    Cost: at most `max_iters + 1` LM calls, and the predictors' re-asks.
    Source: Wang et al. 2024, arXiv 2402.01030. Deviations: the steps are an input field instead of a conversation; a
    second predictor writes the answer; the LM says by a field that it has finished; tools are functions of the host,
    in the place of source that is copied into the sandbox.

    Example:
        >>> from telic.testing import ScriptedLM
        >>> def population(city: str) -> int:
        ...     '''Look up how many people live in a city.'''
        ...     return {"Rome": 2_700_000, "Milan": 1_400_000}[city]
        >>> lm = ScriptedLM([
        ...     {"generated_code": "print(population('Rome') - population('Milan'))", "finished": True},
        ...     {"reasoning": "It was computed.", "answer": "1300000"},
        ... ])
        >>> act = CodeAct("question -> answer: int", tools=[population])
        >>> act(question="How many more people live in Rome than in Milan?", lm=lm).answer
        1300000
    """

    codeact: Predict[Any]
    extractor: ChainOfThought[Any]

    def __init__(
        self,
        signature: str | type[S],
        tools: Sequence[Callable[..., Any]],
        max_iters: int = 5,
        interpreter: InterpreterLike = None,
        *,
        interpreter_factory: InterpreterLike = None,
        max_output_chars: int = 10_000,
        callbacks: Sequence[Any] | None = None,
    ) -> None:
        self.signature = ensure_signature(signature)
        refuse_fields(self.signature, _OWN_FIELDS, "CodeAct")
        self.max_iters = checked_count(max_iters, "CodeAct: max_iters")
        self.max_output_chars = checked_count(max_output_chars, "CodeAct: max_output_chars")
        self.tools = checked_tools(tools, "CodeAct", tuple(self.signature.input_fields))
        self._open = checked_interpreter(interpreter, interpreter_factory, "CodeAct")
        self.codeact = Predict(_acting(self.signature, functions_in_words(list(self.tools.values()))))
        self.extractor = ChainOfThought(self.signature.append("trajectory", InputField(), str))
        if callbacks:
            self.callbacks = list(callbacks)

    def flow(self, *args: Any, **inputs: Any) -> Flow[Any]:
        """Write and run code until the LM has finished, then write the outputs."""
        if args:
            raise positional_error(self.signature, len(args))
        if "trajectory" in inputs:
            raise InputError("the trajectory of a CodeAct begins empty; it is no input")
        steps = self.max_iters
        if "max_iters" in inputs and "max_iters" not in self.signature.input_fields:
            steps = checked_count(inputs.pop("max_iters"), "CodeAct: max_iters")
        variables = variables_of(self.signature, inputs)
        log = Log("trajectory", "CodeAct", self.max_output_chars, "max_output_chars")
        trajectory: dict[str, Any] = {}
        with opened(self._open, "CodeAct") as interpreter:
            yield Execute(
                interpreter, "", variables
            )  # what cannot run or hold them says so before an LM is paid
            for number in range(steps):
                try:
                    wrote = yield from log.ask(self.codeact, inputs)
                except AdapterParseError as error:
                    load("logging").getLogger("telic").warning(
                        "CodeAct ends its steps early: step %d could not be read (%s)", number, error
                    )
                    break
                code, wrong = code_of(wrote.generated_code)
                if wrote.finished and wrong and not code:
                    break  # it needs no more code
                if not wrong:
                    ran = yield Execute(interpreter, code, tools=self.tools)
                    wrong = ran.error
                    if ran.lost:
                        yield Execute(interpreter, "", variables)
                    output = shown(ran, self.max_output_chars)
                    seen = f"{output}\n{wrong}" if wrong and output else wrong or output or _NOTHING
                else:
                    code, seen = wrote.generated_code, wrong
                step = {"generated_code": code, "observation" if wrong else "code_output": seen}
                log.add(step)
                trajectory |= {f"{key}_{number}": value for key, value in step.items()}
                if wrote.finished and not wrong:
                    break
        answer = yield from log.ask(self.extractor, inputs)
        return Prediction.of({"trajectory": trajectory, **dict(answer.items())})


def _acting(signature: Any, functions: str) -> Any:
    """Return what `codeact` is asked: the inputs and the steps so far, for code."""
    outputs = join_names(signature.output_fields)
    text = (
        f"{signature.instructions}\n\n"
        f"Work in steps toward {outputs}. Write in `generated_code` the next piece of Python: it may call the "
        "functions below, and the inputs are variables. What it prints stands in `trajectory`, and names stay for "
        f"the next step. Say in `finished` whether its output completes what is needed for {outputs}."
    )
    if functions:
        text = f"{text}\n\nFunctions:\n{functions}"
    return make_signature(
        {
            **signature.input_fields,
            "trajectory": (str, InputField()),
            "generated_code": (str, OutputField()),
            "finished": (bool, OutputField()),
        },
        text,
        signature_name=f"{signature.__name__}Step",
    )
