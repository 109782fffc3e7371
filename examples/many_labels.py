"""Seventy-seven classes: the nearest labelled examples make a short list, and the LM chooses from that.

Run it: python examples/many_labels.py (offline: the LM is a function; name a real one in `main(lm=…)`; needs the extra
`retrieve`; `telic.datasets.Banking77` has the real messages)
"""

import random
import re

import telic
from telic.data import Request
from telic.datasets.classification import label_match
from telic.recipes.programs import Classify, labelled
from telic.retrieve import BM25
from telic.testing import FunctionLM

THINGS = [
    "card",
    "transfer",
    "top-up",
    "refund",
    "exchange",
    "PIN",
    "payment",
    "account",
    "cash",
    "passcode",
    "fee",
]
EVENTS = ["late", "refused", "lost", "charged twice", "pending", "blocked", "wrong"]
LABELS = [f"{thing}_{event.replace(' ', '_')}" for thing in THINGS for event in EVENTS]


def rows(count: int, seed: int) -> list[telic.Example]:
    """Return messages to a bank, a few for each label."""
    chance = random.Random(seed)
    starts = ["Why is my", "Please help, my", "Since Monday the", "I see that the"]
    texts = [
        (f"{chance.choice(starts)} {thing} {event}?", f"{thing}_{event.replace(' ', '_')}")
        for _ in range(count)
        for thing in THINGS
        for event in EVENTS
    ]
    return [telic.Example(text=text, label=label).with_inputs("text") for text, label in dict(texts).items()]


def stand_in(request: Request) -> dict[str, str]:
    """Choose from the short list the first label whose words the text has, as an LM would that reads."""
    text, _, rest = str(request.messages[-1]["content"]).partition("[[ ## choices ## ]]")
    shown = re.findall(r"[\w-]+_\w+", rest)
    return {
        "label": next((label for label in shown if all(word in text for word in label.split("_"))), shown[0])
    }


def main(lm: object = None) -> float:
    telic.configure(lm=FunctionLM(stand_in) if lm is None else lm)
    train = rows(2, seed=0)
    test = telic.datasets.without_overlap(rows(1, seed=1), train)
    program = Classify(LABELS, rm=BM25(labelled(train)), max_labels=10)
    result = telic.Evaluate(devset=test, metric=label_match)(program)
    print(f"{len(LABELS)} labels, {len(train)} labelled messages: {result}")
    return result.score


if __name__ == "__main__":
    main()
