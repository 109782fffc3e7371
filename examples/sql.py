"""Questions about a database: SQL from its schema, run read-only, repaired by its error.

Run it: python examples/sql.py (offline: the LM is a script; name a real one in `main(lm=…)`)
"""

import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

import telic
from telic.recipes.programs import SQLAnswer
from telic.testing import ScriptedLM

REPLIES = [
    {"reasoning": "The sum of all prices.", "sql": "select sum(cost) from article"},
    {"reasoning": "The column is called price.", "sql": "select sum(price) from article"},
    {"answer": "125.5"},
]


def main(lm: object = None) -> telic.Prediction:
    telic.configure(lm=ScriptedLM(REPLIES) if lm is None else lm)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "shop.db")
        with closing(sqlite3.connect(file)) as made:
            made.executescript(
                "create table article (name text, price real);"
                "insert into article values ('lamp', 40), ('chair', 85.5)"
            )
        found = SQLAnswer(file)(question="What do all articles cost together?")
    print(f"{found.sql}\n{found.rows}\n{found.answer} (repaired {found.repairs} times)")
    return found


if __name__ == "__main__":
    main()
