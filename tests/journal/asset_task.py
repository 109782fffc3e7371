"""The compile whose folders are kept for every release: `python tests/journal/asset_task.py NAME [KILL_AT]`.

It makes `NAME` in the present directory, and ends the process by SIGKILL at the given event of the journal. Metric and
LM are of this file, which is never changed: what a run is of includes their code, and a run that is kept goes on only
with the same.
"""

import os
import signal
import sys
import zlib

import telic
from telic.data import Completion, Response, Usage
from telic.testing import FunctionLM


class Parity(telic.Module):
    """Two steps, of which one loops."""

    def __init__(self):
        self.last = telic.Predict("text -> digit: int")
        self.label = telic.Predict("text, digit: int -> label")

    def forward(self, text):
        return self.label(text=text, digit=self.last(text=text).digit)


def metric(example, prediction, trace=None):
    return float(example.label == prediction.label)


def luck(text):
    return zlib.crc32(text.encode()) / 2**32


def answer(request):
    """Right for more rows, the more demonstrations there are."""
    whole = "\n".join(str(message["content"]) for message in request.messages)
    question = str(request.messages[-1]["content"])
    if "digit ##" in question.rpartition("Respond with")[2]:
        fields = {"digit": "7"}
    else:
        row = int(question.split("row ")[1].split()[0])
        skill = 0.4 + 0.1 * whole.count("[[ ## completed ## ]]")
        fields = {"label": "odd" if (row % 2 == 1) == (luck(f"row {row}") < skill) else "even"}
    text = "".join(f"[[ ## {name} ## ]]\n{value}\n\n" for name, value in fields.items())
    usage = Usage(len(whole) // 4, 20, len(str(request.messages[0]["content"])) // 4, 0, 0.0001, 1)
    return Response((Completion(f"{text}[[ ## completed ## ]]"),), usage, "fake")


def rows(first, count):
    return [
        telic.Example(text=f"row {n} of all", label="odd" if n % 2 else "even").with_inputs("text")
        for n in range(first, first + count)
    ]


def compiled(folder, lm, tap=None):
    """Compile into a folder, or go on there."""
    optimizer = telic.BootstrapFewShotWithRandomSearch(
        metric,
        max_bootstrapped_demos=2,
        max_labeled_demos=2,
        num_candidate_programs=2,
        num_threads=1,
        display_progress=False,
    )
    with telic.context(lm=lm, journal_tap=tap):
        return optimizer.compile(Parity(), trainset=rows(0, 8), valset=rows(20, 8), run_dir=folder)


def main(folder, kill_at="-1"):
    left = [int(kill_at)]

    def tap(event):
        left[0] -= 1
        if left[0] < 0:
            os.kill(os.getpid(), signal.SIGKILL)

    compiled(folder, FunctionLM(answer, cache=False), None if left[0] < 0 else tap)


if __name__ == "__main__":
    main(*sys.argv[1:])
