"""Compiles in processes of their own, to be killed.

This process imports telic once and then forks for each line of JSON that it reads, the arguments of `child`: the child
compiles in a folder, kills itself (kill -9) before the journal's event number `kill_at`, and may write no file longer
than `limit` bytes. For each it writes one line of JSON: the status (-9: killed), what was found, and the error.
"""

import importlib
import json
import os
import resource
import signal
import sys
import tempfile

import telic
from telic.testing import DummyVectorizer
from telic.testing._optimizer_suite import OptimizerSuite
from telic.testing._optimizer_task import equal_answer, sums

HELD_OUT = {"BootstrapFewShot": 20, "KNNFewShot": 20, "SIMBA": 12}
"""Rows of the valset, so that there are some 60 events of each; 5 elsewhere."""
DEMOS = {"max_bootstrapped_demos": 2, "max_labeled_demos": 2}


def optimizer_of(kind, metric=equal_answer, **settings):
    """Return an optimizer, small, and the further arguments of its `compile`."""
    options = {}
    if kind == "LabeledFewShot":
        return telic.LabeledFewShot(k=3), options
    make = {
        "BootstrapFewShot": lambda: telic.BootstrapFewShot(metric, **DEMOS, **settings),
        "BootstrapFewShotWithRandomSearch": lambda: telic.BootstrapFewShotWithRandomSearch(
            metric, **DEMOS, num_candidate_programs=1, **settings
        ),
        "BootstrapFewShotWithOptuna": lambda: telic.BootstrapFewShotWithOptuna(
            metric, **DEMOS, num_candidate_programs=3, **settings
        ),
        "KNNFewShot": lambda: telic.KNNFewShot(
            2, vectorizer=DummyVectorizer(), metric=metric, **DEMOS, **settings
        ),
        "COPRO": lambda: telic.COPRO(metric=metric, breadth=3, depth=2, **settings),
        "MIPROv2": lambda: telic.MIPROv2(metric, auto=None, num_candidates=3, **DEMOS, **settings),
        "SIMBA": lambda: telic.SIMBA(
            metric=metric, bsize=3, num_candidates=2, max_steps=2, max_demos=2, **settings
        ),
        "GEPA": lambda: telic.GEPA(
            metric=metric, max_metric_calls=50, reflection_minibatch_size=2, proposals_at_once=2, **settings
        ),
        "InferRules": lambda: telic.InferRules(num_candidates=2, metric=metric, **DEMOS, **settings),
    }
    if kind == "MIPROv2":
        options = {"num_trials": 6, "minibatch_size": 3, "minibatch_full_eval_steps": 2}
    return make[kind](), options


KINDS = (
    "LabeledFewShot",
    "BootstrapFewShot",
    "BootstrapFewShotWithRandomSearch",
    "BootstrapFewShotWithOptuna",
    "KNNFewShot",
    "COPRO",
    "MIPROv2",
    "SIMBA",
    "GEPA",
    "InferRules",
)


def compiled(kind, folder, lm, threads=1, tap=None, **settings):
    """Return what a compile in a folder comes to, as text."""
    optimizer, options = optimizer_of(
        kind, **{"num_threads": threads, "display_progress": False, "max_errors": 50, **settings}
    )
    data = {"trainset": sums(6)} | (
        {} if kind == "LabeledFewShot" else {"valset": sums(HELD_OUT.get(kind, 5), 50)}
    )
    with telic.context(lm=lm, journal_tap=tap, outage_patience=0.3):
        made = optimizer.compile(telic.Predict("question -> answer"), **data, **options, run_dir=folder)
    return f"{made.report.stopped} {made.report.score} {made.dump_state()['predictors']!r}"


def lm_at(url):
    return telic.LM(
        "openai/counted", base_url=url, api_key="none", cache=False, temperature=0.7, num_retries=0
    )


def child(url, kind, folder, out, *, threads=1, kill_at=None, limit=None):
    left = [kill_at]

    def tap(event):
        left[0] -= 1
        if left[0] < 0:
            os.kill(os.getpid(), signal.SIGKILL)

    if limit is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    try:
        told = [compiled(kind, folder, lm_at(url), threads, None if kill_at is None else tap), None]
    except Exception as error:  # told to the test
        told = [None, f"{type(error).__name__}: {error}"]
    with os.fdopen(out, "w") as pipe:
        json.dump(told, pipe)


def warm_up():
    """Load what a compile loads, so that no child has to."""
    importlib.import_module("telic._http")
    importlib.import_module("telic.lm.wire._client")
    importlib.import_module("telic.lm.wire._openai")
    with tempfile.TemporaryDirectory() as folder:
        compiled("MIPROv2", f"{folder}/run", OptimizerSuite().lm())


def main():
    warm_up()
    for line in sys.stdin:
        ours, theirs = os.pipe()
        process = os.fork()
        if process == 0:
            os.close(ours)
            child(**json.loads(line), out=theirs)
            os._exit(0)
        os.close(theirs)
        with os.fdopen(ours) as pipe:
            told = pipe.read()
        status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        found, error = json.loads(told) if told else (None, None)
        sys.stdout.write(json.dumps({"status": status, "found": found, "error": error}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
