"""Typed records from a text.

The whole program is on this page: copy it, and change what you like.
"""

from __future__ import annotations

from typing import Any, cast

from telic.data import Prediction
from telic.modules import Module, Predict, Suggest
from telic.signatures import InputField, OutputField, make_signature


class Extract(Module):
    """Read the records of one kind out of a text.

    Args:
        record: What one record is: a pydantic model, a dataclass, a TypedDict (before Python 3.12 that of
            `typing_extensions`); or a simple type such as `str`.
        instructions: What to look for; None: all records of that kind.
        verbatim: Names of fields whose values must stand in the text word for word: a record for which that is not so
            is asked for again, and left out where it comes again.

    Calling it takes `text`.

    Returns (of a call): `records`, a list; `left_out`, those with a value that the text does not have.

    Cost: one LM call, and `max_backtracks` (2) more where values do not stand in the text.

    Example:
        >>> from dataclasses import dataclass
        >>> from telic.testing import FunctionLM
        >>> @dataclass
        ... class Person:
        ...     name: str
        ...     age: int
        >>> program = Extract(Person, verbatim=["name"])
        >>> program.set_lm(FunctionLM(lambda text: {"records": [{"name": "Ada", "age": 36}]}))
        >>> program(text="Ada died at 36.").records[0].age
        36
    """

    def __init__(
        self, record: Any, instructions: str | None = None, verbatim: list[str] | None = None
    ) -> None:
        super().__init__()
        self.verbatim = [] if verbatim is None else list(verbatim)
        name = getattr(record, "__name__", str(record))
        task = f"Find every {name} that the text speaks of." if instructions is None else instructions
        fields = {
            "text": (str, InputField()),
            "records": (
                list[record],
                OutputField(desc="in the order of the text; empty where there are none"),
            ),
        }
        self.read = Predict(make_signature(fields, task, signature_name=f"Extract{name}"))

    def forward(self, text: str) -> Prediction:
        """Read, and look the values up."""
        records: list[Any] = self.read(text=text)["records"]
        left_out = [record for record in records if self._foreign(record, text)]
        Suggest(
            not left_out,
            f"these values do not stand in the text: {[self._foreign(record, text)[0] for record in left_out][:3]}",
            target_module=self.read,
        )
        return Prediction(records=[r for r in records if r not in left_out], left_out=left_out)

    def _foreign(self, record: Any, text: str) -> list[str]:
        """Return the values that should stand in the text and do not."""
        values = [field_of(record, name) for name in self.verbatim]
        return [str(value) for value in values if value is not None and str(value) not in text]


def field_of(record: Any, name: str) -> Any:
    """Return a field of a record, whatever kind of record it is."""
    return cast("dict[str, Any]", record).get(name) if isinstance(record, dict) else getattr(record, name)
