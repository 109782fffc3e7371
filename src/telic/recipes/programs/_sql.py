"""Questions about an SQLite database: SQL from its schema, run read-only and within limits, repaired by its errors.

The whole program is on this page: copy it, and change what you like.
"""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any, Final

from telic.data import Prediction
from telic.errors import ConfigurationError, DatasetError
from telic.modules import ChainOfThought, Module, Predict
from telic.signatures import InputField, OutputField, Signature

_ALLOWED: Final = {
    sqlite3.SQLITE_SELECT,
    sqlite3.SQLITE_READ,
    sqlite3.SQLITE_FUNCTION,
    sqlite3.SQLITE_RECURSIVE,
}
_CHECK_EVERY: Final = 10_000
"""Instructions of SQLite's machine between two looks at the clock."""


_CELL: Final = 1_000
"""So many characters of a value are shown."""


class WriteSQL(Signature):
    """Write one SQLite query that answers the question. It may only read."""

    tables: str = InputField(desc="the schema of the database")
    question: str = InputField()
    sql: str = OutputField(desc="one SELECT statement, no markdown")


class RepairSQL(Signature):
    """The query failed. Write one SQLite query that answers the question and does not fail so."""

    tables: str = InputField(desc="the schema of the database")
    question: str = InputField()
    failed_sql: str = InputField()
    error: str = InputField()
    sql: str = OutputField(desc="one SELECT statement, no markdown")


class SayResult(Signature):
    """Answer the question from the rows that the query returned, in as few words as will do."""

    question: str = InputField()
    sql: str = InputField()
    rows: list[list[str]] = InputField(desc="the first row has the names of the columns")
    answer: str = OutputField()


class SQLAnswer(Module):
    """Answer questions from a database.

    Args:
        database: The file. It is opened read-only, and statements that would do anything but read are refused by
            SQLite itself.
        max_repairs: How often a failed query is written again.
        max_rows: How many rows are fetched; of long values the first 1,000 characters are shown.
        timeout_s: Seconds that one query may take.

    Calling it takes `question`.

    Returns (of a call): `answer`; `sql`, the last query; `rows`; `error`, "" where the query ran (else `answer` is "");
    `repairs`, how often it was written again.

    Raises:
        DatasetError: The file is no SQLite database, or has no tables; when the program is made.

    Cost: two LM calls, and one for each repair.

    Example:
        >>> import pathlib, tempfile
        >>> from telic.testing import FunctionLM
        >>> file = pathlib.Path(tempfile.mkdtemp()) / "shop.db"
        >>> with closing(sqlite3.connect(file)) as made:
        ...     _ = made.executescript("create table lamp (name text, price int); insert into lamp values ('Lux', 40)")
        >>> ask = SQLAnswer(file)
        >>> ask.set_lm(FunctionLM(lambda text: {"reasoning": "", "sql": "select price from lamp", "answer": "40"}))
        >>> ask(question="What does Lux cost?").rows
        [['price'], ['40']]
    """

    def __init__(
        self,
        database: str | os.PathLike[str],
        max_repairs: int = 2,
        max_rows: int = 50,
        timeout_s: float = 5.0,
    ) -> None:
        super().__init__()
        for name, value, least in (("max_repairs", max_repairs, 0), ("max_rows", max_rows, 1)):
            if isinstance(value, bool) or not isinstance(value, int) or value < least:  # pyright: ignore[reportUnnecessaryIsInstance]
                raise ConfigurationError(f"SQLAnswer: {name} must be at least {least}, got {value!r}")
        if not timeout_s > 0:
            raise ConfigurationError(f"SQLAnswer: timeout_s must be above 0, got {timeout_s!r}")
        self.database = str(Path(database).resolve())
        self.max_repairs, self.max_rows, self.timeout_s = max_repairs, max_rows, timeout_s
        self.tables = read_schema(self.database)
        self.write = ChainOfThought(WriteSQL)
        self.repair = ChainOfThought(RepairSQL)
        self.say = Predict(SayResult)

    def forward(self, question: str) -> Prediction:
        """Write, run, repair, say."""
        sql = self.write(tables=self.tables, question=question).sql
        rows, error = self.execute(sql)
        repairs = 0
        while error and repairs < self.max_repairs:
            repairs += 1
            sql = self.repair(tables=self.tables, question=question, failed_sql=sql, error=error).sql
            rows, error = self.execute(sql)
        answer = "" if error else self.say(question=question, sql=sql, rows=rows).answer
        return Prediction(answer=answer, sql=sql, rows=rows, error=error, repairs=repairs)

    def execute(self, sql: str) -> tuple[list[list[str]], str]:
        """Return the rows of a query as text, names of columns first, and ""; or nothing and what went wrong."""
        end = time.monotonic() + self.timeout_s
        try:
            with closing(_opened(self.database)) as connection:
                connection.set_authorizer(_only_reading)
                connection.set_progress_handler(lambda: time.monotonic() > end, _CHECK_EVERY)
                cursor = connection.execute(sql.strip().removeprefix("```sql").strip("` \n;"))
                names = [str(column[0]) for column in cursor.description or ()]
                found = [[str(value)[:_CELL] for value in row] for row in islice(cursor, self.max_rows)]
        except (sqlite3.Error, sqlite3.Warning, ValueError) as error:
            if "interrupted" in str(error):
                return [], f"the query took longer than {self.timeout_s} seconds"
            return [], f"{type(error).__name__}: {error}"
        return [names, *found], ""


def read_schema(database: str) -> str:
    """Return the statements that made the tables and views of a database.

    Raises:
        DatasetError: It is no SQLite database, or has no tables.
    """
    if not Path(database).is_file():
        raise DatasetError(f"there is no database {database!r}")
    try:
        with closing(_opened(database)) as connection:
            found = connection.execute(
                "select sql from sqlite_schema where type in ('table', 'view') and sql is not null order by name"
            ).fetchall()
    except sqlite3.Error as error:
        raise DatasetError(f"{database!r} cannot be read as an SQLite database: {error}") from error
    if not found:
        raise DatasetError(f"the database {database!r} has no tables")
    return "\n".join(f"{row[0]};" for row in found)


def _opened(database: str) -> sqlite3.Connection:
    connection = sqlite3.connect(f"{Path(database).as_uri()}?mode=ro", uri=True)
    connection.setlimit(
        sqlite3.SQLITE_LIMIT_LENGTH, 10_000_000
    )  # of one value: no blob of a gigabyte by a function
    return connection


def _only_reading(action: int, *names: Any) -> int:
    if action == sqlite3.SQLITE_FUNCTION and "load_extension" in names:
        return sqlite3.SQLITE_DENY
    return sqlite3.SQLITE_OK if action in _ALLOWED else sqlite3.SQLITE_DENY
