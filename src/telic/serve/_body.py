"""What a chat-completion request asks for, checked; and errors in the shape that OpenAI's clients read."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from telic.data import Request
from telic.errors import (
    BudgetExceeded,
    ConfigurationError,
    ContextWindowExceededError,
    LMAuthError,
    LMError,
    LMInvalidRequestError,
    LMRateLimitError,
    LMTimeoutError,
    LMUnsupportedModelError,
    TelicError,
)

if TYPE_CHECKING:
    from telic.data import Message

OPTIONS: Final = frozenset(
    {
        "temperature", "top_p", "max_tokens", "max_completion_tokens", "n", "stop", "seed", "logprobs", "top_logprobs",
        "response_format", "tools", "tool_choice", "parallel_tool_calls",
    }
)  # fmt: skip
"""What is handed to the LM."""
IGNORED: Final = frozenset(
    {
        "user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key", "reasoning_effort",
        "verbosity",
    }
)  # fmt: skip
"""What says nothing to an LM that is served here."""
_ZERO: Final = frozenset({"frequency_penalty", "presence_penalty"})


class BadRequestError(Exception):
    """A request that is refused.

    Attributes:
        status: The HTTP status.
        param: Which parameter is at fault, or None.
        code: A code that programs can read, or None.
    """

    def __init__(
        self, message: str, *, status: int = 400, param: str | None = None, code: str | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.param, self.code = status, param, code


class Asked(NamedTuple):
    """A request as it was understood."""

    messages: list[Message]
    options: dict[str, Any]
    stream: bool
    usage_in_stream: bool

    def request(self, number: int) -> Request:
        """Return the request for the LM.

        Args:
            number: Of this request: without a seed, equal requests are draws of their own, as everywhere.
        """
        drawn = self.options.get("seed") is None and (self.options.get("temperature") or 0) > 0
        return Request(self.messages, self.options, sample=number if drawn else 0)


def read_body(body: bytes, model: str) -> Asked:
    """Return what a request's body asks for.

    Raises:
        BadRequestError: It is no JSON object, names another model, or has a parameter that is wrong.
    """
    try:
        found: Any = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise BadRequestError(f"the body is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise BadRequestError("the body must be a JSON object")
    given = cast("dict[str, Any]", found)
    if given.get("model", model) not in (model, model.rpartition("/")[2]):
        raise BadRequestError(
            f"the model {given['model']!r} is not served here; this server has {model!r}",
            status=404, param="model", code="model_not_found",
        )  # fmt: skip
    known = OPTIONS | IGNORED | _ZERO | {"model", "messages", "stream", "stream_options"}
    for name in given:
        if name not in known or (name in _ZERO and given[name]):
            raise BadRequestError(
                f"the parameter {name!r} is not supported here", param=name, code="unsupported_parameter"
            )
    wanted: dict[str, Any] = given.get("stream_options") or {}
    options = {k: v for k, v in given.items() if k in OPTIONS and v is not None}
    return Asked(
        _messages(given.get("messages")),
        options,
        bool(given.get("stream")),
        bool(wanted.get("include_usage")),
    )


def _messages(given: Any) -> list[Message]:
    if not isinstance(given, list) or not given:
        raise BadRequestError("messages must be a list of one message or more", param="messages")
    for at, message in enumerate(cast("list[Any]", given)):
        fields = cast("dict[str, Any]", message) if isinstance(message, dict) else {}
        content: Any = fields.get("content", "")
        if not isinstance(fields.get("role"), str) or not (
            content is None or isinstance(content, (str, list))
        ):
            raise BadRequestError(
                f"messages[{at}] must have a role and a content (text, or a list of parts)",
                param=f"messages[{at}]",
            )
        fields.setdefault("content", None)
    return cast("list[Message]", given)


def error_of(error: Exception) -> tuple[int, dict[str, Any]]:
    """Return the HTTP status of an error and the object that tells of it; what is not ours tells no details."""
    param = code = None
    if isinstance(error, BadRequestError):
        status, param, code = error.status, error.param, error.code
    elif isinstance(error, ContextWindowExceededError):
        status, param, code = 400, "messages", "context_length_exceeded"
    elif isinstance(error, LMUnsupportedModelError):
        status, code = 404, "model_not_found"
    elif isinstance(error, (LMInvalidRequestError, ConfigurationError)):
        status = 400
    elif isinstance(error, (LMRateLimitError, BudgetExceeded)):
        status, code = 429, "rate_limit_exceeded"
    elif isinstance(error, LMTimeoutError):
        status = 504
    elif isinstance(error, (LMAuthError, LMError)):
        status = 502  # the server's own key or provider failed, not the caller's
    else:
        status = 500
    said = (
        str(error)
        if isinstance(error, (TelicError, BadRequestError))
        else "the server failed; its log says why"
    )
    kind = "invalid_request_error" if status < 500 and status != 429 else "server_error"
    return status, {"error": {"message": said, "type": kind, "param": param, "code": code}}
