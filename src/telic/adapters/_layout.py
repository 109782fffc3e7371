"""`Layout`: what one adapter derives from one signature, once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from telic.adapters._guard import Guard
    from telic.adapters._parser import ReplyParser
    from telic.adapters._turns import UserTurn
    from telic.signatures import FieldInfo


class Layout(NamedTuple):
    """What one adapter derives from one signature; holds no reference to the signature itself."""

    guard: Guard
    inputs: tuple[FieldInfo, ...]
    """Input fields that stand in the user turn: all but histories."""
    outputs: tuple[FieldInfo, ...]
    histories: tuple[str, ...]
    turn: UserTurn
    parser: ReplyParser
    system: str
    request: str

    def given(self, demo: Any) -> dict[str, Any]:
        """Return the values of a demo that are there, by name; None is a value only where the field allows it."""
        given: dict[str, Any] = {}
        for field in (*self.inputs, *self.outputs):
            if field.name in demo:
                value = demo[field.name]
                if value is not None or field.optional:
                    given[field.name] = value
        return given
