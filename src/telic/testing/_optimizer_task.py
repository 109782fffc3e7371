"""What the suite for optimizers works on: sums, metrics, an LM that counts, and an end of the process at any event."""

from __future__ import annotations

import hashlib
import re
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from telic.data import Example
from telic.errors import LMTransportError
from telic.lm import BaseLM

FIELD = re.compile(r"\[\[ ## (\w+) ## \]\]")
SUM = re.compile(r"What is (\d+) plus (\d+)\?")


def share(text: str) -> float:
    """Return a number from 0 to 1 that depends on a text alone."""
    return int(hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=4).hexdigest(), 16) / 2**32


def sums(n: int, first: int = 0) -> list[Example]:
    """Return rows that ask for sums."""
    made: list[Example] = []
    for i in range(first, first + n):
        a, b = (i * 37) % 1000, (i * 91 + 5) % 1000
        made.append(Example(question=f"What is {a} plus {b}?", answer=str(a + b)).with_inputs("question"))
    return made


def equal_answer(example: Any, prediction: Any, trace: Any = None) -> bool:
    """The metric: the sum is right."""
    return example.answer == prediction.answer


def always_right(example: Any, prediction: Any, trace: Any = None) -> float:
    """A metric that tells nothing apart."""
    return 1.0


def answered(text: str, reply: Callable[[str, list[str]], dict[str, str]]) -> str:
    """Return an answer in the format of `ChatAdapter`.

    Args:
        text: The whole prompt.
        reply: Gets it, and the names of the fields that it asks for; returns their values.
    """
    wanted = list(dict.fromkeys(FIELD.findall(text.rpartition("Respond with")[2])))
    fields = reply(text, [name for name in wanted if name != "completed"])
    return "\n\n".join([f"[[ ## {k} ## ]]\n{v}" for k, v in fields.items()] + ["[[ ## completed ## ]]"])


class CountingLM(BaseLM):
    """Answers by a function of the prompt, and counts what it is asked.

    Args:
        reply: Gets the whole prompt and the names of the fields asked for; returns their values, or raises.
        name: Of the model.
    """

    def __init__(self, reply: Any, name: str = "counting") -> None:
        super().__init__(name)
        self.reply = reply
        self.lives: int | None = None
        """After so many answers it is away; None: never."""
        self.unrest: str | None = None
        """Answers take up to 2 ms by this text and the prompt, so that calls end in an order of its own; None: none."""
        self.asked: Counter[str] = Counter()
        self._lock = threading.Lock()  # protects the counts

    def forward(self, prompt: Any = None, messages: Any = None, **options: Any) -> str:
        """Answer in the format of `ChatAdapter`."""
        text = "\n".join(str(message.get("content")) for message in messages)
        with self._lock:
            if self.lives is not None and self.calls >= self.lives:
                raise LMTransportError("connection refused", model=self.model)
            self.asked[text] += 1
        if self.unrest is not None:
            time.sleep(0.002 * share(self.unrest + text))
        return answered(text, self.reply)

    @property
    def calls(self) -> int:
        """How often it was asked."""
        return sum(self.asked.values())


class Killed(BaseException):
    """Stands for the end of the process: nothing below may catch it."""


class Killer:
    """Ends the process, as far as a run can see, before its n-th event is written."""

    def __init__(self, number: int) -> None:
        self.left = number
        self.event = ""

    def __call__(self, event: str) -> None:
        self.left -= 1
        if self.left < 0:
            self.event = self.event or event
            raise Killed
