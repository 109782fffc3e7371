"""Sums by reflection: several attempts are drawn, then one call compares them.

Run it: python examples/reflection.py (some seconds, offline, free; needs the extra `tiny`)
"""

import telic
from telic.datasets import tiny
from telic.recipes.programs import ThoughtReflection


def main() -> tuple[float, float]:
    data = tiny.load("arithmetic", n_train=0, n_val=0, n_test=40)
    telic.configure(lm=telic.LM("telic/tiny", temperature=0.0))
    evaluate = telic.Evaluate(devset=data.testset, metric=data.metric)

    at_once = evaluate(telic.Predict(data.signature))
    reflected = evaluate(ThoughtReflection(data.signature, num_attempts=3))
    print(f"answers at once: {at_once}\nafter reflection: {reflected}")
    return at_once.score, reflected.score


if __name__ == "__main__":
    main()
