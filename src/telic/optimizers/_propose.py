"""What optimizers show to an LM that is to write instructions, as text, and how its answers get into a program.

The layouts are few and plain: fields as `name: value` lines with a blank line between examples, attempts from the
worst to the best with their scores, answers followed by what was said to them. The embedded LM was trained on prompts
of these forms (`training/tiny/skills/propose.py`); a larger one reads them as well.

Long values are cut, and what is no text (a picture, a file) is named and not shown: a proposal needs to see what
kind of thing it is, and a few pictures would fill the whole context.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple, cast

from telic._optional import load
from telic._text import truncate
from telic.modules import Module, is_learnable
from telic.types import FieldValue

_LIMIT: Final = 500
"""Characters of one value."""
_CODE_LIMIT: Final = 8_000
_MADE_BY: Final = "telic"

Instructions = Mapping[str, str]
"""The instructions of predictors, by path."""


class Attempt(NamedTuple):
    """An instruction that was tried."""

    text: str
    score: float
    """In percent."""


class Judged(NamedTuple):
    """An answer, and what was said to it."""

    inputs: Mapping[str, Any]
    outputs: Mapping[str, Any]
    feedback: str


class Wording(NamedTuple):
    """The instructions of a predictor in two parts: what its task is, and how its module works.

    A strategy such as `ReAct` tells its predictors, after the task, of steps, fields and tools: without that it cannot
    work, and whoever writes another instruction is not to write it anew.
    """

    task: str
    protocol: str = ""
    """What the module adds; "" for most."""

    def whole(self, task: str) -> str:
        """Return instructions with another task."""
        return task + self.protocol

    def task_of(self, text: str) -> str:
        """Return the task of such instructions."""
        return text.removesuffix(self.protocol)


# Into a program


def instructions_of(program: Any) -> dict[str, str]:
    """Return the instructions of each predictor, by path.

    Example:
        >>> from telic.modules import ChainOfThought
        >>> instructions_of(ChainOfThought("question -> answer"))
        {'predict': 'Given the fields `question`, produce the fields `answer`.'}
    """
    return {path: str(p.signature.instructions) for path, p in program.named_predictors()}


def wordings_of(program: Any) -> dict[str, Wording]:
    r"""Return the instructions of each predictor in their two parts, by path.

    Example:
        >>> from telic.modules import ChainOfThought, ReAct
        >>> wordings_of(ChainOfThought("question -> answer"))["predict"].protocol
        ''
        >>> wordings_of(ReAct("question -> answer", tools=[]))["react"].protocol[:24]
        '\n\nWork in steps toward `'
    """
    holders: list[tuple[str, Any]] = [
        (path, part) for path, part in program.named_sub_modules() if hasattr(part, "signature")
    ]
    return {
        path: _wording(predictor, [part for where, part in holders if _holds(where, path)])
        for path, predictor in program.named_predictors()
    }


def _holds(where: str, path: str) -> bool:
    return where != path and (where == "self" or path.startswith(f"{where}."))


def _wording(predictor: Any, holders: Sequence[Any]) -> Wording:
    text = str(predictor.signature.instructions)
    words = getattr(
        predictor, "words", None
    )  # an agent's predictor knows what it was told before anything was learned
    first = text if words is None else str(words.text)
    for holder in reversed(holders):
        task = str(holder.signature.instructions)
        protocol = first.removeprefix(task)
        if first.startswith(f"{task}\n\n") and text.endswith(protocol):
            return Wording(text.removesuffix(protocol), protocol)
    return Wording(text)


def with_instructions(program: Any, texts: Instructions) -> Any:
    """Return a copy of `program` with these instructions of its predictors, by path; frozen ones stay."""
    made = program.deepcopy()
    for path, predictor in made.named_predictors():
        new = path in texts and texts[path] != predictor.signature.instructions
        if new and is_learnable(predictor, "instructions"):
            predictor.signature = predictor.signature.with_instructions(texts[path])
    return made


# Out of a program


def fields_text(values: Mapping[str, Any], limit: int = _LIMIT) -> str:
    r"""Return fields as `name: value` lines; line breaks within a value become blanks.

    Example:
        >>> fields_text({"question": "What\nnow?", "answer": 4})
        'question: What now?\nanswer: 4'
    """
    return "\n".join(f"{name}: {_value_text(value, limit)}" for name, value in values.items())


def examples_text(rows: Iterable[Any], names: Sequence[str] | None = None, limit: int = _LIMIT) -> str:
    """Return rows or demonstrations as text, a blank line between them.

    Args:
        rows: Examples or mappings.
        names: The fields to show, in this order; None: all that a row has. Empty ones (None) are left out.
        limit: Characters of one value.
    """
    shown: list[str] = []
    for row in rows:
        values = dict(row.items())
        order = [name for name in values if name != "augmented"] if names is None else names
        chosen = {name: values[name] for name in order if values.get(name) is not None}
        shown.append(fields_text(chosen, limit))
    return "\n\n".join(text for text in shown if text)


def attempts_text(attempts: Iterable[Attempt]) -> str:
    r"""Return attempts with their scores, the worst first, so that the text leads on to a better one.

    Example:
        >>> attempts_text([Attempt("Answer briefly.", 71.0), Attempt("Answer.", 40.0)])
        'Answer. (score 40)\nAnswer briefly. (score 71)'
    """
    ordered = sorted(attempts, key=lambda attempt: attempt.score)
    return "\n".join(f"{attempt.text} (score {attempt.score:.0f})" for attempt in ordered)


def judged_text(judged: Iterable[Judged], limit: int = _LIMIT) -> str:
    """Return inputs, answers and feedback, a blank line between them; values cut at `limit` characters."""
    return "\n\n".join(
        "\n".join(text for text in (fields_text(one.inputs, limit), fields_text(one.outputs, limit)) if text)
        + f"\nfeedback: {truncate(one.feedback, 2 * limit)}"
        for one in judged
    )


def described(program: Any, inputs: Sequence[str] = ()) -> str:
    """Return what a program does in terms of fields, without asking an LM.

    Args:
        program: The program.
        inputs: The fields that it is called with, where they are known.

    Example:
        >>> from telic.modules import Predict
        >>> described(Predict("question -> answer"))
        'The program takes question and gives answer.'
    """
    predictors = program.named_predictors()
    if len(predictors) == 1:
        return described_step(predictors[0][1], "The program")
    steps = "\n".join(f"- {described_step(predictor, path)}" for path, predictor in predictors)
    given = f" that takes {', '.join(inputs)}" if inputs else ""
    return f"A program of {len(predictors)} steps{given}:\n{steps}"


def described_step(predictor: Any, name: str) -> str:
    """Return what one predictor does in terms of fields."""
    signature = predictor.signature
    outputs, inputs = ", ".join(signature.output_fields), ", ".join(signature.input_fields)
    return f"{name} takes {inputs} and gives {outputs}." if inputs else f"{name} gives {outputs}."


def source_of(program: Any) -> str:
    """Return the source of the program's own classes, cut at some 8,000 characters; "" where there is none to read.

    The modules of the library are left out: `described` says what they do in fewer words.
    """
    inspect = load("inspect")
    parts: list[Any] = [part for _, part in program.named_sub_modules(Module)]
    classes: list[Any] = list(dict.fromkeys(map(type, parts)))
    own = [cls for cls in classes if cls.__module__.partition(".")[0] != _MADE_BY]
    texts: list[str] = []
    for cls in own:
        try:
            texts.append(inspect.getsource(cls).strip())
        except (OSError, TypeError):  # made in a console, by exec, or compiled: nothing to read
            continue
    return truncate("\n\n".join(texts), _CODE_LIMIT)


def cleaned(proposal: Any) -> str:
    """Return an instruction as it was proposed, without blanks around it, or the quotes that LMs put there.

    Example:
        >>> cleaned(' "Answer in one word." ')
        'Answer in one word.'
    """
    text = str(proposal).strip()
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'`" and text[0] not in text[1:-1]:
        text = text[1:-1].strip()
    return text


def _value_text(value: Any, limit: int) -> str:
    if isinstance(value, FieldValue):
        return f"<{type(value).__name__}>"
    if isinstance(value, (list, tuple)):
        value = [_plain(item) for item in cast("Sequence[Any]", value)]
    text = value if isinstance(value, str) else load("json").dumps(value, ensure_ascii=False, default=_plain)
    return truncate(" ".join(text.split("\n")), limit)


def _plain(value: Any) -> Any:
    if isinstance(value, FieldValue):
        return f"<{type(value).__name__}>"
    to_dict = getattr(value, "to_dict", None)
    if callable(to_dict) and not isinstance(value, type):
        return to_dict()
    plain = isinstance(value, (str, int, float, bool, type(None), list, dict))
    return cast("Any", value) if plain else str(value)
