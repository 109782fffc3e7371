"""Grounded proposals of MIPROv2: instructions written by an LM that is told of the data, the program and what works.

Before the search, side by side: batches of training rows are looked at, and what was seen is summed up (*data-aware*);
the program's own code is described (*program-aware*). Once that and the demonstrations are there, each instruction is
asked for with the description of data and program, some demonstrations of its step (*demo-aware*), a tip drawn at
random (*tip-aware*) and the present instruction. In the middle of the search some more are asked for, with the
instructions tried so far and their scores (*history-aware*).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple, final

from telic._hash import content_key
from telic._seed import derive, derive_seed
from telic.evaluate import stable
from telic.optimizers._demos import usable
from telic.optimizers._frozen import learners
from telic.optimizers._propose import (
    Attempt,
    attempts_text,
    cleaned,
    described,
    described_step,
    examples_text,
    instructions_of,
    source_of,
    wordings_of,
)
from telic.signatures import make_signature

if TYPE_CHECKING:
    from telic.data import Example
    from telic.optimizers._mipro_demos import DemoSet
    from telic.optimizers._propose_asks import Asks

META: Final = (
    "You help to write instructions for language models. "
    "Propose an instruction that leads a language model to do the task well."
)
_OBSERVE: Final = make_signature(
    "examples -> observations",
    "These are examples of a data set. Write down what they have in common and how they differ: topics, form and "
    "length of what is given and of what is wanted, and what makes it hard.",
)
_SUM_UP: Final = make_signature(
    "observations -> summary",
    "Sum up in two or three sentences what kind of data set this is and what is asked of it.",
)
_DESCRIBE: Final = make_signature(
    "program_code, program_steps -> program_description",
    "Say in two or three sentences what task the program solves and how its steps work together.",
)
TIPS: Final[Mapping[str, str]] = {
    "none": "",
    "creative": "Do not be afraid to be creative.",
    "simple": "Keep it short.",
    "description": "Say exactly what is wanted.",
    "high stakes": "Say what is at stake, and that the answer must be right.",
    "persona": "Tell the model who it is, an expert of the task.",
}
BATCHES: Final = 10
_DEMOS_SHOWN: Final = 5
_ATTEMPTS_SHOWN: Final = 10


class ProposeOptions(NamedTuple):
    """What the prompt model is told of."""

    number: int
    """Instructions for each predictor, its own among them."""
    program_aware: bool
    data_aware: bool
    tip_aware: bool
    demo_aware: bool
    batch: int
    """Rows of the data that are looked at together."""
    seed: int


@final
class Proposer:
    """The proposals for all predictors of a program.

    Args:
        asks: Where questions go.
        student: The program.
        rows: Training rows.
        options: What the prompt model is told of.
        ready: Told once the instructions are there.

    Attributes:
        instructions: For each predictor, by path: its own, and those proposed, each once.

    Cost: in calls, at most 11 for the data (10 of them independent of each other), 1 for the program's code, and
    `number` - 1 for each predictor.
    """

    def __init__(
        self,
        asks: Asks,
        student: Any,
        rows: Sequence[Example],
        options: ProposeOptions,
        ready: Callable[[], None],
    ) -> None:
        self.instructions = {path: [text] for path, text in instructions_of(student).items()}
        self._asks = asks
        self._wordings = wordings_of(student)
        self._predictors: dict[str, Any] = dict(student.named_predictors())
        self._learners = list(learners(student, "instructions"))
        self._rows = rows
        self._options = options
        self._ready = ready
        self._about_program = described(student, sorted(rows[0].inputs().keys()))
        self._about_data = ""
        self._sets: Sequence[DemoSet] = ()
        self._awaited = 1  # the demonstrations, and what `begin` asks for
        self._asked = 0
        if options.number > 1 and self._learners:
            self._begin(student)

    # What all proposals rest on

    def _begin(self, student: Any) -> None:
        code = source_of(student) if self._options.program_aware else ""
        if code:
            self._awaited += 1
            inputs = {"program_code": code, "program_steps": self._about_program}
            self._asks.ask("description of the program", _DESCRIBE, inputs, self._take_description)
        if self._options.data_aware:
            self._awaited += 1
            self._look_at_the_data()

    def _take_description(self, fields: Mapping[str, Any] | None) -> None:
        if fields is not None:
            self._about_program = f"{str(fields['program_description']).strip()}\n{self._about_program}"
        self._arrived()

    def _look_at_the_data(self) -> None:
        size = self._options.batch
        batches = [self._rows[start : start + size] for start in range(0, len(self._rows), size)][:BATCHES]
        seen: dict[int, str] = {}

        def taker(number: int) -> Any:
            def answered(fields: Mapping[str, Any] | None) -> None:
                seen[number] = "" if fields is None else str(fields["observations"]).strip()
                if len(seen) == len(batches):
                    self._sum_up([seen[k] for k in range(len(batches)) if seen[k]])

            return answered

        for number, batch in enumerate(batches):
            inputs = {"examples": examples_text(batch)}
            self._asks.ask(f"observation {number + 1} of the data", _OBSERVE, inputs, taker(number))

    def _sum_up(self, observations: Sequence[str]) -> None:
        def answered(fields: Mapping[str, Any] | None) -> None:
            self._about_data = "" if fields is None else str(fields["summary"]).strip()
            self._arrived()

        if observations:
            self._asks.ask(
                "summary of the data", _SUM_UP, {"observations": "\n\n".join(observations)}, answered
            )
        else:
            self._arrived()

    def take_demos(self, sets: Sequence[DemoSet]) -> None:
        """Take the demonstrations that proposals may show."""
        self._sets = sets
        self._arrived()

    def _arrived(self) -> None:
        self._awaited -= 1
        if self._awaited == 0:
            self._propose(self._options.number - 1, {}, self._ready)

    # The proposals

    def more(self, attempts: Mapping[str, Sequence[Attempt]], count: int, ready: Callable[[], None]) -> None:
        """Ask for so many more for each predictor, showing what was tried.

        Args:
            attempts: Instructions with their scores, for each predictor.
            count: How many.
            ready: Told once they are there.
        """
        self._propose(count, attempts, ready)

    def _propose(
        self, count: int, attempts: Mapping[str, Sequence[Attempt]], ready: Callable[[], None]
    ) -> None:
        first, self._asked = self._asked + 1, self._asked + count
        wanted = [(path, number) for path in self._learners for number in range(first, first + count)]
        found: dict[tuple[str, int], Mapping[str, Any] | None] = {}

        def taker(path: str, number: int) -> Any:
            def answered(fields: Mapping[str, Any] | None) -> None:
                found[path, number] = fields
                if len(found) == len(wanted):
                    for key in wanted:
                        self._put_forward(key[0], found[key])
                    ready()

            return answered

        for path, number in wanted:
            inputs = self._inputs(path, number, attempts.get(path, ()))
            signature = make_signature(f"{', '.join(inputs)} -> proposed_instruction", META)
            sample = derive_seed(self._options.seed, "proposal", path, number) % 2**31
            label = f"instruction {number} for {path}"
            self._asks.ask(label, signature, inputs, taker(path, number), sample=sample)
        if not wanted:
            ready()

    def _inputs(self, path: str, number: int, attempts: Sequence[Attempt]) -> dict[str, str]:
        rng = derive(self._options.seed, "tip", path, number)
        tip = rng.choice(list(TIPS.values())) if self._options.tip_aware else ""
        known = {
            "dataset_description": self._about_data,
            "program_description": self._program_for(path) if self._options.program_aware else "",
            "task_demos": self._demos_for(path, number) if self._options.demo_aware else "",
            "attempted_instructions": self._attempts_for(path, attempts),
            "basic_instruction": self._wordings[path].task,
            "tip": tip,
        }
        return {name: text for name, text in known.items() if text}

    def _attempts_for(self, path: str, attempts: Sequence[Attempt]) -> str:
        best = sorted(attempts, key=lambda attempt: -attempt.score)[:_ATTEMPTS_SHOWN]
        task_of = self._wordings[path].task_of
        return attempts_text([Attempt(task_of(attempt.text), attempt.score) for attempt in best])

    def _program_for(self, path: str) -> str:
        if len(self._predictors) == 1:
            return self._about_program
        step = described_step(self._predictors[path], path)
        return f"{self._about_program}\nThe instruction is for the step {path}. {step}"

    def _demos_for(self, path: str, number: int) -> str:
        """Return the bootstrapped demonstrations of one of the sets; where it has none, of any, or labelled rows."""
        made = [[demo for demo in one.get(path, ()) if demo.get("augmented")] for one in self._sets]
        shown = made[number % len(made)] if made else []
        predictor = self._predictors[path]
        if not shown:
            known = {content_key(stable(demo)): demo for one in made for demo in one}
            fit = list(known.values()) if known else [row for row in self._rows if usable(row, predictor)]
            rng = derive(self._options.seed, "shown", path, number)
            shown = rng.sample(fit, min(_DEMOS_SHOWN, len(fit)))
        return examples_text(shown[:_DEMOS_SHOWN], list(predictor.signature.fields))

    def _put_forward(self, path: str, fields: Mapping[str, Any] | None) -> None:
        text = "" if fields is None else cleaned(fields["proposed_instruction"])
        if text:
            text = self._wordings[path].whole(text)
            text = str(self._predictors[path].signature.with_instructions(text).instructions)
            if text not in self.instructions[path]:
                self.instructions[path].append(text)
