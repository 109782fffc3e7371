"""`Report`: what an optimizer found, and what it cost. It goes with the program it made, and is saved with it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, cast, final, overload

from telic._text import plural
from telic.data import NO_USAGE, AssertionCount, Usage
from telic.errors import StateError
from telic.journal import START

if TYPE_CHECKING:
    from telic.evaluate import Comparison, EvaluationResult
    from telic.journal import Spent


@final
class Candidate(NamedTuple):
    """A program that was tried."""

    program: Any
    score: float
    """Mean on the validation set, in percent; nan where it was not evaluated."""
    interval: tuple[float, float] = (math.nan, math.nan)
    """95 % interval of the mean, in percent."""
    seed: int | None = None
    label: str = ""
    subscores: Sequence[float] = ()
    """The score of each row, in the metric's units."""
    failures: int = 0
    """Rows that failed."""
    assertions: Mapping[str, AssertionCount] = {}
    """What became of its assertions on these rows, by name."""

    @classmethod
    def of(cls, program: Any, result: EvaluationResult | None, seed: int | None, label: str) -> Candidate:
        """Return a program with its evaluation; None: it was not scored."""
        if result is None:
            return cls(program, math.nan, seed=seed, label=label)
        low, high = result.interval
        scores = tuple(row.score for row in result.rows)
        interval, failures = (100 * low, 100 * high), len(result.failures)
        return cls(program, result.score, interval, seed, label, scores, failures, result.assertions)

    def to_dict(self) -> dict[str, Any]:
        """Return all but the program, as plain data; nan as None."""
        return {
            "score": _number(self.score),
            "interval": [_number(bound) for bound in self.interval],
            "seed": self.seed,
            "label": self.label,
            "subscores": [_number(score) for score in self.subscores],
            "failures": self.failures,
            "assertions": {name: count.to_dict() for name, count in self.assertions.items()},
        }


@final
class Report:
    """What a compile did. Never changed once it is made; `replaced` makes another.

    Args:
        found: Any of the attributes below, by name.
    """

    optimizer: str = ""
    """The class that did it."""
    stopped: str | None = None
    """None, or why it ended early."""
    score: float | None = None
    """The returned program's mean on the validation set, in percent; None where nothing was evaluated."""
    baseline: float | None = None
    """The same of the program as it was given; None where it was not evaluated."""
    comparison: Comparison | None = None
    """The returned program against the given one on the same rows; positive favours the returned one."""
    candidates: Sequence[Candidate] = ()
    """What was tried, best first."""
    spend: Mapping[str, Usage] = {}
    """What was paid, by role: "task", "teacher", "judge" …."""
    spend_parts: Sequence[Spent] = ()
    """The same as fine as it is known: by role, predictor and model."""
    seconds: float = 0.0
    """Wall time."""
    failures: Sequence[str] = ()
    """What programs and metrics raised on the way, as text."""
    assertions: Mapping[str, AssertionCount] = {}
    """What became of assertions, by name, in the returned program's rows, or the teacher's if none was scored."""
    extra_runs: int = 0
    """Program runs made ahead that turned out not to be needed; they are in `spend`."""
    check: Comparison | None = None
    """The same on rows that did not choose the program; None: it was chosen from one, or there were no such rows."""
    check_score: float | None = None
    """The returned program's mean on those rows, in percent."""
    optimism: float = 0.0
    """By how many points `score` is likely to be too high, for being the best of many on the same rows."""
    failed_calls: int = 0
    """Calls of LMs that failed, before retries of the run went through."""
    improved: bool | None = None
    """Of `improve`: whether the returned program is shown to be better; False: nothing was found, and it is the given
    one. None: that was not asked, or the end came before it could be answered."""
    notes: Sequence[str] = ()
    """What a reader of the numbers must know."""
    run_dir: str | None = None
    """The folder of the run, where there is one."""

    _share_on_copy = True

    def __init__(self, **found: Any) -> None:
        for name in found:
            if name[0] == "_" or name not in Report.__annotations__:
                raise TypeError(f"a Report has no {name!r}")
        self.__dict__.update(found)

    def replaced(self, **found: Any) -> Report:
        """Return a report with some attributes replaced."""
        return Report(**{**vars(self), **found})

    @property
    def interval(self) -> tuple[float, float] | None:
        """95 % interval of `score`, in percent; None where it is not known."""
        known = (one.interval for one in self.candidates if one.score == self.score)
        return next((span for span in known if not math.isnan(sum(span))), None)

    @property
    def total_spend(self) -> Usage:
        """The spend of all roles together."""
        total = NO_USAGE
        for usage in self.spend.values():
            total = total.plus(usage)
        return total

    @property
    def spend_by_predictor(self) -> dict[str, Usage]:
        """The spend of each predictor: by path in the program, proposers and judges by their signature."""
        found: dict[str, Usage] = {}
        for part in self.spend_parts:
            found[part.predictor] = found.get(part.predictor, NO_USAGE).plus(part.usage)
        return found

    @property
    def verdict(self) -> str:
        """Whether the compiled program is shown to be better than the given one, as a sentence."""
        if self.improved is False:
            return "no improvement found: the program is as it was given"
        if self.check is not None:
            told, where = self.check.verdict, f"on {self.check.n} rows that did not choose it"
            if self.improved:  # a conclusion from both sets of rows; the figures are those of the fresh ones
                told = f"improved: {told.partition(': ')[2]}"
                where += "; with what those that did say, it is shown"
            return f"{told} ({where})"
        if self.comparison is None:
            return "not compared: nothing was evaluated"
        return self.comparison.verdict

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain data that JSON holds; candidates without their programs."""
        return {
            "optimizer": self.optimizer,
            "stopped": self.stopped,
            "score": self.score,
            "baseline": self.baseline,
            "comparison": None if self.comparison is None else _plain_numbers(self.comparison.to_dict()),
            "candidates": [candidate.to_dict() for candidate in self.candidates],
            "spend": {role: usage.to_dict() for role, usage in self.spend.items()},
            "spend_parts": [{**part._asdict(), "usage": part.usage.to_dict()} for part in self.spend_parts],
            "seconds": self.seconds,
            "failures": list(self.failures),
            "assertions": {name: count.to_dict() for name, count in self.assertions.items()},
            "extra_runs": self.extra_runs,
            "check": None if self.check is None else _plain_numbers(self.check.to_dict()),
            "check_score": self.check_score,
            "optimism": self.optimism,
            "improved": self.improved,
            "verdict": self.verdict,
            "failed_calls": self.failed_calls,
            "notes": list(self.notes),
            "run_dir": self.run_dir,
        }

    def __deepcopy__(self, memo: object) -> Report:
        return self  # it is never changed

    def __repr__(self) -> str:
        return f"<Report {'; '.join(str(self).splitlines())}>"

    def __str__(self) -> str:
        lines = [f"{self.optimizer}: {'finished' if self.stopped is None else f'stopped: {self.stopped}'}"]
        if self.score is not None:
            best = self.interval
            before = "" if self.baseline is None else f" (before: {self.baseline:.2f} %)"
            span = "" if best is None else f", 95 % interval {best[0]:.1f} to {best[1]:.1f}"
            lines.append(f"score {self.score:.2f} %{span}{before}")
        if self.check is not None or self.comparison is not None or self.improved is False:
            lines.append(self.verdict)
        lines += [f"{role}: {usage.words}" for role, usage in self.spend.items()]
        lines += [str(count) for count in self.assertions.values()]
        if self.failures:
            lines.append(f"{plural(len(self.failures), 'failure')}; the first: {self.failures[0]}")
        if self.run_dir is not None:
            lines.append(f"run: {self.run_dir}")
        return "\n".join([*lines, *self.notes])


@final
class CandidatePrograms(Sequence[dict[str, Any]]):
    """What DSPy calls `candidate_programs`: dicts of `score`, `subscores`, `seed` and `program`, best first.

    Not a list on purpose: programs inside a list of a program would count as its parts.
    """

    _share_on_copy: ClassVar[bool] = True

    def __init__(self, candidates: Sequence[Candidate]) -> None:
        self._items = [
            {"score": c.score, "subscores": list(c.subscores), "seed": c.seed, "program": c.program}
            for c in candidates
        ]

    @overload
    def __getitem__(self, index: int) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, index: slice) -> list[dict[str, Any]]: ...
    def __getitem__(self, index: int | slice) -> Any:
        return self._items[index]

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return iter(self._items)

    def __deepcopy__(self, memo: object) -> CandidatePrograms:
        return self

    def __repr__(self) -> str:
        return f"CandidatePrograms({[(item['seed'], item['score']) for item in self._items]!r})"


def save_start(folder: Path, program: Any) -> None:
    """Keep the program as it was given in its run's folder, once; one that cannot be saved is not kept."""
    path = folder / START
    if not path.exists():
        try:
            program.save(path)
        except StateError:
            pass  # a candidate of it says why, in the notes of the report


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _plain_numbers(values: dict[str, Any]) -> dict[str, Any]:
    def plain(value: Any) -> Any:
        if isinstance(value, list):
            return [_number(bound) for bound in cast("list[float]", value)]
        return _number(value) if isinstance(value, float) else value

    return {name: plain(value) for name, value in values.items()}
