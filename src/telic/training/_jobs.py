"""Finetuning by a provider: OpenAI's jobs, and servers that speak their protocol (`LM("openai/…", base_url=…)`).

    upload the rows -> begin a job -> ask how far it is, until it succeeded or failed

Each answer is written into the folder's `job.json` before the next step, so that whoever is killed goes on waiting
for the same job. A job that was begun by a request whose answer got lost is found by its file: none is paid for twice.
"""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, cast
from urllib.parse import quote

from telic._hash import content_key
from telic._http import Endpoint, HttpRequest, HttpResponse, Transport, portal
from telic._optional import load
from telic._text import did_you_mean
from telic.context import get as get_setting
from telic.errors import (
    ConfigurationError,
    LMError,
    LMResponseError,
    RequestsForbiddenError,
    RunMismatchError,
    TrainingError,
)
from telic.journal import RunLock
from telic.lm.wire._dialect import Place
from telic.lm.wire._failure import failure
from telic.lm.wire._hosts import HOSTS, resolve_access
from telic.lm.wire._retry import RetryPolicy
from telic.training._files import written_whole
from telic.training._rows import ChatRow
from telic.training._rows_file import row_to_dict

_OVER: Final = frozenset(("succeeded", "failed", "cancelled"))
_REQUEST_S: Final = 120.0
_SAME: Final = {"n_epochs": "epochs", "num_train_epochs": "epochs"}


class JobSettings(NamedTuple):
    """Settings of a finetuning job; what is None is the provider's choice."""

    epochs: int | None = None
    batch_size: int | None = None
    learning_rate_multiplier: float | None = None
    suffix: str | None = None
    """Stands in the new model's name."""
    seed: int | None = None
    poll_s: float = 20.0
    """Seconds between two questions how far it is."""
    timeout_s: float = 86_400.0
    """How long it is waited for; the job goes on all the same."""


def read_job_settings(given: Mapping[str, Any] | None) -> JobSettings:
    """Return settings from `train_kwargs`.

    Raises:
        ConfigurationError: A name is unknown, or a value cannot work.
    """
    told: Mapping[str, Any] = {} if given is None else given
    named = {_SAME.get(name, name): value for name, value in told.items()}
    known = JobSettings._fields
    unknown = next((name for name in named if name not in known), None)
    if unknown is not None:
        raise ConfigurationError(
            f"train_kwargs has no {unknown!r}{did_you_mean(unknown, known)} for finetuning by a provider; it has: "
            f"{', '.join(known)}"
        )
    for name in ("epochs", "batch_size", "learning_rate_multiplier", "poll_s", "timeout_s"):
        value = named.get(name)
        if value is not None and (
            isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 0
        ):
            raise ConfigurationError(f"{name}={value!r}: a number above 0")
    return JobSettings(**named)


class Job(NamedTuple):
    """What a finetuning job came to."""

    model: str
    """The new model, as `LM` takes it."""
    job: str
    file: str
    tokens: int | None
    """That were trained on, and are paid for; None: the server does not say."""


class JobServer:
    """A server of finetuning jobs.

    Args:
        lm: "openai/…", with its key and base_url.

    Raises:
        NotConfiguredError: There is no key; nothing was sent.
    """

    def __init__(self, lm: Any) -> None:
        prefix, _, self.model = str(lm.model).partition("/")
        access = resolve_access(prefix, HOSTS["openai"], self.model, lm.api_key, lm.base_url)
        self._base = access.base_url.rstrip("/")
        self._headers = {"Authorization": f"Bearer {access.api_key}", **lm.headers}
        self._place = Place(prefix, self.model, self._base, (access.api_key,), "set OPENAI_API_KEY")
        self._retry = RetryPolicy(lm.num_retries)

    def upload(self, rows: Sequence[ChatRow]) -> str:
        """Send training rows; return the file's id. Their weights are not sent: the protocol has none."""
        lines = "".join(json.dumps(row_to_dict(row, plain=True)) + "\n" for row in rows)
        edge = f"telic-{secrets.token_hex(12)}"
        parts = (
            f'--{edge}\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nfine-tune\r\n'
            f'--{edge}\r\nContent-Disposition: form-data; name="file"; filename="rows.jsonl"\r\n'
            f"Content-Type: application/jsonl\r\n\r\n{lines}\r\n--{edge}--\r\n"
        )
        answer = self._ask("POST", "/files", parts.encode(), f"multipart/form-data; boundary={edge}")
        return _text(answer, "id", self._place)

    def begin(self, file: str, settings: JobSettings) -> str:
        """Begin a job, or find the one that was begun with this file; return its id."""
        known = {
            "n_epochs": settings.epochs,
            "batch_size": settings.batch_size,
            "learning_rate_multiplier": settings.learning_rate_multiplier,
        }
        chosen = {name: value for name, value in known.items() if value is not None}
        asked: dict[str, Any] = {"model": self.model, "training_file": file}
        if chosen:
            asked["method"] = {"type": "supervised", "supervised": {"hyperparameters": chosen}}
        asked |= {k: v for k, v in (("suffix", settings.suffix), ("seed", settings.seed)) if v is not None}
        body = json.dumps(asked).encode()
        answer = self._ask("POST", "/fine_tuning/jobs", body, before_again=lambda: self._begun(file))
        return _text(answer, "id", self._place)

    def _begun(self, file: str) -> dict[str, Any] | None:
        """Return the job of a file, if one was begun."""
        found: Any = self._ask("GET", "/fine_tuning/jobs?limit=100").get("data", [])
        return next((job for job in found if job.get("training_file") == file), None)

    def find(self, file: str) -> str | None:
        """Return the id of the job that was begun with a file; None: there is none."""
        job = self._begun(file)
        return None if job is None else _text(job, "id", self._place)

    def look(self, job: str) -> dict[str, Any]:
        """Return how far a job is, as the server tells it."""
        return self._ask("GET", f"/fine_tuning/jobs/{quote(job, safe='')}")

    def _ask(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        kind: str = "application/json",
        before_again: Callable[[], dict[str, Any] | None] | None = None,
    ) -> dict[str, Any]:
        """Send until an answer comes or trying again is of no use.

        Args:
            method: Of HTTP.
            path: Below the server's base URL.
            body: What is sent.
            kind: The body's type.
            before_again: Looks, before another try, whether the last one was heard after all.
        """
        if get_setting("forbid_requests"):
            raise RequestsForbiddenError(f"a finetuning request to {self._base} where requests are forbidden")
        endpoint = Endpoint(f"{self._base}{path}", {**self._headers, "Content-Type": kind}, method=method)
        attempt = 0
        while True:
            attempt += 1
            try:
                return self._read(portal.run(_send, HttpRequest(endpoint, body)))
            except LMError as error:
                wait = self._retry.wait_s(error, attempt)
                if wait is None:
                    raise
            time.sleep(wait)
            known = None if before_again is None else before_again()
            if known is not None:
                return known

    def _read(self, answer: HttpResponse) -> dict[str, Any]:
        if not 200 <= answer.status < 300:
            raise failure(self._place, answer.status, answer.headers, answer.body)
        try:
            found: Any = json.loads(answer.body)
        except ValueError as error:
            raise LMResponseError(
                f"{self._place}: the answer is no JSON: {answer.body[:120]!r}", provider=self._place.provider
            ) from error
        if not isinstance(found, dict):
            raise LMResponseError(f"{self._place}: the answer is no object: {answer.body[:120]!r}")
        return cast("dict[str, Any]", found)


def finetune_by_job(
    lm: Any,
    rows: Sequence[ChatRow],
    folder: str | Path,
    settings: JobSettings | None = None,
    *,
    watch: Callable[[str], None] | None = None,
) -> Job:
    """Have a provider finetune a model on rows, and wait for it.

    Args:
        lm: "openai/…".
        rows: Prompts with the replies to be learned.
        folder: Of this training alone; one that was begun with the same is gone on with.
        settings: None: the provider's choice.
        watch: Told of each status.

    Raises:
        LMError: A request failed.
        TrainingError: The job failed or was cancelled, or takes longer than `timeout_s`.
        RunLockedError, RunMismatchError: The folder is in use, or of another training.

    Cost: what the provider takes for the rows' tokens, once.
    """
    chosen = JobSettings() if settings is None else settings
    server, place = JobServer(lm), Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    lock = RunLock(place)
    try:
        state = _State(place / "job.json", [lm.model, [row_to_dict(row) for row in rows], chosen[:5]])
        if "file" not in state.known:
            state.put(file=server.upload(rows))
        file = state.known["file"]
        if "job" not in state.known:
            found = server.find(file) if state.resumed else None
            state.put(job=server.begin(file, chosen) if found is None else found)
        return _waited(server, state, lm, chosen, watch)
    finally:
        lock.release()


def _waited(
    server: JobServer, state: _State, lm: Any, settings: JobSettings, watch: Callable[[str], None] | None
) -> Job:
    job, until = state.known["job"], time.monotonic() + settings.timeout_s
    told: dict[str, Any] = server.look(job)
    while (status := str(told.get("status"))) not in _OVER:
        if watch is not None:
            watch(status)
        if time.monotonic() + settings.poll_s > until:
            raise TrainingError(
                f"the finetuning job {job!r} of {lm.model!r} is {status!r} after {settings.timeout_s:g} s; it goes on "
                "at the provider: run the same again to wait further",
                folder=str(state.path.parent),
            )
        time.sleep(settings.poll_s)
        told = server.look(job)
    if watch is not None:
        watch(status)
    name = told.get("fine_tuned_model")
    if status != "succeeded" or not isinstance(name, str):
        error: Any = told.get("error") or {}
        said = error.get("message") if isinstance(error, dict) else error  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        raise TrainingError(
            f"the finetuning job {job!r} of {lm.model!r} {status}: {said or 'without a word of the server'}; its rows "
            f"are in {str(state.path.parent)!r}. To begin another job, choose another folder",
            folder=str(state.path.parent),
        )
    tokens = told.get("trained_tokens")
    return Job(
        f"{lm.model.partition('/')[0]}/{name}",
        job,
        state.known["file"],
        tokens if isinstance(tokens, int) else None,
    )


class _State:
    """What a job's folder knows."""

    def __init__(self, path: Path, identity: Any) -> None:
        self.path = path
        digest = content_key(identity)[:32]
        try:
            found: Any = json.loads(path.read_bytes())
        except FileNotFoundError:
            found = None
        except (OSError, ValueError) as error:
            raise RunMismatchError(
                f"{str(path)!r} cannot be read ({error}); choose another folder"
            ) from error
        self.resumed = found is not None
        self.known: dict[str, Any] = {"identity": digest} if found is None else found
        if self.known.get("identity") != digest:
            raise RunMismatchError(
                f"{str(path.parent)!r} holds another finetuning job; choose another folder",
                folder=str(path.parent),
            )
        if not self.resumed:
            self.put()

    def put(self, **more: str) -> None:
        self.known |= more
        written_whole(self.path, json.dumps(self.known, indent=1).encode())


async def _send(request: HttpRequest) -> HttpResponse:
    loop = load("asyncio").get_running_loop()
    transport = Transport()  # of its own: on a kept connection it would send again what nobody answered
    try:
        return await transport.send(request, loop.time() + _REQUEST_S)
    finally:
        await transport.close()


def _text(answer: Mapping[str, Any], name: str, place: Place) -> str:
    found = answer.get(name)
    if not isinstance(found, str) or not found:
        raise LMResponseError(f"{place}: the answer has no {name!r}: {str(dict(answer))[:200]}")
    return found
