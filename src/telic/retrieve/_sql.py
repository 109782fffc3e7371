"""Passages in a SQL database that compares vectors: Postgres with pgvector, or any other through its own statement."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Final, final

from telic.errors import ConfigurationError, RetrievalError
from telic.retrieve._passage import Passage

_NAME: Final = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)?")
_PGVECTOR: Final = (
    "SELECT {columns}, 1 - ({vector} <=> %(query)s::vector) AS score FROM {table} "
    "ORDER BY {vector} <=> %(query)s::vector LIMIT %(k)s"
)


@final
class SqlStore:
    """One table of vectors.

    Args:
        connect: Returns a context manager with a DB-API connection: `lambda: psycopg.connect(…)`, or a pool's
            `pool.connection`.
        table: The table, `schema.table` too.
        text: Its column of texts.
        vector: Its column of vectors.
        facts: Further columns, which become facts of the passages: `("source", "page")`.
        statement: In place of the one for pgvector (cosine): it gets the parameters `query` (the vector as text,
            "[0.1,0.2]") and `k`, and returns a column with the name of `text`, best first; all other columns are
            facts, `score` among them.

    Raises:
        ConfigurationError: A name is none that SQL takes without quotes.
    """

    def __init__(
        self,
        connect: Callable[[], AbstractContextManager[Any]],
        table: str = "passages",
        *,
        text: str = "text",
        vector: str = "embedding",
        facts: Sequence[str] = (),
        statement: str | None = None,
    ) -> None:
        for name in (table, text, vector, *facts):
            if not _NAME.fullmatch(name):
                raise ConfigurationError(
                    f"SqlStore: {name!r} is no name of a table or column; letters, digits and _"
                )
        self.connect = connect
        self.text = text
        self.statement = (
            _PGVECTOR.format(columns=", ".join((text, *facts)), table=table, vector=vector)
            if statement is None
            else statement
        )

    def find(self, vectors: Any, k: int) -> list[list[Passage]]:
        """See `VectorStore`."""
        found: list[list[Passage]] = []
        with self.connect() as connection:
            cursor: Any = connection.cursor()
            for vector in vectors.tolist():
                query = f"[{','.join(map(repr, vector))}]"
                cursor.execute(self.statement, {"query": query, "k": k})
                names = [column[0] for column in cursor.description]
                if self.text not in names:
                    raise RetrievalError(
                        f"the statement of the SqlStore returns {names}, and no column {self.text!r} with the text"
                    )
                rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
                found.append([Passage(row.pop(self.text), **row) for row in rows][:k])
        return found
