"""A question with and without a chain of thought, then taught by examples: three programs, measured on the same rows.

Run it: python examples/qa.py (some seconds, offline, free; needs the extra `tiny`)
"""

import telic
from telic.datasets import tiny


def main() -> list[float]:
    data = tiny.load("arithmetic", n_train=16, n_val=0, n_test=40)
    telic.configure(lm=telic.LM("telic/tiny", temperature=0.0))
    evaluate = telic.Evaluate(devset=data.testset, metric=data.metric)

    plain = telic.Predict(data.signature)  # "question -> answer"
    thinking = telic.ChainOfThought(data.signature)
    taught = telic.BootstrapFewShot(data.metric).compile(thinking, trainset=data.trainset)

    results = [evaluate(program) for program in (plain, thinking, taught)]
    for name, result in zip(
        ("answers at once", "thinks first", "thinks, with examples"), results, strict=True
    ):
        print(f"{name}: {result}")
    return [result.score for result in results]


if __name__ == "__main__":
    main()
