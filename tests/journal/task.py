"""A compile in a process of its own, to be killed: `python task.py FOLDER URL KILL_AT OPTIMIZER THREADS`."""

import os
import signal
import sys

import telic
from telic.testing._optimizer_task import equal_answer, sums


def main(folder, url, kill_at, kind, threads):
    left = [int(kill_at)]

    def tap(event):
        left[0] -= 1
        if left[0] < 0:
            os.kill(os.getpid(), signal.SIGKILL)

    lm = telic.LM("openai/counted", base_url=url, api_key="none", cache=False, temperature=0.7)
    settings = {"num_threads": int(threads), "display_progress": False, "max_errors": 50}
    if kind == "BootstrapFewShot":
        optimizer = telic.BootstrapFewShot(
            equal_answer, max_bootstrapped_demos=2, max_labeled_demos=2, **settings
        )
    else:
        optimizer = telic.BootstrapFewShotWithRandomSearch(
            equal_answer, max_bootstrapped_demos=2, max_labeled_demos=2, num_candidate_programs=1, **settings
        )
    with telic.context(lm=lm, journal_tap=None if int(kill_at) < 0 else tap):
        compiled = optimizer.compile(
            telic.Predict("question -> answer"), trainset=sums(6), valset=sums(5, 50), run_dir=folder
        )
    sys.stdout.write(repr([[dict(d.items()) for d in compiled.demos], compiled.report.score]))


if __name__ == "__main__":
    main(*sys.argv[1:])
