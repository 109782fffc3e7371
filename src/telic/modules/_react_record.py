"""The steps of an agent: as values for the caller, as texts for prompts, and back from text to messages.

A step is a thought, a call and its observation. Of several calls in one turn the first one carries the thought; the
others follow it without one, which is how the text tells them from steps of their own.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self, cast, final

from telic.adapters import assistant_turns
from telic.modules._value_text import labelled, value_text
from telic.types import History, ToolCall, has_parts

if TYPE_CHECKING:
    from telic.data import Message

_LINE: Final = re.compile(r"(thought|tool_name|tool_args|observation)_(\d+): (.*)", re.DOTALL)
_BREAK: Final = re.compile(r"\n(?!    )")
_NOT_IN_NAMES: Final = re.compile(r"[^A-Za-z0-9_-]")


@final
class Record:
    """The steps of one call: all of them as values, and as texts those that are shown.

    Args:
        agent: Has `max_observation_chars`, how much of one text is shown.
    """

    __slots__ = ("_limit", "_media", "count", "dropped", "shown", "trajectory")

    def __init__(self, agent: Any) -> None:
        self._limit: int = agent.max_observation_chars
        self.count = 0
        self.trajectory: dict[str, Any] = {}
        self.shown: dict[str, str] = {}
        self.dropped = 0
        self._media: dict[str, list[dict[str, Any]]] = {}

    def add(self, thought: str | None, name: str, arguments: Mapping[str, Any], observation: Any) -> None:
        """Note a step; None for the thought: one more call of the same turn."""
        number = self.count
        self.count += 1
        values = {"thought": thought, "tool_name": name, "tool_args": arguments, "observation": observation}
        for key, value in values.items():
            if value is not None or key != "thought":
                self.trajectory[f"{key}_{number}"] = value
                self.shown[f"{key}_{number}"] = shown_text(value, self._limit)
        media = _media_of(observation)
        if media:
            self._media[f"observation_{number}"] = media

    def drop(self, shown: dict[str, str]) -> None:
        """Show these steps from now on, and count the turns that are gone."""
        self.dropped += count_turns(self.shown) - count_turns(shown)
        self.shown = shown

    def told(self, text: str) -> str:
        """Return the steps as a prompt gets them: `text`, and behind it the pictures of the observations shown."""
        parts: list[dict[str, Any]] = []
        for key, media in self._media.items():
            if key in self.shown:
                parts += [{"type": "text", "text": f"\n{key}: "}, *media]
        return Pictured(text, parts) if parts else text


@final
class Pictured(str):
    """Steps whose observations hold more than text: pictures, recordings, files."""

    def __new__(cls, text: str, parts: Sequence[dict[str, Any]] = ()) -> Self:
        made = super().__new__(cls, text)
        made.parts = list(parts)
        return made

    parts: list[dict[str, Any]]

    def to_parts(self) -> list[dict[str, Any]]:
        """Return the text, and the parts behind it, each after the name of its observation."""
        return [{"type": "text", "text": str(self)}, *self.parts]


def _media_of(observation: Any) -> list[dict[str, Any]]:
    many = isinstance(observation, (list, tuple))
    values = cast("Sequence[Any]", observation) if many else (observation,)
    parts = [part for value in values if has_parts(value) for part in value.to_parts()]
    return [part for part in parts if part.get("type") != "text"]


def shown_text(value: Any, limit: int) -> str:
    """Return a value as a prompt shows it, whatever a tool returned; half of a surrogate pair becomes a "?"."""
    try:
        text = value_text(value, limit)
    except Exception as error:  # noqa: BLE001  the value's own code, or too deep a nesting: the agent goes on
        return f"(a {type(value).__name__} that cannot be shown: {type(error).__name__})"
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")


def trajectory_text(shown: Mapping[str, str]) -> str:
    """Return steps as they stand in a prompt: one line a key, later lines of a text indented."""
    return "\n".join(labelled(key, text) for key, text in shown.items())


def without_oldest(shown: Mapping[str, str]) -> dict[str, str]:
    """Return steps without those of the oldest turn."""
    keys = list(shown)
    start = next((at for at, key in enumerate(keys) if at and key.startswith("thought_")), len(keys))
    return {key: shown[key] for key in keys[start:]}


def count_turns(shown: Mapping[str, str]) -> int:
    """Return how many turns there are in steps."""
    return sum(key.startswith("thought_") for key in shown)


class _Turn(NamedTuple):
    said: str
    calls: list[ToolCall]
    results: list[str]


def messages_of(text: str, label: str) -> list[Message] | None:
    r"""Return the messages that steps stand for, or None for a text that is not as `trajectory_text` writes it.

    Args:
        text: The steps.
        label: Tells the ids of these calls from those of others in the conversation.

    Example:
        >>> text = 'thought_0: Look.\ntool_name_0: find\ntool_args_0: {"q": "x"}\nobservation_0: one\n    two'
        >>> [message["role"] for message in messages_of(text, "")], messages_of(text, "")[1]["content"]
        (['assistant', 'tool'], 'one\ntwo')
    """
    turns: list[_Turn] = []
    wanted = "thought"
    for line in _BREAK.split(text) if text else ():
        found = _LINE.fullmatch(line.replace("\n    ", "\n"))
        if found is None:
            return None
        key, value = found[1], found[3]
        if key != wanted and not (wanted == "thought" and key == "tool_name" and turns):
            return None
        if key == "thought":
            turns.append(_Turn(value, [], []))
        elif key == "tool_name":
            turns[-1].calls.append(ToolCall(_sendable(value)))
        elif key == "tool_args":
            call = turns[-1].calls[-1]
            turns[-1].calls[-1] = ToolCall(call.name, _arguments(value))
        else:
            turns[-1].results.append(value)
        wanted = _NEXT[key]
    if wanted != "thought":
        return None
    return [
        message
        for number, turn in enumerate(turns)
        for message in assistant_turns(turn.said, turn.calls, f"{label} {number}", turn.results)
    ]


_NEXT: Final = {
    "thought": "tool_name",
    "tool_name": "tool_args",
    "tool_args": "observation",
    "observation": "thought",
}


def _arguments(text: str) -> dict[str, Any]:
    """Return arguments from their text; those that were cut to be shown stand as text."""
    try:
        value: Any = json.loads(text)
    except (ValueError, RecursionError):
        return {"cut": text}
    return value if isinstance(value, dict) else {"value": value}  # pyright: ignore[reportUnknownVariableType]


def _sendable(name: str) -> str:
    """Return the name of a tool with what servers refuse in one made "_"; LMs invent names too."""
    return _NOT_IN_NAMES.sub("_", name)[:64] or "_"


def past_turns(signature: Any, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Return inputs whose histories tell the predictor of steps how earlier questions ended.

    Their outputs are no fields of a step: an answer stands there as the thought of a step that finishes.
    """
    told = dict(inputs)
    for name, value in inputs.items():
        if isinstance(value, History):
            told[name] = History(_as_step(turn, signature) for turn in value)
    return told


def _as_step(turn: Mapping[str, Any], signature: Any) -> dict[str, Any]:
    outputs = {name: turn[name] for name in signature.output_fields if turn.get(name) is not None}
    if not outputs or {"role", "content"} <= turn.keys():
        return dict(turn)
    said = "\n".join(f"{name}: {value_text(value)}" for name, value in outputs.items())
    asked = {name: value for name, value in turn.items() if name not in signature.output_fields}
    return {**asked, "next_thought": said, "next_tool_name": "finish", "next_tool_args": {}}


def as_messages(history: History) -> History:
    """Return a history of steps with what was said in them as messages."""
    turns: list[Mapping[str, Any]] = []
    for turn in history:
        if "next_thought" not in turn:
            turns.append(turn)
            continue
        asked = {name: value for name, value in turn.items() if not name.startswith("next_")}
        turns += [asked] if asked else []
        turns.append({"role": "assistant", "content": str(turn["next_thought"])})
    return History(turns)


def turn_messages(said: str, calls: Sequence[ToolCall], label: str) -> list[Message]:
    """Return a demo's reply as messages; results are left out, since only the call was to be learned."""
    return assistant_turns(said, [ToolCall(_sendable(call.name), call.args) for call in calls], label)
