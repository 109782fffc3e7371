"""Every exception that telic raises, in one tree.

    TelicError
    ├── ConfigurationError (ValueError)      an option, name or size that cannot work; found before the first call
    │   ├── NotConfiguredError               no LM (or retriever) where one is needed
    │   └── UnknownProviderError             the prefix of "provider/model" names no client
    ├── MissingExtraError (ImportError)      an optional dependency is not installed; names the pip command
    ├── SignatureError (ValueError)          a signature that cannot be built or edited that way
    │   └── SignatureSyntaxError             the string does not parse; carries `.column`
    ├── InputError (TypeError)               missing, unknown or mistyped inputs of a call
    ├── AdapterError                         between fields and messages
    │   ├── AdapterParseError                a reply that does not hold the fields; carries the reply
    │   └── TruncatedReplyError              a reply cut at max_tokens
    ├── LMError                              a call that failed; carries model, provider, status, request_id
    │   ├── LMTransportError                 refused, reset, cut in mid-body, not HTTP
    │   ├── LMTimeoutError (TimeoutError)    the total deadline passed
    │   ├── LMAuthError                      401, 403: never retried
    │   ├── LMBillingError                   402, quota used up: never retried
    │   ├── LMRateLimitError                 429; carries `.retry_after_s`
    │   ├── LMServerError                    5xx
    │   ├── LMInvalidRequestError            other 4xx: never retried
    │   │   ├── ContextWindowExceededError   the prompt does not fit
    │   │   └── LMUnsupportedModelError      the server does not know the model
    │   ├── LMResponseError                  an answer that is not what the protocol promises
    │   ├── ContentFilterError               the provider withheld the answer
    │   ├── CacheMissError                   replay-only, and the call is not in the cache or cassette
    │   └── RequestsForbiddenError           a real request where the test switch forbids them
    ├── BudgetExceeded                       a limit of `Budget` was reached; work in flight is kept
    ├── StateError (ValueError)              a saved program that cannot be read or does not fit
    │   ├── StateNotFoundError (FileNotFoundError)  there is no such file
    │   ├── StateVersionError                written by a newer format
    │   └── StateMismatchError               of another program
    ├── MediaError (ValueError)              an image, clip, file or document that cannot be used
    │   └── MediaNotFoundError (FileNotFoundError)  there is no such file
    ├── DatasetError (ValueError)            rows that cannot be read or used; names file and row
    ├── ToolError (ValueError)               a tool called with arguments that do not fit; its text is for the LM
    ├── InterpreterError (RuntimeError)      code could not be run: no fault of the code
    │   └── CodeExecutionError               code that failed in every attempt; carries code and error
    ├── JournalError                         the folder of a run cannot be used; carries `.folder`
    │   ├── RunLockedError                   another process works on it; carries `.pid` and `.host`
    │   ├── RunMismatchError (ValueError)    it is of another program, data, metric, LM or version
    │   └── RunDivergedError                 resumed, a step came out otherwise than it is recorded
    ├── LMOutageError                        an LM stayed away longer than a run waits for it
    ├── RetrievalError                       a search or an embedding that failed, or came to something unusable
    │   ├── RetrievalTimeoutError (TimeoutError)  a retrieval server did not answer in time
    │   └── StoredIndexError (ValueError)    an index on disk: cut, of another corpus or embedder, or being written
    ├── AssertionFailed (AssertionError)     an `Assert` that did not hold, also when asked again; carries `.target`
    ├── MetricError                          a metric that raised or returned something that is no score
    ├── ProgramError                         a program that raised or returned something unusable in a loop
    │   ├── ProgramTimeoutError (TimeoutError)  a row of many took longer than it may, and was given up
    │   └── WorkerLostError              the process that an executor had given work to ended before it answered
    ├── TrainingError                        weights could not be trained on; carries `.folder` and `.checkpoint`
    └── EvaluationError                      an evaluation that stopped; carries `.results`, the finished rows

Messages name the place, the fact and the next step; data rides on attributes as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence


class TelicError(Exception):
    """The root of the tree: `except TelicError` catches all that telic raises itself."""


class ConfigurationError(TelicError, ValueError):
    """An option, a name or a size that cannot work, found before anything was paid for."""


class NotConfiguredError(ConfigurationError):
    """A call needs an LM (or a retriever), and none is configured."""


class UnknownProviderError(ConfigurationError):
    """The prefix of `"provider/model"` names no client that is known here."""


class MissingExtraError(TelicError, ImportError):
    """An optional dependency is missing; the message names the command that installs it."""


class SignatureError(TelicError, ValueError):
    """A signature that cannot be built, or an edit that it does not allow."""


class SignatureSyntaxError(SignatureError):
    """A signature string that does not parse.

    Attributes:
        text: The whole string.
        column: Position of the fault, counted from 0.
    """

    def __init__(self, message: str, *, text: str, column: int) -> None:
        super().__init__(f"{message}\n    {text}\n    {' ' * column}^ column {column}")
        self.text = text
        self.column = column


class InputError(TelicError, TypeError):
    """Inputs of a call that are missing, unknown or of a wrong type."""


class AdapterError(TelicError):
    """Something between fields and messages went wrong."""


class AdapterParseError(AdapterError):
    """A reply that does not hold the fields of the signature.

    Attributes:
        adapter_name: Which adapter parsed.
        signature: The signature whose outputs were expected.
        lm_response: The reply's text, whole.
        parsed_result: Fields that could be read, by name.
        field: The field at fault, or None when several are missing.
        problems: What is wrong, one sentence for each field, in words fit for an LM to correct itself by.
    """

    def __init__(
        self,
        message: str,
        *,
        adapter_name: str = "",
        signature: Any = None,
        lm_response: str = "",
        parsed_result: dict[str, Any] | None = None,
        field: str | None = None,
        problems: tuple[str, ...] = (),
    ) -> None:
        super().__init__(message)
        self.problems = problems
        self.adapter_name = adapter_name
        self.signature = signature
        self.lm_response = lm_response
        self.parsed_result: dict[str, Any] = {} if parsed_result is None else parsed_result
        self.field = field
        self.attempts: tuple[AdapterParseError, ...] = ()


class TruncatedReplyError(AdapterParseError):
    """A reply that was cut at `max_tokens` before its fields were complete."""


class LMError(TelicError):
    """A call to an LM that failed.

    Attributes:
        model: The model as configured, or "".
        provider: The client's prefix, or "".
        status: HTTP status, or None where there was no HTTP answer.
        code: The provider's own error code, or None.
        request_id: The provider's id of the request, or None.
        retry_after_s: Seconds that the server asked to wait, or None.
        attempts: How many times the request was sent.
    """

    def __init__(
        self,
        message: str,
        *,
        model: str = "",
        provider: str = "",
        status: int | None = None,
        code: str | None = None,
        request_id: str | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.model = model
        self.provider = provider
        self.status = status
        self.code = code
        self.request_id = request_id
        self.retry_after_s = retry_after_s
        self.attempts = 0


class LMTransportError(LMError):
    """The connection was refused, reset or cut, or did not speak HTTP."""


class LMTimeoutError(LMError, TimeoutError):
    """The deadline of the whole call passed, retries and waits included."""


class LMAuthError(LMError):
    """The key is missing, wrong, expired or not allowed to do this (401, 403). Never retried."""


class LMBillingError(LMError):
    """The account has no credit or quota left (402, `insufficient_quota`). Never retried."""


class LMRateLimitError(LMError):
    """The server refused the call for its rate (429)."""


class LMServerError(LMError):
    """The server failed (5xx)."""


class LMInvalidRequestError(LMError):
    """The server refused the request as it is (4xx). Never retried."""


class ContextWindowExceededError(LMInvalidRequestError):
    """The prompt does not fit into the model's context."""


class LMUnsupportedModelError(LMInvalidRequestError):
    """The server does not know the model."""


class LMResponseError(LMError):
    """An answer that is not what the protocol promises: HTML, broken JSON, no choices."""


class ContentFilterError(LMError):
    """The provider withheld the answer."""


class CacheMissError(LMError):
    """Replay-only mode, and the call is not recorded."""


class RequestsForbiddenError(LMError):
    """A real request where `telic.testing.forbid_requests` is in force."""


class BudgetExceeded(TelicError):
    """A limit of a `Budget` was reached.

    Attributes:
        limit: Which limit: "usd", "calls", "tokens" or "seconds".
        allowed: Its value.
        used: What had been used when the call was refused.
        results: The rows that an evaluation, or results that `Parallel`, had finished, in order; empty elsewhere.
    """

    def __init__(self, message: str, *, limit: str = "", allowed: float = 0.0, used: float = 0.0) -> None:
        super().__init__(message)
        self.results: Sequence[Any] = ()
        self.limit = limit
        self.allowed = allowed
        self.used = used


class StateError(TelicError, ValueError):
    """A saved program that cannot be read, written or used."""


class StateNotFoundError(StateError, FileNotFoundError):
    """There is no file to load a program from."""


class StateVersionError(StateError):
    """A saved program in a format newer than this telic reads."""


class StateMismatchError(StateError):
    """A saved program that belongs to a program of another shape."""


class MediaError(TelicError, ValueError):
    """An image, an audio clip, a file or a document that cannot be used; found before anything was sent."""


class MediaNotFoundError(MediaError, FileNotFoundError):
    """There is no file to read it from."""


class DatasetError(TelicError, ValueError):
    """Rows that cannot be read or used; the message names the file and the row."""


class ToolError(TelicError, ValueError):
    """A tool that was called with arguments that do not fit; it was not run.

    The message is written for the LM that made the call: it says what was wrong and what the tool takes.

    Attributes:
        tool: The tool's name.
        problems: What is wrong, one clause for each argument.
    """

    def __init__(self, message: str, *, tool: str = "", problems: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.tool = tool
        self.problems = problems


class InterpreterError(TelicError, RuntimeError):
    """An interpreter that could not run code at all, through no fault of the code."""


class CodeExecutionError(InterpreterError):
    """LM-written code that failed in every attempt.

    Attributes:
        code: The last attempt.
        error: What went wrong in it, in the words that the LM was given.
    """

    def __init__(self, message: str, *, code: str = "", error: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.error = error


class JournalError(TelicError):
    """The folder of a run that cannot be used: unreadable, not writable, full, damaged, or no run.

    Attributes:
        folder: Which.
    """

    def __init__(self, message: str, *, folder: str = "") -> None:
        super().__init__(message)
        self.folder = folder


class RunLockedError(JournalError):
    """Another process, or another compile of this one, works on the folder of the run.

    Attributes:
        pid: Its process; None: not known.
        host: Its machine; "" where it is not known.
    """

    def __init__(self, message: str, *, folder: str = "", pid: int | None = None, host: str = "") -> None:
        super().__init__(message, folder=folder)
        self.pid = pid
        self.host = host


class RunMismatchError(JournalError, ValueError):
    """The folder holds the run of another program, data, metric, optimizer, LM or version.

    Attributes:
        changed: What is different.
    """

    def __init__(self, message: str, *, folder: str = "", changed: Sequence[str] = ()) -> None:
        super().__init__(message, folder=folder)
        self.changed: Sequence[str] = changed


class RunDivergedError(JournalError):
    """A resumed run came to another result at a step than the one it recorded: something in it is left to chance.

    Attributes:
        step: Which.
    """

    def __init__(self, message: str, *, folder: str = "", step: str = "") -> None:
        super().__init__(message, folder=folder)
        self.step = step


class LMOutageError(TelicError):
    """An LM that stayed away longer than a run waits (the setting `outage_patience`, in seconds).

    Attributes:
        model: Which.
    """

    def __init__(self, message: str, *, model: str = "") -> None:
        super().__init__(message)
        self.model = model


class RetrievalError(TelicError):
    """A search or an embedding that failed, or came to something that cannot be used."""


class RetrievalTimeoutError(RetrievalError, TimeoutError):
    """A retrieval server that did not answer in time."""


class StoredIndexError(RetrievalError, ValueError):
    """An index on disk that is cut, damaged, of another corpus or embedder, or being written by another process.

    Attributes:
        folder: Which.
    """

    def __init__(self, message: str, *, folder: str = "") -> None:
        super().__init__(message)
        self.folder = folder


class AssertionFailed(TelicError, AssertionError):
    """An `Assert` that did not hold, and nothing (more) could be asked again.

    Attributes:
        msg: What the assertion said last.
        name: The assertion's name, or where it stands.
        target: The predictor that it is about: its path, or "" where there is none.
        attempts: How often that predictor was asked in all.
        outcomes: What became of this and all other assertions of the call that failed.
    """

    def __init__(
        self, message: str, *, msg: str = "", name: str = "", target: str = "", attempts: int = 0
    ) -> None:
        super().__init__(message)
        self.msg = msg
        self.name = name
        self.target = target
        self.attempts = attempts
        self.outcomes: Sequence[Any] = ()


class MetricError(TelicError):
    """A metric that raised, or returned something that is no score."""


class ProgramError(TelicError):
    """A program that raised, or returned something unusable, inside a loop over rows."""


class ProgramTimeoutError(ProgramError, TimeoutError):
    """A row among many that took longer than it may: it was given up, and the others went on."""


class WorkerLostError(ProgramError):
    """The process, or the machine, that an executor had given work to ended before it answered."""


class EvaluationError(TelicError):
    """An evaluation that stopped early.

    Attributes:
        results: The rows that were finished, in order: nothing that was paid for is lost.
    """

    def __init__(self, message: str, *, results: Sequence[Any] = ()) -> None:
        super().__init__(message)
        self.results: Sequence[Any] = results


class TrainingError(TelicError):
    """A training of weights that stopped: its loss is no number, its disk is full, its job at a provider failed.

    Attributes:
        folder: Of the training.
        checkpoint: The folder of the last good checkpoint; None: none was written.
        step: Updates that were made; None: not known here.
    """

    def __init__(
        self, message: str, *, folder: str = "", checkpoint: str | None = None, step: int | None = None
    ) -> None:
        super().__init__(message)
        self.folder = folder
        self.checkpoint = checkpoint
        self.step = step


ENDS_A_RUN = (BudgetExceeded, LMOutageError, JournalError)
"""What nobody may work around: no further call would fare better. Whoever catches errors lets these through."""
