"""An evaluation through a batch service, in a process of its own: `python task.py FOLDER URL [CACHE_FOLDER]`."""

import sys

import telic
from telic.lm.wire._batch import BatchClient
from telic.lm.wire._openai import OpenAIDialect
from telic.lm.wire._retry import RetryPolicy

ROWS = 6


def metric(example, prediction, trace=None):
    return float(prediction.answer)


def main(folder, url, cache=""):
    dialect = OpenAIDialect("openai", "m", api_key="none", base_url=url)
    client = BatchClient(dialect, gather_s=0.2, poll_s=(0.01, 0.02), retry=RetryPolicy(3, base_s=0.01))
    if cache:
        telic.configure_cache(disk_cache_dir=cache)
    lm = telic.LM("openai/m", client=client, cache=bool(cache))
    lm.batch = True
    # Each question is asked twice; without a cache these are two draws.
    rows = [telic.Example(question=f"row {n // 2}").with_inputs("question") for n in range(ROWS)]
    evaluate = telic.Evaluate(devset=rows, metric=metric, num_threads=ROWS)
    with telic.context(lm=lm):
        result = evaluate(telic.Predict("question -> answer"), run_dir=folder)
    sys.stdout.write(repr(sorted(row.score for row in result.rows)))


if __name__ == "__main__":
    main(*sys.argv[1:])
