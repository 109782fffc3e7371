"""InferRules: an LM reads examples of a task and writes down its rules, which are added to the instructions.

Three phases: a bootstrap, whose demos stay in the program; several sets of rules, each from another draw of examples
(bootstrapped ones first, then training rows that have what a step takes and gives); the scores of all on validation
rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple, final

from telic._seed import derive, derive_seed
from telic.errors import ConfigurationError
from telic.evaluate import EvaluationResult, MetricCall, check_count
from telic.optimizers._base import Optimizer, P
from telic.optimizers._bootstrap import Bootstrap, BootstrapOptions, check_bootstrap
from telic.optimizers._checks import check_student, check_teacher, checked_sets, error_limit
from telic.optimizers._choice import Scored, Tally, best_of
from telic.optimizers._compile import Compile
from telic.optimizers._demos import usable
from telic.optimizers._frozen import check_learnable, learners
from telic.optimizers._plan import Work, questions, teacher_lm
from telic.optimizers._propose import cleaned, described, examples_text, instructions_of, with_instructions
from telic.optimizers._propose_asks import Asks, Together, check_prompt_model
from telic.optimizers._search import Entry, Search
from telic.optimizers._selection import split_rows, split_sizes
from telic.signatures import make_signature

if TYPE_CHECKING:
    import os

    from telic.budget import Budget
    from telic.data import Example
    from telic.optimizers._pool import Source
    from telic.optimizers._report import Candidate

HEAD: Final = "Follow these rules:"
"""Stands between a program's instructions and the rules."""
_META: Final = (
    "Look at the examples and write the rules of the task: how the right outputs follow from the inputs. "
    "Write short, concrete rules that hold for new inputs as well, one on a line, {number} at most."
)
_AS_GIVEN: Final = -2
_WITHOUT_RULES: Final = -1


@final
@dataclass(eq=False, repr=False)
class InferRules(Optimizer):
    r"""Adds rules that an LM has found in examples to the instructions of each predictor.

    Args:
        num_candidates: How many sets of rules are tried.
        num_rules: How many rules a set has at most.
        num_threads: Pieces of work at once; None: the setting. The result does not depend on it.
        teacher_settings: Settings of the runs that make demonstrations, as for `telic.context`.
        metric: `metric(example, prediction, trace=None)`.
        metric_threshold: The least score that makes a demonstration (0 counts); None: any score but 0.
        max_bootstrapped_demos: How many accepted examples are looked for.
        max_labeled_demos: Up to how many demos a predictor gets in all.
        max_rounds: Tries for each example of the bootstrap.
        max_errors: Failures while bootstrapping, or of one candidate, that stop the compile; None: the setting.
        prompt_model: Writes the rules; None: the configured LM.
        num_examples: How many examples it is shown at a time.
        recheck: Score the winner and the given program on training rows that the winner does not show.
        seed: Of all draws.
        display_progress: Show how far it is on standard error, where that is a terminal; "force": wherever it goes.

    Source: DSPy's optimizer of that name; there is no paper. Deviations: every set comes from another draw of examples,
    no more than fit (DSPy shows all, and fewer when the context overflows); a step whose outputs no row has is
    explained by its demonstrations; the program as given and the one without rules are candidates too.

    Cost: the bootstrap, a question for each predictor and candidate, and `num_candidates + 2` runs for each validation
    row; the check of the winner, at most `2 * len(valset)` runs.

    Example:
        >>> from telic.context import context
        >>> from telic.data import Example
        >>> from telic.modules import Predict
        >>> from telic.testing import FunctionLM
        >>> def reply(request):
        ...     if "rules of the task" in request.messages[0]["content"]:
        ...         return {"rules": "Answer in capitals."}
        ...     return {"answer": "YES" if "capitals" in request.messages[0]["content"] else "yes"}
        >>> rows = [Example(question=f"Is {i} a number?", answer="YES").with_inputs("question") for i in range(6)]
        >>> optimizer = InferRules(2, metric=lambda row, found, trace=None: row.answer == found.answer)
        >>> with context(lm=FunctionLM(reply)):
        ...     better = optimizer.compile(Predict("question -> answer"), trainset=rows[:3], valset=rows[3:])
        >>> better.signature.instructions.endswith("Follow these rules:\nAnswer in capitals.")
        True
    """

    num_candidates: int = 10
    num_rules: int = 10
    num_threads: int | None = None
    teacher_settings: dict[str, Any] | None = None
    _: KW_ONLY
    metric: Any = None
    metric_threshold: float | None = None
    max_bootstrapped_demos: int = 4
    max_labeled_demos: int = 16
    max_rounds: int = 1
    max_errors: int | None = None
    prompt_model: Any = None
    num_examples: int = 20
    recheck: bool = True
    seed: int = 0
    display_progress: bool | str = True

    def __post_init__(self) -> None:
        check_count("num_candidates", self.num_candidates, 1)
        check_count("num_rules", self.num_rules, 1)
        check_count("num_examples", self.num_examples, 1)
        check_bootstrap(self)

    def compile(
        self,
        student: P,
        *,
        teacher: Any = None,
        trainset: Sequence[Example],
        valset: Sequence[Example] | None = None,
        run_dir: str | os.PathLike[str] | None = None,
        budget: Budget | None = None,
    ) -> P:
        """Return the best candidate, with `.report` and `.candidate_programs`.

        Args:
            student: The program.
            teacher: A program with the same predictors that makes the demonstrations; None: the student itself.
            trainset: Examples to make demonstrations and rules of.
            valset: Examples to choose by; None: half of `trainset` where that has at least 20 rows, else all of it.
            run_dir: See `Optimizer.compile`.
            budget: Limits of this compile; at a limit the best finished candidate is returned.

        Raises: see `Optimizer.compile`.
        """
        metric = MetricCall(self.metric)
        check_student(student)
        check_learnable(student, self, "instructions")
        check_teacher(teacher, student)
        rows, held_out = checked_sets(trainset, valset)
        self._check_material(student, rows)
        check_prompt_model(self.prompt_model)
        data: dict[str, Any] = {"trainset": rows, "teacher": teacher, "valset": held_out}
        with Compile(self, student, run_dir=run_dir, budget=budget, **data) as run:
            made, chosen_by = split_rows(run, rows, held_out, self.seed)
            options = self._options(student)
            bootstrap = Bootstrap(student, teacher, made, metric, options)
            search = _Induction(
                self, run, student, bootstrap, _Given(made, chosen_by, options.max_errors), metric
            )

            def best(stopped: str | None) -> Any:
                fresh = made if made is not chosen_by and self.recheck else []
                failures = [*bootstrap.failures, *search.failures, *search.asks.failures]
                tally = Tally(stopped, failures, bootstrap.extra_runs)
                found = sorted(search.found, key=lambda one: one.candidate.seed or 0)
                given = next((one for one in found if one.candidate.seed == _AS_GIVEN), None)
                return best_of(run, found, given, fresh, tally=tally, seed=self.seed)

            return run.guarded(search.look, best)

    def _check_material(self, student: Any, rows: Sequence[Example]) -> None:
        """Refuse where nothing could be shown to an LM that is to find rules.

        Raises:
            ConfigurationError: No bootstrap is wanted, and no row has what any predictor takes and gives.
        """
        predictors = student.predictors()
        if self.max_bootstrapped_demos == 0 and not any(usable(row, p) for p in predictors for row in rows):
            raise ConfigurationError(
                "InferRules has no examples to find rules in: no row of trainset has an input and an output of a "
                "predictor; pass max_bootstrapped_demos of 1 or more"
            )

    def _options(self, student: Any) -> BootstrapOptions:
        return BootstrapOptions(
            self.metric_threshold,
            self.teacher_settings,
            self.max_bootstrapped_demos if learners(student, "demos") else 0,
            self.max_labeled_demos,
            self.max_rounds,
            error_limit(self.max_errors),
            self.seed,
        )

    def _work(
        self, program: Any, trainset: Sequence[Example], valset: Sequence[Example] | None
    ) -> list[Work]:
        made, scored = split_sizes(len(trainset), None if valset is None else len(valset))
        shown = max(self.max_labeled_demos, self.max_bootstrapped_demos)
        lm = teacher_lm(self.teacher_settings)
        least = min(made, self.max_bootstrapped_demos)
        most = made * self.max_rounds if self.max_bootstrapped_demos else 0
        asks = self.num_candidates * len(learners(program, "instructions"))
        checked = self.recheck and (valset is not None or made < len(trainset))
        return [
            Work("the program as given", (scored, scored), first=True),
            Work("bootstrapping", (least, most), "teacher", demos=shown, lm=lm),
            questions(
                "writing rules", (0, asks), self.prompt_model, (300, 4_000 + 3_000 * self.num_examples)
            ),
            Work("scoring candidates", (0, (self.num_candidates + 1) * scored), demos=shown),
            Work("checking the winner", (0, 2 * min(made, scored) if checked else 0), demos=shown),
        ]


class _Given(NamedTuple):
    made: Sequence[Example]
    """Rows to learn from."""
    chosen_by: Sequence[Example]
    """Rows to choose by."""
    max_errors: int


@final
class _Induction:
    """The three phases of one compile."""

    def __init__(
        self,
        optimizer: InferRules,
        run: Compile,
        student: Any,
        bootstrap: Bootstrap,
        given: _Given,
        metric: MetricCall,
    ) -> None:
        self.asks = Asks(run, optimizer.prompt_model, 1.0)
        self.failures: list[str] = []
        self.found: list[Scored] = []
        self._optimizer = optimizer
        self._run = run
        self._student = student
        self._bootstrap = bootstrap
        self._given = given
        self._metric = metric
        self._rules: dict[int, dict[str, str]] = {n: {} for n in range(optimizer.num_candidates)}
        """Of each candidate, by the predictor's path."""

    def look(self) -> str | None:
        """Bootstrap, ask, score; return why it ended early, or None."""
        given = self._search([Entry(_AS_GIVEN, "as given", make=self._student.deepcopy)])
        sources: list[Source] = [given] if self._bootstrap.finished else [self._bootstrap, given]
        stopped = self._work(sources, "bootstrapping")
        if stopped is not None:
            return stopped
        shown = self._bootstrap.program()
        self._ask(shown)
        without = self._search([Entry(_WITHOUT_RULES, "without rules", make=lambda: shown)])
        stopped = self._work([self.asks, without], "writing rules")
        if stopped is not None:
            return stopped
        texts = instructions_of(shown)
        entries = [
            Entry(number, f"rules {number + 1}", make=lambda rules=rules: with_instructions(shown, rules))
            for number, found in self._rules.items()
            if (rules := {path: f"{texts[path]}\n\n{HEAD}\n{rule}" for path, rule in found.items()})
        ]
        if not entries:
            self._run.note("no rules were found: see the failures")
        return self._work([self._search(entries)], "scoring rules")

    def _ask(self, program: Any) -> None:
        """Put all questions."""
        optimizer = self._optimizer
        meta = _META.format(number=optimizer.num_rules)
        asked = make_signature("program_description, current_instruction, examples -> rules", meta)
        about, alone = described(self._student), len(program.predictors()) == 1
        for path, predictor in learners(program, "instructions").items():
            step = about if alone else f"{about}\nThe rules are for the step {path}."
            names = [*predictor.signature.input_fields, *predictor.signature.output_fields]
            for number in range(optimizer.num_candidates):
                rng = derive(optimizer.seed, "examples", path, number)
                inputs = {
                    "program_description": step,
                    "current_instruction": str(predictor.signature.instructions),
                    "examples": examples_text(self._examples(predictor, rng), names),
                }
                if inputs["examples"]:
                    sample = derive_seed(optimizer.seed, "rules", path, number) % 2**31 + 1
                    label = f"rules {number + 1} for {path}"
                    self.asks.ask(label, asked, inputs, self._taker(path, number), sample=sample)

    def _examples(self, predictor: Any, rng: Any) -> list[Example]:
        """Return what is shown of a step: its bootstrapped demos, and training rows that have its fields, drawn."""
        made = [demo for demo in predictor.demos if demo.get("augmented")]
        rows = [row for row in self._given.made if usable(row, predictor)]
        kept = made[: self._optimizer.num_examples]
        drawn = rng.sample(rows, min(len(rows), self._optimizer.num_examples - len(kept)))
        shown = [*kept, *drawn]
        rng.shuffle(shown)
        return shown

    def _taker(self, path: str, number: int) -> Any:
        def answered(fields: Mapping[str, Any] | None) -> None:
            text = "" if fields is None else cleaned(fields["rules"])
            if text:
                self._rules[number][path] = text

        return answered

    def _search(self, entries: Sequence[Entry]) -> Search:
        def scored(entry: Entry, result: EvaluationResult) -> Candidate:
            candidate = self._run.candidate(entry.program, result, entry.label, entry.seed)
            self.found.append(Scored(candidate, result))
            return candidate

        given = self._given
        return Search(
            entries, given.chosen_by, self._metric, max_errors=given.max_errors, stop_at_score=None, scored=scored
        )  # fmt: skip

    def _work(self, sources: Sequence[Source], title: str) -> str | None:
        searches = [source for source in sources if isinstance(source, Search)]
        try:
            self._run.pool(Together(sources), title)
        finally:
            for search in searches:
                self.failures += search.failures
        stops = [source.stopped for source in sources if isinstance(source, (Search, Bootstrap))]
        return next((why for why in stops if why is not None), None)
