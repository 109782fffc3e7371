"""The climb of COPRO: what was proposed for each predictor, what was scored, and the best instructions so far."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean, pstdev
from typing import TYPE_CHECKING, Any, Final, NamedTuple, final

from telic._seed import derive_seed
from telic.evaluate import EvaluationResult, MetricCall
from telic.optimizers._choice import Scored
from telic.optimizers._frozen import learners
from telic.optimizers._propose import (
    Attempt,
    attempts_text,
    cleaned,
    described,
    instructions_of,
    with_instructions,
    wordings_of,
)
from telic.optimizers._propose_asks import Asks, Together
from telic.optimizers._search import Entry, Search
from telic.signatures import make_signature

if TYPE_CHECKING:
    from telic.data import Example
    from telic.optimizers._compile import Compile
    from telic.optimizers._pool import Source
    from telic.optimizers._report import Candidate

META: Final = (
    "Think of a new instruction, do not be afraid to be creative. "
    "Propose an instruction that leads a language model to do the task well."
)
_OUTPUT: Final = "proposed_instruction"
_PREFIX: Final = "proposed_prefix_for_output_field"


class ClimbOptions(NamedTuple):
    """The settings of one climb; see `COPRO`."""

    breadth: int
    depth: int
    prompt_model: Any
    init_temperature: float
    prefix: bool
    max_errors: int
    seed: int


@final
class Ascent:
    """One climb.

    Args:
        settings: How far to look.
        run: The compile.
        student: The program as it was given.
        rows: Rows to score on.
        metric: Scores.
    """

    def __init__(
        self, settings: ClimbOptions, run: Compile, student: Any, rows: Sequence[Example], metric: MetricCall
    ) -> None:
        self.asks = Asks(run, settings.prompt_model, settings.init_temperature)
        self.failures: list[str] = []
        self.latest_stats: dict[str, dict[str, list[float]]] = {}
        self.best_stats: dict[str, dict[str, list[float]]] = {}
        self._settings = settings
        self._run = run
        self._student = student
        self._rows = rows
        self._metric = metric
        self._paths = learners(student, "instructions")
        self._prefixed = list(learners(student, "fields")) if settings.prefix else []
        self._original = instructions_of(student)
        self._wordings = wordings_of(student)
        self._best = dict(self._original)
        self._texts = {path: [text] for path, text in self._original.items()}
        """What was put forward for each predictor, its own instructions first."""
        self._attempts: dict[str, dict[str, float]] = {path: {} for path in self._original}
        """Scores of those, in percent, the latest ones."""
        self._prefixes: dict[tuple[str, str], str] = {}
        self._scored: dict[tuple[str, ...], Scored] = {}
        self._tried = 0

    @property
    def found(self) -> list[Scored]:
        """What was scored, in the order in which it was put forward."""
        return sorted(self._scored.values(), key=lambda one: one.candidate.seed or 0)

    @property
    def given(self) -> Scored | None:
        """The program as it was given, if it was scored."""
        return self._scored.get(_key(self._original))

    def climb(self) -> str | None:
        """Go all rounds; return why it ended early, or None."""
        rounds = self._settings.depth
        stopped = self._propose_and_score_the_given()
        if stopped is None and self.asks.all_failed:
            return f"no instruction could be proposed; {self.asks.failures[0]}"
        for number in range(rounds):
            for path in self._paths:
                stopped = stopped if stopped is not None else self._climb_along(path, number)
            if stopped is not None:
                return stopped
            if number + 1 < rounds:
                self._propose(number + 1, self._settings.breadth)
                self._work([self.asks], f"proposing, round {number + 2} of {rounds}")
        return None

    # 1. Proposals

    def _propose_and_score_the_given(self) -> str | None:
        given = self._search([("as given", self._original)])
        self._propose(0, self._settings.breadth - 1)
        return self._work([self.asks, given], "proposing and scoring the given program")

    def _propose(self, number: int, count: int) -> None:
        """Ask for so many new instructions for each predictor: from the present one, or from the attempts so far."""
        for path in self._paths:
            signature, inputs = self._question(path, number)
            found: dict[int, Mapping[str, Any] | None] = {}
            for draw in range(count):
                sample = derive_seed(self._settings.seed, "proposal", path, number, draw) % 2**31
                label = f"proposal {draw + 1} for {path}, round {number + 1}"
                self.asks.ask(label, signature, inputs, self._taker(path, found, draw, count), sample=sample)

    def _question(self, path: str, number: int) -> tuple[Any, dict[str, str]]:
        about = described(self._student)
        if len(self._original) > 1:
            about = f"{about}\nThe instruction is for the step {path}."
        outputs = f"{_OUTPUT}, {_PREFIX}" if path in self._prefixed else _OUTPUT
        if number == 0:
            names, inputs = "basic_instruction", {"basic_instruction": self._wordings[path].task}
        else:
            tried = sorted(self._attempts[path].items(), key=lambda item: -item[1])[: self._settings.breadth]
            task_of = self._wordings[path].task_of
            text = attempts_text([Attempt(task_of(whole), score) for whole, score in tried])
            names, inputs = "attempted_instructions", {"attempted_instructions": text}
        signature = make_signature(f"program_description, {names} -> {outputs}", META)
        return signature, {"program_description": about, **inputs}

    def _taker(self, path: str, found: dict[int, Mapping[str, Any] | None], draw: int, count: int) -> Any:
        """Return what takes one answer; the last one to come puts all forward in the order of the draws."""

        def answered(fields: Mapping[str, Any] | None) -> None:
            found[draw] = fields
            if len(found) == count:
                for number in range(count):
                    self._put_forward(path, found[number])

        return answered

    def _put_forward(self, path: str, fields: Mapping[str, Any] | None) -> None:
        text = "" if fields is None else cleaned(fields[_OUTPUT])
        if fields is None or not text:
            return
        # As the signature keeps it, with what the module adds to any task.
        made = self._paths[path].signature.with_instructions(self._wordings[path].whole(text))
        text = str(made.instructions)
        if text not in self._texts[path]:
            self._texts[path].append(text)
            if path in self._prefixed:
                self._prefixes[path, text] = cleaned(fields[_PREFIX])

    # 2. Scores

    def _climb_along(self, path: str, number: int) -> str | None:
        """Score a predictor's candidates, the others at their best so far; keep the best."""
        texts = self._texts[path]
        tried = [{**self._best, path: text} for text in texts]
        names = [f"{path}: instruction {index}, round {number + 1}" for index in range(len(texts))]
        new = [one for one in zip(names, tried, strict=True) if _key(one[1]) not in self._scored]
        if new:
            stopped = self._work(
                [self._search(new)], f"scoring, round {number + 1} of {self._settings.depth}"
            )
            if stopped is not None:
                return stopped
        scores = {texts[path]: self._scored[_key(texts)].result.score for texts in tried}
        self._best[path] = max(scores, key=scores.__getitem__)
        self._run.decide(f"{path}, round {number + 1}", self._best[path])
        self._note_stats(path, number, [scores[one[1][path]] for one in new], list(scores.values()))
        self._attempts[path] = scores
        return None

    def _search(self, named: Sequence[tuple[str, Mapping[str, str]]]) -> Search:
        """Return the scoring of some programs, each known by a label."""
        by_seed: dict[int, tuple[str, ...]] = {}
        entries: list[Entry] = []
        best = self._scored.get(_key(self._best))  # with which all but one of their instructions are shared
        more = {} if best is None else {"parents": [best.candidate.seed]}
        for label, texts in named:
            by_seed[self._tried] = _key(texts)
            entries.append(Entry(self._tried, label, make=lambda texts=texts: self._program(texts)))
            self._tried += 1

        def scored(entry: Entry, result: EvaluationResult) -> Candidate:
            candidate = self._run.candidate(entry.program, result, entry.label, entry.seed, **more)
            self._scored[by_seed[entry.seed]] = Scored(candidate, result)
            return candidate

        return Search(
            entries, self._rows, self._metric, max_errors=self._settings.max_errors,
            stop_at_score=None, scored=scored,
        )  # fmt: skip

    def _program(self, texts: Mapping[str, str]) -> Any:
        made = with_instructions(self._student, texts)
        for path, predictor in made.named_predictors():
            prefix = self._prefixes.get((path, texts[path]))
            if prefix is not None:
                last = list(predictor.signature.output_fields)[-1]
                predictor.signature = predictor.signature.with_updated_fields(last, prefix=prefix)
        return made

    def _work(self, sources: Sequence[Source], title: str) -> str | None:
        searches = [source for source in sources if isinstance(source, Search)]
        try:
            self._run.pool(Together(sources), title)
        finally:
            for search in searches:
                self.failures += search.failures
        return next((search.stopped for search in searches if search.stopped is not None), None)

    def _note_stats(self, path: str, number: int, latest: Sequence[float], known: Sequence[float]) -> None:
        best = sorted(known, reverse=True)[: self._settings.breadth]
        for stats, scores in ((self.latest_stats, latest), (self.best_stats, best)):
            kept = stats.setdefault(path, {name: [] for name in ("depth", "max", "average", "min", "std")})
            if scores:
                values = (number, max(scores), fmean(scores), min(scores), pstdev(scores))
                for name, value in zip(kept, values, strict=True):
                    kept[name].append(value)


def _key(texts: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(texts.values())
