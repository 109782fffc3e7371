"""The listening point of runs: in a run, a reply is written down before it is seen, and given again on resume.

It stands before the cache and the budget: a kept reply costs nothing and needs no LM. The key is that of the cache
without the endpoint, for a server may come back at another address.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from telic.context import pop, push
from telic.data import Request, Response
from telic.errors import BudgetExceeded, ConfigurationError, LMError, RequestsForbiddenError
from telic.lm.caching._codec import response_form, response_of
from telic.lm.caching._key import request_key

if TYPE_CHECKING:
    from telic.journal import LiveRun, Slot

_NOT_SENT = (BudgetExceeded, ConfigurationError, RequestsForbiddenError)


def kept_or_asked(run: LiveRun, lm: Any, request: Request) -> Response:
    """Return the reply that the run has kept, or ask the LM and keep its reply.

    Raises:
        JournalError: The reply cannot be written down.
        LMOutageError: The LM stayed away longer than the run waits.
    """
    slot = run.claim(request_key([lm.model, lm.model_type], request))
    if slot.place is not None:
        return response_of(run.replies.read(slot))

    def ask() -> Response:
        token = push("run_slot", slot.key) if getattr(lm, "batch", False) is True else None
        try:
            return lm._answer(request)
        except LMError as error:
            _count_failure(run, lm, error)
            raise
        finally:
            if token is not None:
                pop(token)

    response = run.outages.ask(lm.model, ask)
    _keep(run, lm, slot, response)
    return response


async def akept_or_asked(run: LiveRun, lm: Any, request: Request) -> Response:
    """Same as `kept_or_asked`, for tasks."""
    slot = run.claim(request_key([lm.model, lm.model_type], request))
    if slot.place is not None:
        return response_of(run.replies.read(slot))

    async def ask() -> Response:
        token = push("run_slot", slot.key) if getattr(lm, "batch", False) is True else None
        try:
            return await lm._aanswer(request)
        except LMError as error:
            _count_failure(run, lm, error)
            raise
        finally:
            if token is not None:
                pop(token)

    response = await run.outages.aask(lm.model, ask)
    _keep(run, lm, slot, response)
    return response


def _count_failure(run: LiveRun, lm: Any, error: LMError) -> None:
    if not isinstance(error, _NOT_SENT):
        run.call_failed(lm.model)


def _keep(run: LiveRun, lm: Any, slot: Slot, response: Response) -> None:
    form = response_form(response)
    try:
        run.keep(slot, form, response.usage, model=lm.model, cached=response.cached)
    except TypeError:  # log probabilities of a kind that JSON does not hold: they alone are left out
        for completion in form[0]:
            completion[4] = None
        run.keep(slot, form, response.usage, model=lm.model, cached=response.cached)
