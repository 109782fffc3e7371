"""LMs for tests of instruction optimizers: one that proposes, and tasks that only a certain instruction solves."""

import threading

from arithmetic import answer_of

from telic.testing import FunctionLM

MAGIC = "Add the two numbers"


def text_of(request):
    return "\n".join(str(message["content"]) for message in request.messages)


def is_proposal(request):
    return "proposed_instruction" in text_of(request)


def worker_lm(base=0.2, lift=0.6, per_demo=0.0):
    """Right more often where the instructions hold the magic words, and with demos."""

    def reply(request):
        demos = (len(request.messages) - 2) // 2
        chance = base + lift * (MAGIC in request.messages[0]["content"]) + per_demo * demos
        return {"answer": answer_of(request.messages[-1]["content"], chance)}

    return FunctionLM(reply)


class WritingLM:
    """Proposes instructions one after another, by the sample index; remembers what it was shown."""

    def __init__(self, texts, **fields):
        self.texts = texts
        self.fields = fields
        self.lm = FunctionLM(self.reply, model="writer")
        self.numbers = {}
        self._lock = threading.Lock()

    def reply(self, request):
        with self._lock:
            number = self.numbers.setdefault(request.sample, len(self.numbers))
        text = self.texts[number % len(self.texts)]
        return {"proposed_instruction": text, **self.fields}

    @property
    def prompts(self):
        return [text_of(request) for request in self.lm.requests]
