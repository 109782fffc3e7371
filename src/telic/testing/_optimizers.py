"""What every optimizer must stand up to, as a test class that pytest collects.

Subclass it, say how the optimizer is made, and each method is one behaviour:

    class TestMine(OptimizerConformance):
        def make_optimizer(self, metric, **settings):
            return Mine(metric, rounds=2, **settings)

The LM is a function of the prompt's text that answers any signature (`reply` may be overridden), so that results depend
on nothing but content; the programs are plain, nested, looping, branching, asynchronous, and of several LMs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from telic.budget import Budget
from telic.context import context
from telic.errors import ConfigurationError, LMInvalidRequestError
from telic.journal import Run
from telic.modules import Predict
from telic.testing._optimizer_programs import CALLS_PER_RUN, PROGRAMS, Nested
from telic.testing._optimizer_task import (
    SUM,
    CountingLM,
    Killed,
    Killer,
    always_right,
    equal_answer,
    share,
    sums,
)

MOST_KILLS = 60


class OptimizerConformance:
    """Behaviours of an optimizer; a subclass defines `make_optimizer`."""

    calls_lms = True
    """False: it never calls an LM, and what is said of calls is not asked of it."""

    def make_optimizer(self, metric: Any, **settings: Any) -> Any:
        """Return the optimizer, small; `settings` are `num_threads` and `max_errors`, to be passed on."""
        raise NotImplementedError

    def reply(self, text: str, wanted: list[str]) -> dict[str, str]:
        """Return the values of the fields that a prompt asks for; right for some prompts."""
        found = SUM.findall(text)
        a, b = map(int, found[-1]) if found else (0, 0)
        chance = share(text)
        answer = str(a + b if chance < 0.6 else a + b + 1)
        return {name: answer if name == "answer" else f"{name} {chance:.6f}" for name in wanted}

    def lm(self, reply: Any = None, name: str = "counting") -> CountingLM:
        """Return a new LM."""
        return CountingLM(self.reply if reply is None else reply, name)

    def compile(self, lm: Any, folder: Path, program: Any = None, threads: int = 1, **options: Any) -> Any:
        """Compile a program (a plain one) in a folder."""
        optimizer = self.make_optimizer(equal_answer, num_threads=threads, max_errors=50)
        student = Predict("question -> answer") if program is None else program
        data: dict[str, Any] = {"trainset": sums(8), **({"valset": sums(6, 50)} if self.calls_lms else {})}
        with context(lm=lm):
            return optimizer.compile(student, **data, run_dir=folder, **options)

    @staticmethod
    def found(program: Any) -> Any:
        """Return what a compile came to: the program's state, and the report without times, places and spend."""
        report = program.report.to_dict()
        for name in ("seconds", "run_dir", "spend", "spend_parts", "extra_runs", "notes", "failed_calls"):
            del report[name]
        return program.dump_state()["predictors"], report

    def home(self, program: Any) -> Any:
        """Return what a result is loaded into, made by the user's code around `program`; mostly that itself."""
        return program

    # Behaviours

    def test_what_it_is_given_stays_as_it_was(self, tmp_path: Path) -> None:
        """Student, rows and settings are unchanged, so that one optimizer serves twice."""
        optimizer = self.make_optimizer(equal_answer, num_threads=2, max_errors=50)
        student, rows = Nested(), sums(8)
        before = student.dump_state(), [dict(row.items()) for row in rows], repr(optimizer)

        with context(lm=self.lm()):
            first = optimizer.compile(student, trainset=rows, run_dir=tmp_path / "1")
            second = optimizer.compile(student, trainset=rows, run_dir=tmp_path / "2")

        assert (student.dump_state(), [dict(row.items()) for row in rows], repr(optimizer)) == before
        assert first is not student
        assert self.found(first) == self.found(second)

    def test_programs_of_every_shape_come_out_the_same_at_1_and_32_threads(self, tmp_path: Path) -> None:
        """Nested, looping, branching, asynchronous, asserting; the order in which calls end decides nothing."""
        for name, make in PROGRAMS.items():
            alone = self.compile(self.lm(), tmp_path / name, make())
            for unrest in "ab":
                lm = self.lm()
                lm.unrest = unrest
                many = self.compile(lm, tmp_path / f"{name}-{unrest}", make(), threads=32)
                assert self.found(alone) == self.found(many), name

    def test_predictors_keep_their_own_lms(self, tmp_path: Path) -> None:
        """Several LMs: each predictor goes on asking its own."""
        lms = self.lm(name="first"), self.lm(name="second")
        program = Nested()
        program.inner.steps[0].lm, program.answer.lm = lms

        compiled = self.compile(self.lm(), tmp_path / "run", program)

        assert [predictor.lm.model for _, predictor in compiled.named_predictors()] == ["first", "second"]

    def test_killed_at_any_event_and_resumed_it_is_as_never_killed(self, tmp_path: Path) -> None:
        """The same result, and no reply that had been written down is paid for again."""
        whole = self.lm()
        expected = self.found(self.compile(whole, tmp_path / "whole"))
        events = Run(tmp_path / "whole").events + whole.calls
        for number in _spread(events, MOST_KILLS):
            lm, folder = self.lm(), tmp_path / f"killed-{number}"
            killed = Killer(number)
            try:
                with context(journal_tap=killed):
                    self.compile(lm, folder)
            except Killed:
                pass
            assert self.found(self.compile(lm, folder)) == expected, f"killed at event {number}"
            lost = killed.event == "reply"  # it had come, and could not be written down any more
            assert lm.calls <= whole.calls + lost, f"killed at event {number}, a {killed.event}"

    def test_killed_with_many_threads_at_work_it_is_as_never_killed(self, tmp_path: Path) -> None:
        """The same result, whatever was under way; programs of more than one step too."""
        for name in ("nested", "looping", "asserting"):
            whole, make = self.lm(), PROGRAMS[name]
            expected = self.found(self.compile(whole, tmp_path / name, make(), threads=8))
            for number in _spread(Run(tmp_path / name).events + whole.calls, 4):
                folder = tmp_path / f"{name}-{number}"
                try:
                    with context(journal_tap=Killer(number)):
                        self.compile(self.lm(), folder, make(), threads=8)
                except Killed:
                    pass
                assert self.found(self.compile(self.lm(), folder, make(), threads=8)) == expected, (
                    name,
                    number,
                )

    def test_a_finished_run_given_again_costs_nothing(self, tmp_path: Path) -> None:
        """The same folder again: the same result without a call, its spend as it was."""
        lm = self.lm()
        first = self.compile(lm, tmp_path / "run")
        calls = lm.calls

        second = self.compile(lm, tmp_path / "run")

        assert lm.calls == calls
        assert self.found(first) == self.found(second)
        assert first.report.total_spend.calls == second.report.total_spend.calls == calls

    def test_candidates_are_programs_that_can_be_loaded(self, tmp_path: Path) -> None:
        """Each candidate of the run loads into a program of the user's."""
        compiled = self.compile(self.lm(), tmp_path / "run", Nested())
        run = Run(tmp_path / "run")

        assert run.candidates
        for candidate in run.candidates:
            assert candidate.load(self.home(Nested())).named_predictors()
        assert (
            self.home(Nested()).load(run.folder / "program.json").dump_state()["predictors"]
            == compiled.dump_state()["predictors"]
        )

    def test_the_result_is_saved_and_loaded(self, tmp_path: Path) -> None:
        """State and report survive a file."""
        compiled = self.compile(self.lm(), tmp_path / "run", Nested())
        compiled.save(tmp_path / "program.json")

        loaded = self.home(Nested()).load(tmp_path / "program.json")

        assert loaded.dump_state()["predictors"] == compiled.dump_state()["predictors"]
        assert loaded.report.run_dir == compiled.report.run_dir

    def test_no_budget_of_calls_is_overrun(self, tmp_path: Path) -> None:
        """Whatever the limit and the threads: refused at the door, or kept, with the best so far."""
        free = self.lm()
        self.compile(free, tmp_path / "free")
        for limit in _spread(free.calls + 1, 8):
            lm = self.lm()
            try:
                compiled = self.compile(lm, tmp_path / f"b{limit}", threads=8, budget=Budget(calls=limit))
            except ConfigurationError:
                assert lm.calls == 0
            else:
                assert lm.calls <= limit
                assert compiled.report.stopped is None or "budget" in compiled.report.stopped

    def test_a_budget_holds_over_a_resume(self, tmp_path: Path) -> None:
        """What was spent before the kill counts."""
        free = self.lm()
        self.compile(free, tmp_path / "free")
        limit = free.calls - 1
        lm = self.lm()
        for kill in (free.calls // 2, 10**9):
            try:
                with context(journal_tap=Killer(kill)):
                    self.compile(lm, tmp_path / "run", budget=Budget(calls=limit))
            except (Killed, ConfigurationError):
                pass
        assert lm.calls <= max(limit, 0) + 1  # the reply that the kill lost

    def test_the_plan_holds(self, tmp_path: Path) -> None:
        """The calls that were made lie within what the plan said."""
        for name, make in PROGRAMS.items():
            optimizer = self.make_optimizer(equal_answer, num_threads=4, max_errors=50)
            lm, program = self.lm(), make()
            data: dict[str, Any] = {
                "trainset": sums(8),
                **({"valset": sums(6, 50)} if self.calls_lms else {}),
            }
            with context(lm=lm):
                plan = optimizer.plan(program, **data, calls_per_run=CALLS_PER_RUN.get(name))
                assert lm.calls == 0
                compiled = optimizer.compile(program, **data, run_dir=tmp_path / name)
            used = compiled.report.total_spend
            assert plan.calls[0] <= lm.calls <= plan.calls[1], (name, plan, lm.calls)
            assert used.total_tokens == 0 or plan.tokens[0] <= used.total_tokens <= plan.tokens[1]

    def test_failures_are_counted(self, tmp_path: Path) -> None:
        """Rows that fail are in the report, and the rest goes on."""
        if not self.calls_lms:
            return

        def reply(text: str, wanted: list[str]) -> dict[str, str]:
            if share(text[-60:]) > 0.5:
                raise LMInvalidRequestError("refused", model="counting")
            return self.reply(text, wanted)

        compiled = self.compile(self.lm(reply), tmp_path / "run")

        assert compiled.report.failures
        assert compiled.report.failed_calls

    def test_an_lm_that_goes_away_stops_it_and_no_row_is_scored_for_that(self, tmp_path: Path) -> None:
        """What is there is kept; with the LM back, the run goes on to the same result."""
        if not self.calls_lms:
            return
        whole = self.lm()
        expected = self.found(self.compile(whole, tmp_path / "whole"))
        for after in _spread(whole.calls, 6):
            lm = self.lm()
            lm.lives = after
            with context(outage_patience=0.0):
                stopped = self.compile(lm, tmp_path / f"away-{after}")
            scores = {(c.seed, c.label): c.score for c in stopped.report.candidates}
            assert stopped.report.stopped is not None
            assert not stopped.report.failures
            assert all(score == scores.get(name, score) for name, score in _scores(expected))
            assert self.found(self.compile(self.lm(), tmp_path / f"away-{after}")) == expected

    def test_all_scores_equal_and_three_examples_are_no_trouble(self, tmp_path: Path) -> None:
        """Nothing to choose by, and hardly anything to learn from."""
        optimizer = self.make_optimizer(always_right, num_threads=2, max_errors=50)
        with context(lm=self.lm()):
            compiled = optimizer.compile(
                Predict("question -> answer"), trainset=sums(3), run_dir=tmp_path / "run"
            )
        assert compiled.report.stopped is None


def _spread(total: int, most: int) -> list[int]:
    """Return up to `most` numbers from 0 to `total` - 1, evenly spread."""
    if total <= most:
        return list(range(total))
    return sorted({i * (total - 1) // (most - 1) for i in range(most)})


def _scores(found: Any) -> list[tuple[Any, float]]:
    return [((one["seed"], one["label"]), one["score"]) for one in found[1]["candidates"]]
