"""What the library notes on a program (its optimizer's report, its calls), without taking names away from users.

Programs have attributes called `report` and `history`: a predictor that writes reports, the turns of a chat. Both
names are views here, which step back where the instance has an attribute of its own.
"""

from __future__ import annotations

from typing import Any

from telic._text import did_you_mean
from telic.tracing import history

REPORT = "_telic_report"
"""Where a program's `__dict__` holds the report."""


class SavedReport(dict[str, Any]):
    """An optimizer's report as it was saved: its items are attributes as well."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"the saved report has no {name!r}{did_you_mean(name, self)}") from None


class ReportPlace:
    """`program.report`: an optimizer's report, unless the program has an attribute of that name."""

    def __get__(self, program: Any, owner: type | None = None) -> Any:
        if program is None:
            return self
        own: dict[str, Any] = program.__dict__
        return own["report"] if "report" in own else own.get(REPORT)

    def __set__(self, program: Any, value: Any) -> None:
        is_report = isinstance(value, SavedReport) or (
            hasattr(value, "spend") and hasattr(value, "candidates")
        )
        program.__dict__[REPORT if is_report else "report"] = value

    def __delete__(self, program: Any) -> None:
        own: dict[str, Any] = program.__dict__
        del own["report" if "report" in own else REPORT]


class HistoryView:
    """`module.history`: its LM calls; any attribute of that name stands before it."""

    def __get__(self, module: Any, owner: type | None = None) -> Any:
        return self if module is None else history(module)
