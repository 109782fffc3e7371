"""Which failures are tried again, and when: exponential backoff with full jitter, within the call's deadline.

Only failures that another try can mend are retried: lost connections, a server's own timeout, 429 and 5xx. What the
server asked for (Retry-After) is waited for, plus a little chance so that not all come back at once; where the
deadline leaves no room for the wait, the failure is raised at once instead of after it.
Source: "Exponential Backoff and Jitter" (AWS Architecture Blog, 2015), full jitter. Deviations: a
wait grows fourfold, not twofold, so that a stray failure costs little and a short outage is still outlasted.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final, NamedTuple

from telic.errors import LMError, LMRateLimitError, LMServerError, LMTimeoutError, LMTransportError

if TYPE_CHECKING:
    from collections.abc import Callable

RETRIED: Final = (LMTransportError, LMTimeoutError, LMRateLimitError, LMServerError)


class RetryPolicy(NamedTuple):
    """How often and how long.

    Example:
        >>> policy = RetryPolicy(num_retries=2, chance=lambda: 1.0)
        >>> policy.wait_s(LMServerError("500"), attempt=1), policy.wait_s(LMServerError("500"), attempt=2)
        (0.25, 1.0)
        >>> policy.wait_s(LMServerError("500"), attempt=3) is None
        True
    """

    num_retries: int = 3
    """Tries beyond the first."""
    base_s: float = 0.25
    """The first wait is between 0 and this; each following one up to four times the one before."""
    max_s: float = 30.0
    """No wait of our own is longer; a server's Retry-After may be."""
    chance: Callable[[], float] = random.random
    """A number from 0 to 1; tests pass their own."""

    def wait_s(self, error: LMError, attempt: int) -> float | None:
        """Return the seconds to wait before the next try, or None: do not try again.

        Args:
            error: Why the last try failed.
            attempt: How many tries were made.
        """
        if attempt > self.num_retries or not isinstance(error, RETRIED):
            return None
        asked = error.retry_after_s
        if asked is not None:
            return asked + self.chance() * min(0.1 * asked, 1.0)
        return self.chance() * min(self.max_s, self.base_s * 4 ** (attempt - 1))
