"""The shipped suite, on the optimizers of telic itself: a new one is one class here."""

from __future__ import annotations

from telic import COPRO, BootstrapFewShot, BootstrapFewShotWithRandomSearch, LabeledFewShot
from telic.testing import OptimizerConformance


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


class TestCOPRO(OptimizerConformance):
    def make_optimizer(self, metric, **settings):
        return COPRO(metric=metric, breadth=3, depth=2, **settings)
