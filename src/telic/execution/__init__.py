"""Running many calls at once, in order, stoppably; and the bridges between sync and async."""

from telic.execution._bridge import run_coroutine as run_coroutine
from telic.execution._bridge import run_in_thread as run_in_thread
from telic.execution._map import arun_all as arun_all
from telic.execution._map import is_async as is_async
from telic.execution._map import run_all as run_all
from telic.execution._outcome import Outcome as Outcome
from telic.execution._outcome import RunInterrupted as RunInterrupted
from telic.execution._outcome import RunStopped as RunStopped
from telic.execution._outcome import StopReason as StopReason
from telic.execution._stray import stray_cancellations as stray_cancellations
