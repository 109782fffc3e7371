"""The shipped suite, on the optimizers of telic itself: a new one is one class here."""

from __future__ import annotations

import asyncio

import pytest

from telic import (
    COPRO,
    GEPA,
    SIMBA,
    BetterTogether,
    BootstrapFewShot,
    BootstrapFewShotWithOptuna,
    BootstrapFewShotWithRandomSearch,
    Ensemble,
    Evaluate,
    Improve,
    InferRules,
    KNNFewShot,
    LabeledFewShot,
    MIPROv2,
)
from telic.context import context
from telic.errors import LMInvalidRequestError
from telic.modules import NearestDemos, majority
from telic.testing import DummyVectorizer, OptimizerConformance
from telic.testing._optimizer_programs import PROGRAMS, Nested
from telic.testing._optimizer_suite import OptimizerSuite
from telic.testing._optimizer_task import equal_answer, sums


class TestLabeledFewShot(OptimizerConformance):
    calls_lms = False

    def make_optimizer(self, metric, **settings):
        return LabeledFewShot(k=3)


class TestBootstrapFewShot(OptimizerConformance):
    def make_optimizer(self, metric, **settings):
        return BootstrapFewShot(metric, max_bootstrapped_demos=2, max_labeled_demos=3, **settings)


class TestBootstrapFewShotWithRandomSearch(OptimizerConformance):
    def make_optimizer(self, metric, **settings):
        return BootstrapFewShotWithRandomSearch(
            metric, max_bootstrapped_demos=2, max_labeled_demos=3, num_candidate_programs=2, **settings
        )


class TestGEPA(OptimizerConformance):
    def make_optimizer(self, metric, **settings):
        return GEPA(metric=metric, max_metric_calls=60, reflection_minibatch_size=2, **settings)


class TestCOPRO(OptimizerConformance):
    def make_optimizer(self, metric, **settings):
        return COPRO(metric=metric, breadth=3, depth=2, **settings)


class WithOptions:
    """An optimizer that gets the same options for every compile and plan."""

    def __init__(self, optimizer, **options):
        self.optimizer, self.options = optimizer, options

    def __repr__(self):
        return repr(self.optimizer)

    def compile(self, student, **arguments):
        return self.optimizer.compile(student, **arguments, **self.options)

    def plan(self, program, **arguments):
        return self.optimizer.plan(program, **arguments, **self.options)


class TestMIPROv2(OptimizerConformance):
    def make_optimizer(self, metric, **settings):
        optimizer = MIPROv2(
            metric, auto=None, num_candidates=3, max_bootstrapped_demos=2, max_labeled_demos=2, **settings
        )
        return WithOptions(optimizer, num_trials=10, minibatch_size=3, minibatch_full_eval_steps=3)


class TestMIPROv2OfInstructionsAlone(OptimizerConformance):
    def make_optimizer(self, metric, **settings):
        demos = {"max_bootstrapped_demos": 0, "max_labeled_demos": 0}
        return MIPROv2(metric, auto=None, num_candidates=3, **demos, **settings)


class TestBootstrapFewShotWithOptuna(OptimizerConformance):
    def make_optimizer(self, metric, **settings):
        sizes = {"max_bootstrapped_demos": 2, "max_labeled_demos": 3, "num_candidate_programs": 4}
        return BootstrapFewShotWithOptuna(metric, **sizes, **settings)


class TestSIMBA(OptimizerConformance):
    def make_optimizer(self, metric, **settings):
        return SIMBA(metric=metric, bsize=3, num_candidates=2, max_steps=2, max_demos=2, **settings)


class TestKNNFewShot(OptimizerConformance):
    def make_optimizer(self, metric, **settings):
        return KNNFewShot(
            3, vectorizer=DummyVectorizer(), metric=metric, max_bootstrapped_demos=2, **settings
        )

    def home(self, program):
        return NearestDemos(program, 3, DummyVectorizer())


class TestInferRules(OptimizerConformance):
    def make_optimizer(self, metric, **settings):
        demos = {"max_bootstrapped_demos": 2, "max_labeled_demos": 3}
        return InferRules(num_candidates=2, metric=metric, **demos, **settings)


class TestBetterTogether(OptimizerConformance):
    def make_optimizer(self, metric, **settings):
        """Prompts alone, in three turns."""
        demos = {"max_bootstrapped_demos": 2, "max_labeled_demos": 3}
        climbing = SIMBA(metric=metric, bsize=3, num_candidates=2, max_steps=1, max_demos=2, **settings)
        return BetterTogether(metric, BootstrapFewShot(metric, **demos, **settings), climbing)


class TestEnsemble(OptimizerSuite):
    """It takes programs in the place of rows and calls no LM, so that of the suite only this can be asked of it."""

    def members(self, make=PROGRAMS["plain"]):
        return [LabeledFewShot(k=k).compile(make(), trainset=sums(8)) for k in (1, 2, 3)]

    def made(self, make=PROGRAMS["plain"], **settings):
        return Ensemble(reduce_fn=majority, **settings).compile(self.members(make))

    def test_what_it_is_given_stays_as_it_was(self):
        members, optimizer = self.members(Nested), Ensemble(reduce_fn=majority, size=2)
        before = [one.dump_state() for one in members], repr(optimizer)
        first, second = optimizer.compile(members), optimizer.compile(members)
        for program in (first, second):
            program.programs[0].answer.demos = []
        assert ([one.dump_state() for one in members], repr(optimizer)) == before
        assert not {id(one) for one in first.programs} & {id(one) for one in members}

    @pytest.mark.parametrize("size", [None, 2])
    @pytest.mark.parametrize("name", PROGRAMS)
    def test_programs_of_every_shape_answer_the_same_at_1_and_32_threads_sync_and_async(self, name, size):
        program, lm = self.made(PROGRAMS[name], size=size), self.lm()
        lm.unrest = name
        with context(lm=lm):
            alone, many = (
                Evaluate(devset=sums(12), metric=equal_answer, num_threads=n)(program) for n in (1, 32)
            )
            awaited = asyncio.run(program.acall(question=sums(1)[0].question))
            told = program(question=sums(1)[0].question)
        assert [row.prediction.answer for row in alone.rows] == [row.prediction.answer for row in many.rows]
        assert awaited.answer == told.answer
        assert alone.spend.calls >= 12 * (3 if size is None else size)

    def test_predictors_keep_their_own_lms(self):
        members = [PROGRAMS["plain"]() for _ in range(3)]
        for number, one in enumerate(members):
            one.lm = self.lm(name=f"lm{number}")
        made = Ensemble().compile(members)
        assert [p.lm.model for p in made.predictors()] == ["lm0", "lm1", "lm2"]

    def test_the_result_is_saved_and_loaded(self, tmp_path):
        made = self.made(Nested, size=2)
        made.save(tmp_path / "program.json")
        loaded = Ensemble(reduce_fn=majority, size=2).compile([Nested(), Nested(), Nested()])
        loaded.load(tmp_path / "program.json")
        assert loaded.dump_state()["predictors"] == made.dump_state()["predictors"]
        with context(lm=self.lm()):
            assert loaded(question=sums(1)[0].question).answer == made(question=sums(1)[0].question).answer

    def test_members_that_are_not_compiled_are_compiled_with_it(self, tmp_path):
        made = Ensemble(reduce_fn=majority).compile([PROGRAMS["nested"](), PROGRAMS["plain"]()])
        with context(lm=self.lm()):
            compiled = BootstrapFewShot(equal_answer, max_bootstrapped_demos=2).compile(
                made, trainset=sums(8), run_dir=tmp_path / "run"
            )
        assert any(predictor.demos for predictor in compiled.predictors())

    def test_a_member_that_fails_fails_the_call_and_is_named(self):
        def reply(text, wanted):
            raise LMInvalidRequestError("refused", model="counting")

        members = self.members()
        members[1].lm = self.lm(reply, name="broken")
        with context(lm=self.lm()), pytest.raises(LMInvalidRequestError, match="refused"):
            Ensemble(reduce_fn=majority).compile(members)(question=sums(1)[0].question)

    def test_a_seed_of_zero_is_a_seed_and_another_draws_otherwise(self):
        def drawn(seed):
            program, lm = self.made(size=1, seed=seed), self.lm()
            with context(lm=lm):
                for row in sums(12):
                    program(question=row.question)
            return sorted(lm.asked)

        assert drawn(0) == drawn(0) != drawn(1)


class TestImprove(OptimizerConformance):
    def make_optimizer(self, metric, **settings):
        return Improve(metric, num_instructions=3, max_rounds=2, **settings)
