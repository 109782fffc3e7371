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

from telic.context import context
from telic.journal import Run
from telic.modules import Predict
from telic.testing._optimizer_faults import FaultBehaviours
from telic.testing._optimizer_programs import CALLS_PER_RUN, PROGRAMS, Nested
from telic.testing._optimizer_task import equal_answer, sums


class OptimizerConformance(FaultBehaviours):
    """Behaviours of an optimizer; a subclass defines `make_optimizer`."""

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

    def test_a_metric_may_be_awaited(self, tmp_path: Path) -> None:
        """The same result as with a plain one."""

        async def awaited(example: Any, prediction: Any, trace: Any = None) -> bool:
            return equal_answer(example, prediction)

        plain, other = (
            self.compile(self.lm(), tmp_path / metric.__name__, metric=metric)
            for metric in (equal_answer, awaited)
        )
        assert self.found(plain) == self.found(other)

    def test_without_a_valset_it_is_said_which_rows_chose(self, tmp_path: Path) -> None:
        """Split, or shared: never silently the same rows."""
        for count in (8, 24):
            optimizer = self.make_optimizer(equal_answer, num_threads=4, max_errors=50)
            with context(lm=self.lm()):
                compiled = optimizer.compile(
                    Predict("question -> answer"), trainset=sums(count), run_dir=tmp_path / str(count)
                )
            told = [note for note in compiled.report.notes if "valset" in note]
            assert bool(told) == (compiled.report.score is not None), compiled.report.notes
            assert not told or ("split" in told[0]) == (count == 24), told

    def test_a_seed_of_zero_is_a_seed(self, tmp_path: Path) -> None:
        """It is kept, and comes to the same result each time."""
        optimizer = self.make_optimizer(equal_answer, num_threads=1, max_errors=50)
        inner = getattr(optimizer, "optimizer", optimizer)
        inner.seed = 0
        found: list[Any] = []
        for name in "ab":
            with context(lm=self.lm()):
                found.append(
                    self.found(optimizer.compile(Nested(), trainset=sums(8), run_dir=tmp_path / name))
                )
        assert inner.seed == 0
        assert found[0] == found[1]
