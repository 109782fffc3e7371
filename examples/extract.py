"""Typed records out of a text: numbers are numbers, and a name that does not stand in the text is asked for again.

Run it: python examples/extract.py (offline: the LM is a script; name a real one in `main(lm=…)`)
"""

from dataclasses import dataclass

import telic
from telic.recipes.programs import Extract
from telic.testing import ScriptedLM

TEXT = "Ada Lovelace (born 1815) wrote to Charles Babbage (born 1791)."


@dataclass
class Person:
    name: str
    born: int | None = None


REPLIES = [
    {"records": [{"name": "Ada Byron", "born": "1815"}, {"name": "Charles Babbage", "born": 1791}]},
    {"records": [{"name": "Ada Lovelace", "born": "1815"}, {"name": "Charles Babbage", "born": 1791}]},
]


def main(lm: object = None) -> list[Person]:
    telic.configure(lm=ScriptedLM(REPLIES) if lm is None else lm)
    people: list[Person] = Extract(Person, verbatim=["name"])(text=TEXT).records
    for person in people:
        print(person)
    return people


if __name__ == "__main__":
    main()
