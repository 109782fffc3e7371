"""`Refine`: attempts that learn from the ones before.

After an attempt that is not good enough, its predictors get a hint for the next one: the reward's own words where it
has any, else the advice of an LM that sees the steps. A hint is one more input of a predictor, in a copy of the program
that lives as long as the attempt; traces and demos hold the steps of the user's own predictors, without hints.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any, Final

from telic._optional import load
from telic._text import truncate
from telic.data import Example, Step
from telic.modules._best_of_n import FATAL, Attempt, Sampling, Under, attempt
from telic.modules._flow import Call, Effect, Flow
from telic.modules._predict import Predict
from telic.modules._tree import Leaf, Node, walk
from telic.modules._value_text import labelled, value_text
from telic.signatures import InputField, OutputField, make_signature

HINT: Final = "hint_"
_NO_HINT: Final = "None was needed."
_MAX_VALUE_CHARS: Final = 2_000

_ADVISE: Final = Predict(
    make_signature(
        {
            "task": (str, InputField(desc="what the program was called with")),
            "modules": (str, InputField(desc="the modules of the program: what each is told to do")),
            "steps": (str, InputField(desc="what the modules were given and what they answered, in order")),
            "reward": (str, InputField(desc="what is measured, as far as it is known")),
            "outcome": (str, InputField(desc="how much reward there was, and how much is wanted")),
            "discussion": (
                str,
                OutputField(desc="why the reward was not higher, and which modules are to blame"),
            ),
            "advice": (
                dict[str, str],
                OutputField(desc="for each module to blame, by name: what it should do"),
            ),
        },
        "A program of several modules answered a task, and its reward was too low. Find the modules whose answers were "
        "the cause, and advise each of them how to answer this task better. The advice is all that a module will see "
        "of this: name concrete facts and rules, and do not speak of the reward, of other modules or of this "
        "discussion. Leave out modules that are not to blame.",
        signature_name="AdviseModules",
    )
)


class Refine(Sampling):
    """Run a program up to `N` times, with hints drawn from the attempts before; return the first that is good enough.

    Args:
        module: A program; it is never changed.
        N: How many attempts at most, 1 or more.
        reward_fn: `reward_fn(inputs, prediction)`, sync or async: a number or a bool; or a `Score`, or a `Prediction`
            with the fields `score` and `feedback`, whose words become the hint.
        threshold: The reward at which the search ends.
        fail_count: How many failures (the program, the reward or the advice raised) one call tolerates; None: `N`.
        callbacks: Told of this module's calls.

    Raises:
        ConfigurationError: A setting cannot work; or no LM is configured. It ends the search at once, as do
            BudgetExceeded, LMAuthError and LMBillingError.
        Exception: That of the last failure, where no attempt succeeded or more than `fail_count` failed.

    Where nothing good enough was found, the best attempt is returned, of equal ones the earliest. Attempts are drawn at
    temperature 1.0 with sample indexes of their own. The advice comes from the LM of the program's first predictor, or
    the configured one. The source of `reward_fn` is shown to it where there is one; none is needed.

    Cost: at most `N` runs of the program and of the reward; and after each but the last, one LM call for advice where
    the reward has no words of its own.
    Source: Madaan et al. 2023 (Self-Refine, arXiv 2303.17651), for programs of several modules. Deviations: fresh
    samples with a hint instead of edits of the last answer; blame is assigned to modules. Deviations from DSPy's
    module: the reward's words are used; async; `fail_count` is for one call; a hint reaches a predictor, not every
    predictor of an equal signature.

    Example:
        >>> from telic.data import Prediction
        >>> from telic.testing import ScriptedLM
        >>> def short(inputs, prediction):
        ...     words = len(prediction.answer.split())
        ...     return Prediction(score=1 / words, feedback=f"{words} words are too many; answer in one.")
        >>> refine = Refine(Predict("question -> answer"), N=3, reward_fn=short, threshold=1.0)
        >>> lm = ScriptedLM([{"answer": "It is Rome."}, {"answer": "Rome"}])
        >>> refine.set_lm(lm)
        >>> refine(question="Capital of Italy?").answer
        'Rome'
        >>> "3 words are too many" in lm.requests[1].messages[-1]["content"]
        True
    """

    def flow(self, *args: Any, **inputs: Any) -> Flow[Any]:
        """Make attempts, each with hints from the one before, until one is good enough."""
        self.checked_inputs(args)
        best: Attempt | None = None
        failures: list[Exception] = []
        hints: dict[str, str] = {}
        for number in range(self.N):
            program, own = with_hints(self.module, hints)
            try:
                made = yield from attempt(program, inputs, self.reward_fn, number=number, of=self.N)
                made = made._replace(trace=[_unhinted(step, own) for step in made.trace])
                if best is None or made.score.value > best.score.value:
                    best = made
                if made.score.value >= self.threshold or number == self.N - 1:
                    break
                hints = yield from self._hints(made, inputs)
            except FATAL:
                raise
            except Exception as error:  # noqa: BLE001  a failed attempt: kept, and raised where there are too many
                failures.append(error)
                self.failed(failures)
        if best is None:
            raise self.last(failures)
        return self.chosen(best)

    def _hints(self, made: Attempt, inputs: Mapping[str, Any]) -> Generator[Effect, Any, dict[str, str]]:
        """Return what to tell each predictor before the next attempt, by path."""
        called = _called(self.module, made.trace)
        if not called:
            return {}
        outcome = f"{made.score.value:g}, and {self.threshold:g} is wanted"
        if made.score.feedback:
            return {
                path: f"Earlier you answered:\n{_answers(step)}\nThis was not good enough: {made.score.feedback}"
                for path, step in called.items()
            }
        lm = next((leaf.lm for leaf in _leaves(self.module).values() if leaf.lm is not None), None)
        advised = yield Under(
            Call(
                _ADVISE,
                task=_fields(inputs),
                modules="\n".join(_described(path, step.predictor) for path, step in called.items()),
                steps=_steps(self.module, made.trace),
                reward=_reward_text(self.reward_fn),
                outcome=outcome,
                **({} if lm is None else {"lm": lm}),
            ),
            trace=None,
        )
        advice: dict[str, str] = advised.advice
        return {path: words for path, words in advice.items() if path in called}


def with_hints(module: Any, hints: Mapping[str, str]) -> tuple[Any, dict[int, Any]]:
    """Return a program whose predictors have hints, and for the `id` of each of its predictors the user's own."""
    if not hints or not isinstance(module, Node):
        return module, {}
    made = load("copy").deepcopy(module)
    own: dict[int, Any] = {}
    for theirs, ours in zip(walk(module), walk(made), strict=True):
        if "callbacks" in theirs.value.__dict__:
            ours.value.__dict__["callbacks"] = theirs.value.__dict__[
                "callbacks"
            ]  # who watches stays who it is
        if isinstance(theirs.value, Leaf):
            own[id(ours.value)] = theirs.value
            if theirs.path in hints and theirs.value.is_predictor:
                _give(ours.value, hints[theirs.path])
    return made, own


def _give(predictor: Any, hint: str) -> None:
    if HINT in predictor.signature.fields:
        return
    field = InputField(desc="advice for this call, from an earlier attempt", default=hint)
    predictor.signature = predictor.signature.append(HINT, field, str)
    predictor.demos = [Example(demo, **{HINT: _NO_HINT}) for demo in predictor.demos]


def _unhinted(step: Step, own: Mapping[int, Any]) -> Step:
    predictor = own.get(id(step.predictor))
    if predictor is None:
        return step
    inputs = {name: value for name, value in step.inputs.items() if name in predictor.signature.fields}
    return Step(predictor, inputs, step.prediction)


def _leaves(module: Any) -> dict[str, Any]:
    if not isinstance(module, Node):
        return {}
    return {part.path: part.value for part in walk(module) if isinstance(part.value, Leaf)}


def _called(module: Any, trace: list[Step]) -> dict[str, Step]:
    """Return the last step of each of the program's predictors that was called, by path."""
    paths = {id(leaf): path for path, leaf in _leaves(module).items()}
    return {paths[id(step.predictor)]: step for step in trace if id(step.predictor) in paths}


def _fields(values: Mapping[str, Any]) -> str:
    return "\n".join(labelled(name, value_text(value, _MAX_VALUE_CHARS)) for name, value in values.items())


def _answers(step: Step) -> str:
    return _fields(dict(step.prediction.items()))


def _described(path: str, predictor: Any) -> str:
    return labelled(path, predictor.signature.instructions)


def _steps(module: Any, trace: list[Step]) -> str:
    paths = {id(leaf): path for path, leaf in _leaves(module).items()}
    told = [
        f"{paths[id(step.predictor)]} was given\n{_fields(step.inputs)}\nand answered\n{_answers(step)}"
        for step in trace
        if id(step.predictor) in paths
    ]
    return "\n\n".join(told)


def _reward_text(reward_fn: Any) -> str:
    """Return the source of a reward function, else its docstring, else that nothing is known."""
    inspect = load("inspect")
    try:
        text: str = inspect.getsource(reward_fn)
    except (OSError, TypeError):  # made in a session, by exec, or no function at all
        text = getattr(reward_fn, "__doc__", None) or "not known"
    return truncate(inspect.cleandoc(text), 2 * _MAX_VALUE_CHARS)
