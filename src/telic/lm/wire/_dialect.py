"""A dialect: how one family of servers wants a request written, and how its answers read. Pure, no I/O.

A dialect is made for one model at one endpoint; `WireClient` does the sending. What both dialects need stands here:
JSON that cannot hold what JSON cannot hold, and answers that are not JSON.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, cast

from telic._optional import load
from telic._text import truncate, whole_escapes
from telic.errors import ConfigurationError, LMError, LMInvalidRequestError, LMResponseError

if TYPE_CHECKING:
    from telic._http import Endpoint, HttpRequest, HttpResponse
    from telic.data import Request, Response
    from telic.protocols import Capabilities, Delta


class Place(NamedTuple):
    """Whose failure it is, for messages."""

    provider: str
    model: str
    host: str
    secrets: tuple[str, ...] = ()
    """Keys, and what the user's own headers hold: blotted out of what the server says."""
    key_hint: str = ""
    """What to do about a key: "set OPENAI_API_KEY"."""

    def __str__(self) -> str:
        return f"{self.provider}/{self.model} at {self.host}"


class StreamDecoder(Protocol):
    """Reads the events of one streamed answer."""

    def feed(self, name: bytes, data: bytes) -> list[Delta]:
        """Return the pieces in one event.

        Raises:
            LMError: The server reported a failure within the stream.
        """
        ...

    def finish(self) -> Response:
        """Return the whole answer, after the last event.

        Raises:
            LMTransportError: The stream ended before the answer did.
            ContentFilterError: The provider withheld it.
        """
        ...


class Dialect(Protocol):
    """See the module's note."""

    @property
    def provider(self) -> str: ...
    @property
    def model(self) -> str: ...
    @property
    def endpoint(self) -> Endpoint: ...
    @property
    def capabilities(self) -> Capabilities: ...

    @property
    def key_hash(self) -> str:
        """What tells keys apart without being one."""
        ...

    @property
    def native_n(self) -> bool:
        """True if one request can ask for several completions."""
        ...

    def encode(self, request: Request, *, stream: bool = False, n: int | None = None) -> HttpRequest:
        """Return the HTTP request; `n` replaces the option of that name.

        Raises:
            ConfigurationError: An option that this model or server cannot take.
            LMInvalidRequestError: The messages cannot be written as UTF-8.
        """
        ...

    def decode(self, response: HttpResponse) -> Response:
        """Return the answer.

        Raises:
            LMError: The one that fits the status and the body.
        """
        ...

    def decode_error(self, status: int, headers: Mapping[str, str], body: bytes) -> LMError:
        """Return the error that an answer with `status` stands for."""
        ...

    def open_stream(self) -> StreamDecoder:
        """Return a reader for one streamed answer."""
        ...


def failure(place: Place, status: int, headers: Mapping[str, str], body: bytes) -> LMError:
    """Return the error for an answer whose status is not 2xx; see `telic.lm.wire._failure`."""
    return load("telic.lm.wire._failure").failure(place, status, headers, body)


def dump_json(payload: Mapping[str, Any], *, model: str) -> bytes:
    """Return `payload` as JSON bytes.

    Raises:
        LMInvalidRequestError: A text holds a lone surrogate, which UTF-8 cannot carry.
        ConfigurationError: An option holds a value that JSON has no form for.
    """
    orjson = load("orjson")
    try:
        return orjson.dumps(payload, option=orjson.OPT_SERIALIZE_NUMPY)
    except TypeError:
        _refuse_surrogates(payload.get("messages"), "messages", model)
        for name, value in payload.items():
            _refuse_surrogates(value, name, model)
            try:
                orjson.dumps(value)
            except TypeError as error:
                raise ConfigurationError(
                    f"the option {name!r} of {model!r} holds what JSON cannot ({error}); pass plain values"
                ) from None
        raise


def _refuse_surrogates(value: Any, place: str, model: str) -> None:
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError as error:
            raise LMInvalidRequestError(
                f"{place} holds the lone surrogate {value[error.start]!r} at character {error.start}, which cannot be "
                "sent; clean the text with text.encode('utf-8', 'replace').decode()",
                model=model,
            ) from None
    elif isinstance(value, Mapping):
        for key, item in cast("Mapping[Any, Any]", value).items():
            _refuse_surrogates(item, f"{place}[{key!r}]", model)
    elif isinstance(value, (list, tuple)):
        for index, item in enumerate(cast("list[Any]", value)):
            _refuse_surrogates(item, f"{place}[{index}]", model)


def read_json(data: bytes) -> Any:
    """Return JSON as servers write it: what was paid for is not lost to a few bytes of it.

    A byte order mark is left out; bytes that are no UTF-8, and halves of surrogate pairs, which gateways make by
    cutting text, become U+FFFD; NaN and the infinities, as Python servers write them, are read.

    Raises:
        ValueError: It is no JSON.
    """
    try:
        return load("orjson").loads(data)
    except ValueError:
        text = data.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "replace")
        try:
            return load("json").loads(whole_escapes(text))
        except RecursionError as error:
            raise ValueError("JSON that is nested too deeply") from error


def load_json(response: HttpResponse, *, where: str) -> dict[str, Any]:
    """Return the object in the body of a 2xx answer.

    Raises:
        LMResponseError: It is HTML, broken JSON, or no object; the message shows its first 200 characters.
    """
    try:
        value = read_json(response.body)
    except ValueError as error:
        raise LMResponseError(
            f"{where} answered {response.status} with {_kind(response)} instead of JSON: {excerpt(response.body)}",
            status=response.status,
        ) from error
    if not isinstance(value, dict):
        raise LMResponseError(
            f"{where} answered with JSON that is no object: {excerpt(response.body)}", status=response.status
        )
    return cast("dict[str, Any]", value)


def _kind(response: HttpResponse) -> str:
    body = response.body.lstrip()[:200].lower()
    content_type = response.headers.get("content-type", "no content type")
    if not body:
        return f"an empty body ({content_type})"
    if body.startswith((b"<!doctype", b"<html")):
        return f"a web page ({content_type}; is base_url the API's, ending in /v1?)"
    if body.startswith((b"data:", b"event:")):
        return f"a stream that was not asked for ({content_type})"
    return f"something ({content_type})"


def excerpt(body: bytes, limit: int = 200) -> str:
    """Return the start of a body for a message, in quotes."""
    return repr(truncate(body[: limit * 8].decode("utf-8", "replace").strip(), limit))
