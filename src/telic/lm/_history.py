"""The calls of one LM, as the list of dicts that DSPy's users know; each dict is made when somebody looks.

An entry is the one that the process-wide history holds too (`telic.tracing`); what it refers to was there anyway.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any, final, overload

from telic._hash import content_key
from telic._optional import load
from telic.tracing import HistoryEntry, write_entries


@final
class History(Sequence[dict[str, Any]]):
    """A bounded list of calls, oldest first; reading an item makes its dict.

    Args:
        maxlen: How many calls are kept.
        model_type: Stands in each dict.
    """

    def __init__(self, maxlen: int, model_type: str) -> None:
        self._entries: deque[HistoryEntry] = deque(maxlen=maxlen)
        self._model_type = model_type

    def keep(self, entry: HistoryEntry, maxlen: int) -> None:
        """Add a call; `maxlen` is the setting as it stands now."""
        if self._entries.maxlen != maxlen:
            self._entries = deque(self._entries, maxlen=maxlen)
        self._entries.append(entry)

    def clear(self) -> None:
        """Forget all calls."""
        self._entries.clear()

    def write(self, n: int, file: Any) -> None:
        """Write the last `n` calls as text to `file`, or to standard output where it is None."""
        write_entries(list(self._entries), n, file)

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return (self._as_dict(entry) for entry in list(self._entries))

    @overload
    def __getitem__(self, index: int) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, index: slice) -> list[dict[str, Any]]: ...
    def __getitem__(self, index: int | slice) -> dict[str, Any] | list[dict[str, Any]]:
        if isinstance(index, slice):
            return [self._as_dict(entry) for entry in list(self._entries)[index]]
        return self._as_dict(self._entries[index])

    def __eq__(self, other: object) -> bool:
        return list(self) == other if isinstance(other, (list, History)) else NotImplemented

    __hash__ = None  # pyright: ignore[reportAssignmentType]  # compared by content, like a list

    def __repr__(self) -> str:
        return f"<history of {len(self)} calls>"

    def _as_dict(self, entry: HistoryEntry) -> dict[str, Any]:
        messages = entry.request.messages
        content = messages[0].get("content") if len(messages) == 1 and messages[0]["role"] == "user" else None
        when = load("datetime").datetime.fromtimestamp(entry.timestamp)
        return {
            "prompt": content if isinstance(content, str) else None,
            **entry.to_dict(),
            "timestamp": when.isoformat(),
            "uuid": content_key([entry.timestamp, id(entry)])[:32],
            "model_type": self._model_type,
        }
