"""Reflection: an LM reads what a predictor was given and answered, and what was said to that; it writes instructions.

Section 3.2 of the paper. What is asked is one small question of the forms that `_propose` has; a proposer of the
user's own (`instruction_proposer=`) is any callable with the three keywords of `InstructionProposer.__call__`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, final

from telic._seed import derive_seed
from telic.context import context
from telic.errors import ConfigurationError, TelicError
from telic.evaluate import FATAL, callable_key, check_count, lm_identity, resolved, settings_key, stable
from telic.modules import Predict, is_learnable
from telic.optimizers._components import KINDS, free_components, split_name
from telic.optimizers._propose import Judged, cleaned, described, judged_text
from telic.signatures import make_signature

if TYPE_CHECKING:
    from telic.optimizers._compile import Compile

META: Final = (
    "Improve the instruction. It was given to a language model; the examples show what the model answered under it, "
    "and feedback on that. Say all that the feedback teaches and the instruction lacks: what is wanted, facts, how to "
    "answer. Keep what works, and write for new inputs, not for these."
)
SHORT: Final = "Keep it short."
_VALUE_CHARS: Final = 4_000
_TOOLS: Final = re.compile(r"^- (`[^`]+`).*$", re.MULTILINE)
_TOOLS_HEAD: Final = "Tools:"

Dataset = Mapping[str, Sequence[Mapping[str, Any]]]
"""For each predictor, by path, its cases: "Inputs", "Generated Outputs" and "Feedback"."""


@final
class InstructionProposer:
    """Writes new instructions from present ones and cases with feedback, by one question to the LM in force.

    Args:
        base_instructions: The question, in place of the usual one.
        additional_instructions: What to add to it.
        max_chars: The most characters of new instructions: longer ones are given back once to be shortened, and
            refused if they still are.

    Example:
        >>> from telic.testing import ScriptedLM
        >>> seen = {"Inputs": {"question": "2+2"}, "Generated Outputs": {"answer": "four"}, "Feedback": "In digits."}
        >>> with context(lm=ScriptedLM([{"new_instruction": "Answer in digits."}])):
        ...     InstructionProposer()(
        ...         candidate={"self": "Add."}, reflective_dataset={"self": [seen]}, components_to_update=["self"]
        ...     )
        {'self': 'Answer in digits.'}
    """

    def __init__(
        self,
        *,
        base_instructions: str | None = None,
        additional_instructions: str | None = None,
        max_chars: int | None = None,
    ) -> None:
        check_count("max_chars", max_chars, 1, optional=True)
        self.base_instructions = base_instructions
        self.additional_instructions = additional_instructions
        self.max_chars = max_chars

    def __call__(
        self,
        *,
        candidate: Mapping[str, str],
        reflective_dataset: Dataset,
        components_to_update: Sequence[str],
    ) -> dict[str, str]:
        """Return new instructions for some predictors.

        Args:
            candidate: The present instructions of all, by path.
            reflective_dataset: The cases.
            components_to_update: Which.

        Cost: one call each, and one more for what is too long.
        """
        return {
            path: self.propose(candidate[path], reflective_dataset[path]) for path in components_to_update
        }

    def propose(self, present: str, cases: Sequence[Mapping[str, Any]], about: str = "") -> str:
        """Return new instructions for one predictor.

        Args:
            present: The present ones.
            cases: What it was given and answered, with feedback.
            about: What the program is, where the predictor is a part of one.

        Raises:
            ConfigurationError: They are longer than `max_chars`, also when they were to be shortened.

        Cost: one call of the LM in force, and one more for what is too long.
        """
        shown = judged_text((_judged(case) for case in cases), _VALUE_CHARS)
        inputs = {"current_instruction": present, "examples_with_feedback": shown}
        if about:
            inputs = {"program_description": about, **inputs}
        question = META if self.base_instructions is None else self.base_instructions
        more = "" if self.additional_instructions is None else f" {self.additional_instructions}"
        signature = make_signature(f"{', '.join(inputs)} -> new_instruction", f"{question}{more}")
        text = cleaned(Predict(signature)(**inputs)["new_instruction"])
        return text if self.max_chars is None else self._shortened(text, self.max_chars)

    def _shortened(self, text: str, limit: int) -> str:
        if len(text) > limit:
            asked = f"Say the same in less words: at most {limit} characters."
            shorter = Predict(make_signature("current_instruction -> new_instruction", asked))
            text = cleaned(shorter(current_instruction=text)["new_instruction"])
        if len(text) > limit:
            raise ConfigurationError(
                f"the new instructions have {len(text):,} characters, and max_chars={limit:,}; raise it"
            )
        return text


@final
class Reflection:
    """Asks a proposer, in a step of the run.

    Args:
        run: The compile.
        student: The program as it was given.
        lm: Who is asked; None: the configured LM.
        proposer: Anything callable as an `InstructionProposer` is.
        seed: Of the draws.
    """

    def __init__(self, run: Compile, student: Any, lm: Any, proposer: Any, seed: int) -> None:
        self._run = run
        self._student = student
        self._lm = lm
        self._proposer = proposer
        self._seed = seed
        self.separate = isinstance(proposer, InstructionProposer)
        """Whether predictors are asked for one by one, and so at once."""

    def propose(
        self, number: int, texts: Mapping[str, str], cases: Mapping[str, Sequence[Judged]]
    ) -> dict[str, str] | str:
        """Return new instructions of the predictors that there are cases for, or why there are none.

        Args:
            number: Of the round: another number is another draw.
            texts: The present instructions of all predictors.
            cases: What to reflect on.

        Raises:
            BudgetExceeded: The budget is used up; so of whatever stops any call.

        Cost: one call of the LM for each predictor, with a proposer of telic's.
        """
        dataset = {path: [_told(case) for case in judged] for path, judged in cases.items()}
        lm = {} if self._lm is None else {"lm": self._lm}
        sample = derive_seed(self._seed, "proposal", number, list(cases)) % 2**31
        with context(role="proposer", trace=None, sample=sample, **lm):
            asked = [stable(dict(texts)), stable(dataset), lm_identity(self._lm), settings_key()]
            key = ["reflect", callable_key(self._proposer), *asked]
            try:
                made = self._run.step(key, lambda: self._ask(texts, dataset))
            except FATAL:
                raise
            except TelicError as error:
                return str(error)
        free = free_components(self._student, KINDS)
        return {name: self._kept(name, texts[name], text) for name, text in made.items() if name in free}

    def _ask(self, texts: Mapping[str, str], dataset: Dataset) -> dict[str, str]:
        if isinstance(self._proposer, InstructionProposer):
            return {
                path: self._proposer.propose(texts[path], cases, self._about(path))
                for path, cases in dataset.items()
            }
        answer: Any = resolved(
            self._proposer(
                candidate=dict(texts), reflective_dataset=dataset, components_to_update=list(dataset)
            )
        )
        made: dict[Any, Any] = dict(answer) if isinstance(answer, Mapping) else {}  # pyright: ignore[reportUnknownArgumentType]
        if not made or not all(path in texts and isinstance(text, str) for path, text in made.items()):
            raise ConfigurationError(
                f"instruction_proposer must return new instructions by the predictor's name, of {', '.join(texts)}; it "
                f"returned {answer!r}"
            )
        return made

    def _about(self, component: str) -> str:
        path, field = split_name(component)
        told = [described(self._student)]
        if len(self._student.predictors()) > 1:
            told.append(f"The instruction is for the step {path}.")
        if field:
            told.append(f"The instruction is what is said of the field {field}. Keep it to a sentence.")
        return "\n".join(told) if len(told) > 1 else ""

    def _kept(self, component: str, old: str, new: str) -> str:
        """Return a new text as the signature keeps it, with what an agent cannot do without."""
        path, field = split_name(component)
        predictor: Any = dict(self._student.named_predictors())[path]
        text = " ".join(new.split()) if field else new.strip()
        if not text:
            return old
        if field:
            return text
        if hasattr(predictor, "tools"):
            text = with_tools(old, text, frozen=not is_learnable(predictor, "tools"))
        return str(predictor.signature.with_instructions(text).instructions)


def with_tools(old: str, new: str, *, frozen: bool = False) -> str:
    r"""Return `new` with the lines on tools of `old` that it lacks: an agent cannot call what it is not told of.

    Where they are frozen, all lines on tools are those of `old`.

    Example:
        >>> with_tools("Answer. Tools:\n- `search`: Look it up. Arguments: {}", "Answer in one word.")
        'Answer in one word.\n\nTools:\n- `search`: Look it up. Arguments: {}'
    """
    listed = old.rpartition(_TOOLS_HEAD)[2]
    if frozen:
        said = {line.group(1): line.group(0) for line in _TOOLS.finditer(listed)}
        new = _TOOLS.sub(lambda line: said.get(line.group(1), line.group(0)), new)
        lost = [line for line in said.values() if line not in new]
    else:
        lost = [line.group(0) for line in _TOOLS.finditer(listed) if line.group(1) not in new]
    if not lost:
        return new
    joint = "\n" if _TOOLS.search(new) else f"\n\n{_TOOLS_HEAD}\n"
    return f"{new}{joint}" + "\n".join(lost)


def _told(case: Judged) -> dict[str, Any]:
    return {"Inputs": dict(case.inputs), "Generated Outputs": dict(case.outputs), "Feedback": case.feedback}


def _judged(case: Mapping[str, Any]) -> Judged:
    outputs: Any = case["Generated Outputs"]
    return Judged(case["Inputs"], outputs, str(case["Feedback"]))
