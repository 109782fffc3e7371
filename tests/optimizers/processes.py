"""An executor of the standard library's processes, and what its processes can import."""

import os
import pickle
import signal
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path

from arithmetic import answer_of

import telic
from telic.errors import ConfigurationError, WorkerLostError


class Processes:
    """Two processes, others where one of them died; work of which dies `tries` times is lost."""

    def __init__(self, workers=2, tries=1):
        self.workers, self.tries = workers, tries
        self.jobs = 0
        self.pool = self._made()

    def _made(self):
        return ProcessPoolExecutor(self.workers, mp_context=get_context("spawn"))

    def share(self, value):
        try:
            pickle.dumps(value)
        except Exception as error:
            raise ConfigurationError(f"it cannot be sent: {error}") from error
        return value

    def run(self, work, *args):
        return self._tried(self.tries, work, args)

    def _tried(self, tries, work, args):
        self.jobs += 1
        pool = self.pool
        try:
            return pool.submit(work, *args).result()
        except BrokenProcessPool as error:
            if self.pool is pool:
                self.pool = self._made()
            if tries == 1:
                raise WorkerLostError(f"a process died: {error}") from error
        return self._tried(tries - 1, work, args)

    def close(self):
        self.pool.shutdown(cancel_futures=True)


def reply(body):
    """What the server says: a sum, right for some questions."""
    question = body["messages"][-1]["content"]
    text = f"[[ ## answer ## ]]\n{answer_of(question, 0.6)}"
    return {
        "choices": [{"message": {"content": text}}],
        "usage": {"prompt_tokens": 7, "completion_tokens": 3},
    }


def right(row, found, trace=None):
    return row.answer == found.answer


def picky(row, found, trace=None):
    """As `right`, and raises for one row."""
    if row.question.startswith("What is 37 "):
        raise KeyError("no metric for this one")
    return right(row, found)


def elsewhere(row, found, trace=None):
    """Whether it is not the process that started this one."""
    return os.environ.get("TELIC_TEST_MAIN") != str(os.getpid())


class TwoSteps(telic.Module):
    """Two predictors, and one that it makes while it works."""

    def __init__(self):
        super().__init__()
        self.first = telic.Predict("question -> answer")
        self.second = telic.Predict("question -> answer")

    def forward(self, question):
        self.first(question=question)
        telic.Predict(telic.Signature("question -> answer").with_instructions("made"))(question=question)
        return self.second(question=question)


class Fragile(telic.Module):
    """Ends its process at one question: the first time, or, without a flag, always."""

    def __init__(self, at, flag=None):
        super().__init__()
        self.at, self.flag = at, flag
        self.ask = telic.Predict("question -> answer")

    def forward(self, question):
        found = self.ask(question=question)
        if question == self.at and (self.flag is None or not Path(self.flag).exists()):
            if self.flag is not None:
                Path(self.flag).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return found


class Insatiable(telic.Module):
    """Asks ten times."""

    def __init__(self):
        super().__init__()
        self.ask = telic.Predict("question -> answer")

    def forward(self, question):
        for _ in range(10):
            found = self.ask(question=question)
        return found


def interrupt(row, found, trace=None):
    """Presses Ctrl-C at one row, in the process that started this one."""
    if row.question.startswith("What is 74 "):
        os.kill(os.getppid(), signal.SIGINT)
    return 1.0


class Bare(telic.ChatAdapter):
    """Takes a reply as it is: models with random weights write no fields."""

    def parse(self, signature, completion):
        return {"answer": completion}


def roundness(row, found, trace=None):
    """A reward that differs between replies of any kind."""
    return sum(letter in "aeo36" for letter in found.answer) / max(1, len(found.answer))


def grieved(row, found, trace=None):
    """Ends its process at one row."""
    os.kill(os.getpid(), signal.SIGKILL)


def unreadable(body):
    """Says nothing that can be read to one question."""
    made = reply(body)
    if "What is 37 " in body["messages"][-1]["content"]:
        made["choices"] = [{"message": {"content": "I would rather not."}}]
    return made


def with_objectives(row, found, trace=None):
    return telic.Prediction(score=float(right(row, found)), objective_scores={"short": 1 / len(found.answer)})
