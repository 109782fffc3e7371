"""How an answer looks at rest: JSON, squeezed by zlib where that helps, one leading byte that says which.

No pickle: reading a cache file that somebody else wrote can give wrong answers at worst, never run code.
`raw`, the provider's own object, is not kept.
"""

from __future__ import annotations

import zlib
from typing import Any, Final

from telic._optional import load
from telic.data import Completion, Response, Usage

RESPONSE: Final = 0b10  # bit 1: a `Response`, not a value of the caller's own
SQUEEZED: Final = 0b01  # bit 0: zlib, raw deflate
_SQUEEZE_FROM: Final = 512  # bytes; below, 8 µs a write and 2 µs a read are not worth the few bytes


def encode_response(response: Response) -> bytes:
    """Return the bytes of a response, tag first."""
    return _pack(RESPONSE, response_form(response))


def response_form(response: Response) -> list[Any]:
    """Return a response as lists and plain values."""
    return [
        [_completion_form(c) for c in response.completions],
        list(response.usage),
        response.model,
        response.id,
    ]


def _completion_form(completion: Completion) -> list[Any]:
    text, finish, reasoning, calls, logprobs, citations = completion
    form: list[Any] = [text, finish, reasoning, calls, logprobs]
    return [*form, citations] if citations else form


def response_of(form: list[Any]) -> Response:
    """Return the response of a form, marked as cached."""
    completions, usage, model, identifier = form
    return Response(
        tuple(
            [
                Completion(text, finish, reasoning, tuple(calls), logprobs, *map(tuple, citations))
                for text, finish, reasoning, calls, logprobs, *citations in completions
            ]
        ),
        Usage(*usage),
        model,
        identifier,
        True,
    )


def encode_value(value: Any, *, squeeze: bool = True) -> bytes:
    """Return the bytes of any JSON-able value, tag first.

    Args:
        value: What to keep.
        squeeze: Compress what is long enough.

    Raises:
        TypeError: It is not JSON-able.
    """
    return _pack(0, value, squeeze)


def decode(blob: bytes) -> Any:
    """Return what was encoded; a `Response` comes back marked as cached.

    Raises:
        ValueError: The bytes are not what this module writes (also `zlib.error`, `TypeError`).
    """
    tag = blob[0]
    if tag > (RESPONSE | SQUEEZED):
        raise ValueError(f"unknown tag {tag}")
    body = zlib.decompress(blob[1:], -15) if tag & SQUEEZED else blob[1:]
    value = load("orjson").loads(body)
    if not tag & RESPONSE:
        return value
    return response_of(value)


def _pack(tag: int, value: Any, squeeze: bool = True) -> bytes:
    orjson = load("orjson")
    body: bytes = orjson.dumps(value, default=_plain)
    if squeeze and len(body) >= _SQUEEZE_FROM:
        squeezed = zlib.compress(body, 1, -15)
        if len(squeezed) < len(body):
            return bytes((tag | SQUEEZED,)) + squeezed
    return bytes((tag,)) + body


def _plain(value: Any) -> Any:
    for name in ("to_dict", "model_dump"):
        method = getattr(value, name, None)
        if callable(method):
            return method()
    raise TypeError(f"a value of type {type(value).__name__} cannot be kept in the cache")
