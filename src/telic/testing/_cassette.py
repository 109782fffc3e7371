"""Recorded answers of real LMs, as JSON lines that stand in a repository beside the tests.

A line holds what was asked (model, messages, options, sample index) and what came back, so that a change of a prompt
is a readable diff. Endpoints and keys are not in it; what looks like a secret inside a text is replaced before it is
written and before it is compared. Inside the block the response cache is passed by.
"""

from __future__ import annotations

import json
import os
import re
import threading
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import ContextDecorator
from pathlib import Path
from typing import Any, Final, Literal, Self, cast, final, get_args

from telic._hash import content_key
from telic._text import did_you_mean, plural, truncate
from telic.context import context
from telic.data import Completion, Request, Response, Usage
from telic.errors import CacheMissError, ConfigurationError, DatasetError

Mode = Literal["auto", "record", "replay", "strict"]
SECRET: Final = "[secret]"  # noqa: S105  what stands in the place of one
_LOOKS_SECRET: Final = re.compile(
    r"\b(?:sk|pk|rk)-[A-Za-z0-9_-]{16,}|\bAIza[A-Za-z0-9_-]{30,}|\bgh[pousr]_[A-Za-z0-9]{30,}|\bxox[abpr]-[A-Za-z0-9-]{10,}"
    r"|\bhf_[A-Za-z0-9]{30,}|\bAKIA[A-Z0-9]{16}|(?i:\bbearer\s+)[A-Za-z0-9._~+/-]{16,}=*"
)
_SECRET_NAMES: Final = re.compile(r"(?i)api[-_]?key|authorization|secret|password|^token$|[-_]token$")


@final
class cassette(ContextDecorator):  # noqa: N801  it reads as a verb: with cassette(…)
    """Answer calls of remote LMs from a file, and record into it what it does not hold.

    Args:
        path: The file, JSON lines; its folder is made.
        mode: "auto": use what is recorded, send and append what is not. "record": forget the file, send all.
            "replay": send nothing; a call that is not recorded raises. "strict": as replay, and a recorded
            call that was not made raises `AssertionError` at the end of the block.

    Equal calls get their answers in the order of the recording, and the last one again when there are more of them.
    Use it as a context manager or as a decorator of a test; for all tests of a folder, from a pytest fixture:

        @pytest.fixture(autouse=True)
        def recorded(request):
            with cassette(f"tests/cassettes/{request.node.name}.jsonl", mode="replay"):
                yield

    Raises:
        ConfigurationError: The mode is unknown, or there is nothing to replay.
        CacheMissError: From a call that is not recorded, in "replay" and "strict".
        DatasetError: The file is damaged; the message names the line.
    """

    def __init__(self, path: str | os.PathLike[str], mode: Mode = "auto") -> None:
        if mode not in get_args(Mode):
            raise ConfigurationError(
                f"unknown cassette mode {mode!r}{did_you_mean(str(mode), get_args(Mode))}"
            )
        self.path = Path(path)
        self.mode: Mode = mode
        self._lock = threading.Lock()  # protects the two tables and the file
        self._tracks: dict[str, deque[Response]] = {}
        self._unused: dict[str, int] = {}
        self._questions: dict[str, str] = {}
        self._context: Any = None

    def __enter__(self) -> Self:
        self._load()
        self._context = context(cassette=self)
        self._context.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._context.__exit__(None, None, None)
        left = {key: count for key, count in self._unused.items() if count}
        if self.mode == "strict" and left and kind is None:
            first = self._questions[next(iter(left))]
            raise AssertionError(
                f"{plural(sum(left.values()), 'recorded call')} of {str(self.path)!r} not made; the first: {first}"
            )

    # What the chokepoint asks

    def complete(self, model: str, request: Request, send: Callable[[Request], Response]) -> Response:
        """Return the recorded answer, or that of `send`, recorded.

        Raises:
            CacheMissError: It is not recorded, and nothing may be sent.
        """
        asked = self._asked(model, request)
        found = self._find(asked)
        return self._keep(asked, send(request)) if found is None else found

    async def acomplete(self, model: str, request: Request, send: Callable[[Request], Any]) -> Response:
        """Same as `complete`, for tasks."""
        asked = self._asked(model, request)
        found = self._find(asked)
        return self._keep(asked, await send(request)) if found is None else found

    def _asked(self, model: str, request: Request) -> dict[str, Any]:
        return cast(
            "dict[str, Any]",
            scrubbed(
                {
                    "model": model,
                    "messages": list(request.messages),
                    "options": dict(request.options),
                    "sample": request.sample,
                }
            ),
        )

    def _find(self, asked: dict[str, Any]) -> Response | None:
        key = content_key(asked)
        with self._lock:
            track = self._tracks.get(key)
            if track and self.mode != "record":
                self._unused[key] = max(0, self._unused[key] - 1)
                response = track.popleft() if len(track) > 1 else track[0]
                return response._replace(cached=True)
        if self.mode in {"replay", "strict"}:
            raise CacheMissError(
                f"this call of {asked['model']!r} is not recorded in {str(self.path)!r}: {_question(asked)}; "
                "record it with mode='auto' (or 'record', from the start)",
                model=asked["model"],
            )
        return None

    def _keep(self, asked: dict[str, Any], response: Response) -> Response:
        line = json.dumps(
            {**asked, "response": scrubbed(_as_dict(response))}, ensure_ascii=True, sort_keys=True
        )
        with self._lock:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(line + "\n")
            self._add(asked, response, unused=0)
        return response

    def _add(self, asked: dict[str, Any], response: Response, *, unused: int) -> None:
        key = content_key(asked)
        self._tracks.setdefault(key, deque()).append(response)
        self._unused[key] = self._unused.get(key, 0) + unused
        self._questions.setdefault(key, _question(asked))

    # The file

    def _load(self) -> None:
        self._tracks.clear()
        self._unused.clear()
        if self.mode in {"auto", "record"}:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        if self.mode == "record":
            self.path.write_bytes(b"")
            return
        try:
            text = self.path.read_bytes().decode("utf-8")
        except FileNotFoundError as error:
            if self.mode == "auto":
                return
            raise ConfigurationError(
                f"there is no cassette {str(self.path)!r} to replay; record one with mode='auto'"
            ) from error
        if self.mode == "auto" and text and not text.endswith("\n"):
            # A crash in mid-write leaves half a line: it is cut off, or the next one would be glued to it.
            text = text[: text.rfind("\n") + 1]
            self.path.write_bytes(text.encode())
        for number, line in enumerate(text.split("\n"), 1):
            if line.strip():
                self._add(*self._entry(number, line), unused=1)

    def _entry(self, number: int, line: str) -> tuple[dict[str, Any], Response]:
        try:
            entry: dict[str, Any] = json.loads(line)
            answer = entry.pop("response")
            completions = tuple(_completion(item) for item in answer["completions"])
            return entry, Response(completions, Usage(**answer["usage"]), answer["model"], answer["id"])
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise DatasetError(
                f"cassette {str(self.path)!r}, line {number}: {type(error).__name__}: {error}; record it anew"
            ) from error


def scrubbed(value: Any) -> Any:
    """Return plain data with everything that looks like a secret replaced by "[secret]".

    Example:
        >>> scrubbed({"api_key": "x", "text": "use sk-0123456789abcdef0123 now"})
        {'api_key': '[secret]', 'text': 'use [secret] now'}
    """
    if isinstance(value, str):
        return _LOOKS_SECRET.sub(SECRET, value)
    if isinstance(value, Mapping):
        items = cast("Mapping[str, Any]", value).items()
        return {name: SECRET if _SECRET_NAMES.search(name) else scrubbed(item) for name, item in items}
    if isinstance(value, (list, tuple)):
        return [scrubbed(item) for item in cast("list[Any]", value)]
    if value is None or isinstance(value, (bool, int, float)):
        return value
    return json.loads(json.dumps(value, default=_plain))


def _plain(value: Any) -> Any:
    for name in ("to_dict", "model_dump", "model_json_schema"):
        method = getattr(value, name, None)
        if callable(method):
            return method()
    return repr(value)


def _completion(item: dict[str, Any]) -> Completion:
    calls: tuple[Any, ...] = tuple(item.pop("tool_calls", ()))
    return Completion(tool_calls=calls, **item)


def _as_dict(response: Response) -> dict[str, Any]:
    return {
        "completions": [
            {name: item for name, item in completion._asdict().items() if item is not None and item != ()}
            for completion in response.completions
        ],
        "usage": response.usage._asdict(),
        "model": response.model,
        "id": response.id,
    }


def _question(asked: dict[str, Any]) -> str:
    messages = cast("list[dict[str, Any]]", asked["messages"])
    return truncate(repr(messages[-1].get("content")) if messages else "no messages", 200)
