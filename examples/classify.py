"""Classify texts whose labels only examples can tell: measure, compile, measure again, with the LM in the box.

Run it: python examples/classify.py (some seconds, offline, free; needs the extra `tiny`)
"""

import telic
from telic.datasets import tiny


def main() -> tuple[float, float]:
    data = tiny.load("hidden_labels", n_train=40, n_val=30, n_test=60)
    telic.configure(lm=telic.LM("telic/tiny", temperature=0.0))

    evaluate = telic.Evaluate(devset=data.testset, metric=data.metric)
    program = telic.Predict(data.signature)
    before = evaluate(program)
    print(f"as written: {before}")

    optimizer = telic.BootstrapFewShotWithRandomSearch(data.metric, num_candidate_programs=2)
    compiled = optimizer.compile(program, trainset=data.trainset, valset=data.valset)
    after = evaluate(compiled)
    print(f"compiled:   {after}")
    print(after.compare(before).verdict)
    return before.score, after.score


if __name__ == "__main__":
    main()
