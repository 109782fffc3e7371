"""`Assert` and `Suggest`: conditions on what predictors answer, anywhere in a `forward`.

Where a condition does not hold, the predictor that is responsible is asked again with its answer and the message, and
`forward` runs again, with all steps before answered from the run before (`_frame`). After `max_backtracks` retries
`Assert` raises with the last message, and `Suggest` warns and goes on. Nothing needs to be activated.
"""

from __future__ import annotations

import sys
import threading
from typing import Any, Final

from telic._counts import checked_count
from telic._optional import load
from telic._replay import ACTIVE
from telic._text import plural, truncate
from telic.context import get as setting
from telic.data import AssertionOutcome
from telic.errors import AssertionFailed, InputError
from telic.modules._assert_target import Found, NotFound, check_target, find_target
from telic.modules._frame import Backtrack, Frame
from telic.modules._script import Note

_NO_MESSAGE: Final = "It was not accepted."


def Assert(  # noqa: N802  the name that programs use
    condition: bool,
    message: str = "",
    target_module: Any = None,
    is_metric: bool = False,
    *,
    msg: str | None = None,
    backtrack: Any = None,
    name: str | None = None,
    max_backtracks: int | None = None,
) -> bool:
    """Demand a condition: where it does not hold, ask the responsible predictor again; in the end, raise.

    Args:
        condition: Whether all is well; a bool.
        message: What is wrong, in words for the LM: it is given as `feedback`, with the refused outputs.
        target_module: Who is to answer again: a module or predictor, its path in the running module ("hops[0]"), or
            its signature. Its last call is asked again. None: the last predictor call.
        is_metric: Kept for programs that pass it: every assertion is counted.
        msg: Another name of `message`.
        backtrack: Another name of `target_module`.
        name: What it is called in statistics; None: file and line.
        max_backtracks: How often it may have one call asked again; None: the module's own `max_backtracks`, else the
            setting (2).

    Returns:
        True; False where `bypass_assert` is set and it does not hold.

    Raises:
        AssertionFailed: It did not hold, and nothing (more) can be asked again.
        InputError: The condition is no bool.
        ConfigurationError: The target is no part of the program, or has no predictor.

    Cost: at most `max_backtracks` LM calls for each assertion in the code and predictor call it is about, and the later
    steps whose inputs change with them.
    Source: Singhvi et al. 2023 (arXiv 2312.13382). Deviations: earlier steps are replayed, not run again; the frame
    that runs again is the innermost module call that made the target's call; retries are counted for each assertion.

    Example:
        >>> from telic.modules import Module, Predict
        >>> from telic.testing import ScriptedLM
        >>> class Brief(Module):
        ...     def __init__(self):
        ...         self.ask = Predict("question -> answer")
        ...     def forward(self, question):
        ...         made = self.ask(question=question)
        ...         Assert(len(made.answer.split()) < 3, "Use at most two words.")
        ...         return made
        >>> program = Brief()
        >>> program.set_lm(ScriptedLM([{"answer": "It is Rome."}, {"answer": "Rome"}]))
        >>> program(question="Capital of Italy?").answer
        'Rome'
    """
    del is_metric
    said, target = message if msg is None else msg, target_module if backtrack is None else backtrack
    return _check("assert", condition, said, target, name, max_backtracks)


def Suggest(  # noqa: N802  the name that programs use
    condition: bool,
    message: str = "",
    target_module: Any = None,
    is_metric: bool = False,
    *,
    msg: str | None = None,
    backtrack: Any = None,
    name: str | None = None,
    max_backtracks: int | None = None,
) -> bool:
    """Wish for a condition: as `Assert`, but in the end warn and go on with the last answer.

    Returns:
        Whether it held: a wish that did not come true in all its retries is False.

    Raises:
        InputError: The condition is no bool.
        ConfigurationError: The target is no part of the program, or has no predictor.

    Example:
        >>> Suggest("Rome".istitle(), "Write names with a capital.")
        True
    """
    del is_metric
    said, target = message if msg is None else msg, target_module if backtrack is None else backtrack
    return _check("suggest", condition, said, target, name, max_backtracks)


_DECIDING: Final = threading.Lock()  # branches that run at the same time may refuse one call


def _check(kind: str, condition: Any, message: Any, target: Any, name: str | None, limit: int | None) -> bool:
    if name is None:
        name = _place()
    held = condition if type(condition) is bool else _as_bool(f"{kind.capitalize()} at {name}", condition)
    check_target(target)
    if not isinstance(message, str):
        raise InputError(f"{kind.capitalize()}: the message must be text for the LM, got {message!r}")
    frame: Frame | None = ACTIVE.get()
    if held:
        if frame is not None:
            _passed(frame, kind, name, target)
        return True
    if setting(f"bypass_{kind}") or _own(frame, f"bypass_{kind}"):
        _finish(frame, AssertionOutcome(name, kind, False, 0, message, bypassed=True), None)
        return False
    given_up = None if frame is None else frame.given_up()
    if (
        given_up is not None
    ):  # a branch that went on when another one had ended its run: what it says is out of date
        raise Backtrack(given_up)
    found = find_target(frame, target)
    text = message if message.strip() else _NO_MESSAGE
    if isinstance(found, Found):
        allowed = _limit(frame, limit)
        with _DECIDING:
            if found.is_refused or _used(found, name) < allowed:
                _ask_again(found, name, text)
        reason = _told(found, allowed)
    else:
        reason = found.reason
    return _give_up(frame, kind, name, text, found, reason)


def _as_bool(where: str, condition: Any) -> bool:
    """Return the condition as a bool where it is one by another name (NumPy's).

    Raises:
        InputError: It is not; says what to write.
    """
    title = where.partition(" ")[0]
    if type(condition).__name__ in ("bool_", "bool") and type(condition).__module__ == "numpy":
        return bool(condition)
    if hasattr(condition, "__await__"):
        condition.close() if hasattr(condition, "close") else None
        raise InputError(
            f"{where} needs a bool, and got a coroutine: await it first, {title}(await check(…), …)"
        )
    if callable(condition):
        raise InputError(f"{where} needs a bool, and got a function: call it, {title}(check(…), …)")
    hint = f"{title}(… is not None, …)" if condition is None else f"{title}(bool(…), …), or compare it"
    raise InputError(
        f"{where} needs a bool, and got {truncate(repr(condition), 80)} of type {type(condition).__name__}; "
        f"write {hint}"
    )


def _place() -> str:
    """Return where the assertion stands: file and line, as a warning would name them."""
    caller = sys._getframe(3)  # pyright: ignore[reportPrivateUsage]  # of `Assert` or `Suggest`
    return f"{caller.f_code.co_filename.rpartition('/')[2]}:{caller.f_lineno}"


def _own(frame: Frame | None, attribute: str) -> Any:
    """Return what the innermost running module that has a value of its own for this says; None: none has."""
    if frame is None:
        return None
    for one in frame.chain():
        value = getattr(one.module, attribute, None)
        if value is not None:
            return value
    return None


def _limit(frame: Frame | None, limit: Any) -> int:
    if limit is None:
        limit = _own(frame, "max_backtracks")
    if limit is None:
        limit = setting("max_backtracks")
    return checked_count(limit, "max_backtracks", 0)


def _key(found: Found, name: str) -> tuple[str, int, int]:
    return name, id(found.record.predictor), found.nth


def _used(found: Found, name: str) -> int:
    """Return how often this assertion has had this call asked again.

    The note goes with the call through all runs in which it is asked the same; where a correction before it changes its
    inputs, the frame still knows how often its n-th call was asked again, so that a chain of corrections has an end.
    """
    note, used = found.record.note, found.frame.used
    by_note = 0 if note is None else note.used.get(name, 0)
    by_frame = 0 if used is None else used.get(_key(found, name), 0)
    return max(by_note, by_frame)


def _ask_again(found: Found, name: str, message: str) -> None:
    record, frame = found.record, found.frame
    if record.note is None:
        record.note = Note()
    if (
        found.is_refused
    ):  # by a branch that runs at the same time: it is one attempt for both, which hears of both
        record.note.hear(message, name)
        raise Backtrack(frame)
    record.note.refuse(dict(record.fresh().items()), message, name)
    if frame.used is None:
        frame.used = {}
    emitter = setting("send_stream")
    if emitter is not None:
        emitter.backtracked(record.predictor, record.call_id, message)
    key = _key(found, name)
    frame.used[key] = frame.used.get(key, 0) + 1
    raise Backtrack(frame)


def _passed(frame: Frame, kind: str, name: str, target: Any) -> None:
    outcome = AssertionOutcome(name, kind, True)
    if frame.script is None and setting("trace") is None:
        _finish(frame, outcome, None)  # nothing was asked again, and nobody looks at steps
        return
    found = find_target(frame, target)
    _finish(frame, outcome, found if isinstance(found, Found) else None)


def _finish(frame: Frame | None, outcome: AssertionOutcome, found: Found | None) -> None:
    """Note a decided assertion, at the running module and at the step that it is about; tell the stream of it."""
    emitter = setting("send_stream")
    if frame is None:
        if emitter is not None:
            emitter.assertion(outcome)
        return
    if found is not None:
        record = found.record
        said = outcome._replace(target=found.title)
        if record.note is not None:
            said = said._replace(backtracks=record.note.used.get(outcome.name, 0))
            if said.backtracks and not said.message:
                said = said._replace(message=record.note.said[outcome.name])
        outcome = said
        step = record.prediction
        step.note_assertions((*step.get_assertions(), outcome), step.get_correction())
    frame.outcomes.append(outcome)
    if emitter is not None:
        emitter.assertion(outcome)


def _told(found: Found, allowed: int) -> str:
    note = found.record.note
    asked = 1 if note is None else 1 + note.attempts
    told = f"{found.title!r} was asked {plural(asked, 'time')} (max_backtracks={allowed})"
    if allowed and asked == 1:
        told += "; forward took another way each time it ran again, and did not come to that call"
    return told


def _give_up(
    frame: Frame | None, kind: str, name: str, message: str, found: Found | NotFound, reason: str
) -> bool:
    """Raise for an `Assert`; warn, once for each call, for a `Suggest`."""
    call = found if isinstance(found, Found) else None
    _finish(frame, AssertionOutcome(name, kind, False, 0, message), call)
    if call is not None and call.record.note is None:
        call.record.note = Note()
    note = None if call is None else call.record.note
    if kind == "assert":
        raise AssertionFailed(
            f"{message}\nThis Assert at {name} did not hold: {reason}",
            msg=message,
            name=name,
            target="" if call is None else call.title,
            attempts=0 if call is None else 1 + (0 if note is None else note.attempts),
        )
    if note is None or name not in note.warned:
        if note is not None:
            note.warned.add(name)
        load("logging").getLogger("telic").warning(
            "Suggest at %s did not hold, and the program goes on: %s (%s)", name, message, reason
        )
    return False
