"""`ProgramOfThought`: let the LM write a program, run it, and answer from what it gives.

One predictor (`code_generate`) writes Python from the inputs; the interpreter runs it; where it fails, another
(`code_regenerate`) sees the code and the error and writes it again; a third (`generate_output`) writes the outputs from
the code and its output. The LM reasons in words, and computes where computing is done without mistakes.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from telic._counts import checked_count
from telic._text import truncate
from telic.data import Prediction
from telic.errors import CodeExecutionError
from telic.modules._chain_of_thought import ChainOfThought
from telic.modules._code import (
    Execute,
    InterpreterLike,
    assigned_last,
    checked_interpreter,
    code_of,
    opened,
    refuse_fields,
    shown,
    variables_of,
)
from telic.modules._flow import Call, Effect, Flow
from telic.modules._inputs import positional_error
from telic.modules._strategy import S, Strategy
from telic.signatures import InputField, OutputField, ensure_signature, make_signature

if TYPE_CHECKING:
    from telic.protocols import Interpreter


_OWN_FIELDS = ("generated_code", "previous_code", "error", "final_generated_code", "code_output")
_MAX_OUTPUT_CHARS = 10_000
_NOTHING = "The code gives no result. Print it."


class ProgramOfThought(Strategy[S]):
    """Answer by writing and running a program.

    Args:
        signature: As for `Predict`.
        max_iters: How many programs at most are written for one call.
        interpreter: Where they run: an interpreter, of which every call uses a fresh one; a class or function that
            makes one; None: as the setting `interpreter_factory` says, else `telic.sandbox.MontyInterpreter()`.
        interpreter_factory: The same, under the name that DSPy has for it.
        callbacks: Told of this module's calls.

    Returns:
        The outputs and `reasoning`, and beside them `final_generated_code` and `code_output`: the program that ran, and
        what it printed or the value of its last line.

    Raises:
        CodeExecutionError: No program ran to its end; it carries the last one and its error.
        MissingExtraError: The sandbox is not installed; found before the first LM call.
        ConfigurationError: A size that cannot work, or a field with a name that the module needs.

    The inputs are variables of the program under their names, where those are no names of Python's own. What it printed
    is its result; where it printed nothing, the value of its last line, or of the variable that this sets.

    Cost: 2 LM calls where the first program runs; one more for each that does not, `max_iters + 1` at most, and the
    predictors' re-asks.
    Source: Chen et al. 2022, arXiv 2211.12588. Deviations: an answer is written from the output by a further LM call,
    as in DSPy, in the place of a variable `ans`; errors are told to the LM, which the paper does not; no worked
    examples are given unless demos are set.

    Example:
        >>> from telic.testing import ScriptedLM
        >>> lm = ScriptedLM([
        ...     {"reasoning": "Sum them.", "generated_code": "print(sum(range(1, 101)))"},
        ...     {"reasoning": "The code gives 5050.", "answer": "5050"},
        ... ])
        >>> ProgramOfThought("question -> answer: int")(question="What is 1 + 2 + … + 100?", lm=lm).answer
        5050
    """

    code_generate: ChainOfThought[Any]
    code_regenerate: ChainOfThought[Any]
    generate_output: ChainOfThought[Any]

    def __init__(
        self,
        signature: str | type[S],
        max_iters: int = 3,
        interpreter: InterpreterLike = None,
        *,
        interpreter_factory: InterpreterLike = None,
        callbacks: Sequence[Any] | None = None,
    ) -> None:
        self.signature = ensure_signature(signature)
        refuse_fields(self.signature, _OWN_FIELDS, "ProgramOfThought")
        self.max_iters = checked_count(max_iters, "ProgramOfThought: max_iters")
        self._open = checked_interpreter(interpreter, interpreter_factory, "ProgramOfThought")
        self.code_generate = ChainOfThought(_writing(self.signature))
        self.code_regenerate = ChainOfThought(_mending(self.signature))
        self.generate_output = ChainOfThought(_answering(self.signature))
        if callbacks:
            self.callbacks = list(callbacks)

    def flow(self, *args: Any, **inputs: Any) -> Flow[Any]:
        """Write a program, run it, mend it where it fails, and answer."""
        if args:
            raise positional_error(self.signature, len(args))
        variables = variables_of(self.signature, inputs)
        with opened(self._open, "ProgramOfThought") as interpreter:
            yield Execute(
                interpreter, "", variables
            )  # what cannot run or hold them says so before an LM is paid
            wrote = yield Call(self.code_generate, **inputs)
            code, output, error = yield from _tried(interpreter, wrote.generated_code, variables)
            for _ in range(self.max_iters - 1):
                if not error:
                    break
                wrote = yield Call(self.code_regenerate, **inputs, previous_code=code, error=error)
                code, output, error = yield from _tried(interpreter, wrote.generated_code, variables)
        if error:
            raise CodeExecutionError(
                f"ProgramOfThought wrote {self.max_iters} programs and none ran; the last one: {truncate(error, 500)}; "
                "raise max_iters, or look at error.code",
                code=code,
                error=error,
            )
        answer = yield Call(self.generate_output, **inputs, final_generated_code=code, code_output=output)
        return Prediction.of({"final_generated_code": code, "code_output": output, **dict(answer.items())})


def _tried(
    interpreter: Interpreter, reply: str, variables: Mapping[str, Any]
) -> Generator[Effect, Any, tuple[str, str, str]]:
    """Run the code of a reply; return it, its output, and what went wrong."""
    code, wrong = code_of(reply)
    if wrong:
        return reply, "", wrong
    ran = yield Execute(interpreter, code, variables)
    if not ran.error and ran.value is None and not ran.output.strip() and (name := assigned_last(code)):
        ran = yield Execute(interpreter, name)
    if ran.error:
        return code, "", ran.error
    output = shown(ran, _MAX_OUTPUT_CHARS)
    return code, output, "" if output else _NOTHING


def _names(signature: Any) -> tuple[str, str]:
    inputs, outputs = signature.input_fields, signature.output_fields
    return ", ".join(f"`{name}`" for name in inputs), ", ".join(f"`{name}`" for name in outputs)


def _code_field() -> tuple[Any, Any]:
    return str, OutputField(desc="Python code that prints the result")


def _writing(signature: Any) -> Any:
    inputs, outputs = _names(signature)
    return make_signature(
        {**signature.input_fields, "generated_code": _code_field()},
        f"{signature.instructions}\n\nWrite Python code that computes {outputs} from {inputs}.",
        signature_name=f"{signature.__name__}Code",
    )


def _mending(signature: Any) -> Any:
    inputs, outputs = _names(signature)
    failed = {"previous_code": (str, InputField()), "error": (str, InputField())}
    return make_signature(
        {**signature.input_fields, **failed, "generated_code": _code_field()},
        f"{signature.instructions}\n\nThe code failed. Write it again, so that it computes {outputs} from {inputs}.",
        signature_name=f"{signature.__name__}MendedCode",
    )


def _answering(signature: Any) -> Any:
    given = signature.append("final_generated_code", InputField(), str)
    return given.append("code_output", InputField(), str)
