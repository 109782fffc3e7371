"""The shipped suite, on the optimizers of telic itself: a new one is one class here."""

from __future__ import annotations

from telic import (
    COPRO,
    GEPA,
    SIMBA,
    BootstrapFewShot,
    BootstrapFewShotWithOptuna,
    BootstrapFewShotWithRandomSearch,
    InferRules,
    KNNFewShot,
    LabeledFewShot,
    MIPROv2,
)
from telic.modules import NearestDemos
from telic.testing import DummyVectorizer, OptimizerConformance


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
