from __future__ import annotations

import pytest

from telic.errors import (
    ContentFilterError,
    ContextWindowExceededError,
    LMAuthError,
    LMBillingError,
    LMInvalidRequestError,
    LMRateLimitError,
    LMResponseError,
    LMServerError,
    LMTimeoutError,
    LMTransportError,
)
from telic.lm.wire._retry import RetryPolicy


@pytest.mark.parametrize("kind", [LMTransportError, LMTimeoutError, LMRateLimitError, LMServerError])
def test_what_another_try_can_mend_is_retried(kind):
    assert RetryPolicy().wait_s(kind("x"), 1) is not None


@pytest.mark.parametrize(
    "kind",
    [
        LMAuthError,
        LMBillingError,
        LMInvalidRequestError,
        ContextWindowExceededError,
        LMResponseError,
        ContentFilterError,
    ],
)
def test_what_it_cannot_is_not(kind):
    assert RetryPolicy().wait_s(kind("x"), 1) is None


def test_waits_grow_fourfold_up_to_the_longest_and_end_with_the_last_try():
    policy = RetryPolicy(num_retries=8, max_s=5.0, chance=lambda: 1.0)
    waits = [policy.wait_s(LMServerError("x"), attempt) for attempt in range(1, 10)]
    assert waits == [0.25, 1.0, 4.0, 5.0, 5.0, 5.0, 5.0, 5.0, None]


def test_chance_reaches_down_to_no_wait_at_all():
    assert RetryPolicy(chance=lambda: 0.0).wait_s(LMServerError("x"), 3) == 0.0


def test_what_the_server_asks_for_is_waited_for_and_a_little_more():
    error = LMRateLimitError("x", retry_after_s=20.0)
    assert RetryPolicy(chance=lambda: 0.0).wait_s(error, 1) == 20.0
    assert RetryPolicy(chance=lambda: 1.0).wait_s(error, 1) == 21.0
    assert RetryPolicy(chance=lambda: 1.0).wait_s(LMRateLimitError("x", retry_after_s=0.0), 1) == 0.0


def test_no_retries_means_none():
    assert RetryPolicy(num_retries=0).wait_s(LMServerError("x"), 1) is None
