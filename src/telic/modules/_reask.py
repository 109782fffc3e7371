"""Asking again for a reply that does not parse: in the same conversation, with the exact error.

A reply that parses is never asked for again, whatever happens to its siblings of the same request. A reply that was
cut at `max_tokens` is not asked for again either: the answer would be cut again.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Any, NamedTuple, final

from telic._optional import load
from telic.data import Completion, Request, Response, Usage
from telic.errors import AdapterParseError, LMResponseError, TruncatedReplyError


@final
class Ask:
    """The one effect of predictors: a request to an LM."""

    __slots__ = ("lm", "request")

    def __init__(self, lm: Any, request: Request) -> None:
        self.lm = lm
        self.request = request

    def run(self) -> Response:
        """Call the LM."""
        return self.lm.complete(self.request)

    async def arun(self) -> Response:
        """Await the LM."""
        return await self.lm.acomplete(self.request)


class Reading(NamedTuple):
    """What was read from an LM's answers to one request."""

    rows: list[dict[str, Any]]
    """The fields of each completion that could be read."""
    response: Response
    """The first response, with the usage of all."""


def read_all(
    plan: Any, inputs: Mapping[str, Any], lm: Any, request: Request, response: Response, max_retries: int
) -> Generator[Ask, Response, Reading]:
    """Parse every completion of `response`; ask again for those that do not parse.

    Raises:
        LMResponseError: There is no completion at all.
        TruncatedReplyError: All replies were cut; names the limit and where to raise it.
        AdapterParseError: No reply could be read; `.attempts` has the errors of all attempts.

    Cost: at most `max_retries` LM calls for each completion that does not parse; where the adapter takes two steps,
    one call of its second LM before these.
    """
    if not response.completions:
        raise LMResponseError(f"{lm.model} answered with no completion at all", model=lm.model)
    rows: list[dict[str, Any]] = []
    failures: list[AdapterParseError] = []
    usage = response.usage
    for completion in response.completions:
        try:
            rows.append(plan.parse(completion, inputs))
        except TruncatedReplyError as error:
            failures.append(_with_limit(error, lm, request))
        except AdapterParseError as error:
            second = _second_step(plan, completion, inputs)
            if second is None:
                row, spent, last = yield from _ask_again(
                    plan, inputs, lm, request, completion, error, max_retries
                )
            else:
                row, spent, last = yield from _ask_second(second, request, max_retries)
            usage = usage.plus(spent)
            if row is None:
                failures.append(last)
            else:
                rows.append(row)
    if not rows:
        raise failures[-1]
    if failures:
        load("logging").getLogger("telic").warning(
            "%d of %d completions could not be read and are left out: %s",
            len(failures), len(response.completions), failures[0],
        )  # fmt: skip
    return Reading(rows, response if usage is response.usage else response._replace(usage=usage))


def _second_step(plan: Any, completion: Completion, inputs: Mapping[str, Any]) -> Any:
    """Return the call of another LM that reads this reply, or None where the adapter has none."""
    return plan.second_step(completion, inputs) if hasattr(plan, "second_step") else None


def _ask_second(
    step: Any, request: Request, max_retries: int
) -> Generator[Ask, Response, tuple[dict[str, Any] | None, Usage, AdapterParseError]]:
    """Have a second LM read a reply in free text, and ask it again where its own reply does not parse."""
    lm = step.lm
    again = Request(
        step.plan.render(step.inputs),
        step.plan.options,
        sample=request.sample,
        prefix=len(step.plan.prefix),
        cache=request.cache,
    )
    response = yield Ask(lm, again)
    if not response.completions:
        raise LMResponseError(f"{lm.model} answered with no completion at all", model=lm.model)
    completion = response.completions[0]
    try:
        return step.plan.parse(completion, step.inputs), response.usage, AdapterParseError("")
    except TruncatedReplyError as error:
        return None, response.usage, _with_limit(error, lm, again)
    except AdapterParseError as error:
        row, spent, last = yield from _ask_again(
            step.plan, step.inputs, lm, again, completion, error, max_retries
        )
        return row, response.usage.plus(spent), last


def _ask_again(
    plan: Any,
    inputs: Mapping[str, Any],
    lm: Any,
    request: Request,
    completion: Completion,
    error: AdapterParseError,
    max_retries: int,
) -> Generator[Ask, Response, tuple[dict[str, Any] | None, Usage, AdapterParseError]]:
    usage = Usage()
    attempts = [error]
    messages = list(request.messages)
    options: Mapping[str, Any] = {name: value for name, value in request.options.items() if name != "n"}
    while len(attempts) <= max_retries and not isinstance(error, TruncatedReplyError):
        messages = [*messages, *plan.reask(completion, error)]
        again = Request(messages, options, sample=request.sample, prefix=request.prefix, cache=request.cache)
        response = yield Ask(lm, again)
        usage = usage.plus(response.usage)
        if not response.completions:
            raise LMResponseError(f"{lm.model} answered with no completion at all", model=lm.model)
        completion = response.completions[0]
        try:
            return plan.parse(completion, inputs), usage, error
        except TruncatedReplyError as cut:
            error = _with_limit(cut, lm, again)
        except AdapterParseError as next_error:
            second = _second_step(plan, completion, inputs)
            if second is not None:
                row, spent, last = yield from _ask_second(second, again, max_retries - len(attempts))
                return row, usage.plus(spent), last
            error = next_error
        attempts.append(error)
    error.attempts = tuple(attempts)
    if len(attempts) > 1:
        error.add_note(f"the reply was asked for {len(attempts)} times; `.attempts` has each error")
    return None, usage, error


def _with_limit(error: TruncatedReplyError, lm: Any, request: Request) -> TruncatedReplyError:
    limit = request.options.get("max_tokens", request.options.get("max_completion_tokens"))
    if limit is None:
        limit = getattr(lm, "kwargs", {}).get("max_tokens")
    told = "the provider's own limit" if limit is None else f"max_tokens={limit}"
    named = TruncatedReplyError(
        f"{error}\nThe reply of {lm.model} was cut at {told}; allow more: LM(…, max_tokens=…) for all calls, or "
        "Predict(…, max_tokens=…) for this one",
        adapter_name=error.adapter_name,
        signature=error.signature,
        lm_response=error.lm_response,
        parsed_result=error.parsed_result,
        field=error.field,
    )
    named.attempts = (error,)
    return named
