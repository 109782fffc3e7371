"""Watching a program run: traces, usage, history, callbacks."""

from telic.tracing._callbacks import ACTIVE_CALL_ID as ACTIVE_CALL_ID
from telic.tracing._callbacks import BaseCallback as BaseCallback
from telic.tracing._callbacks import ObservedCall as ObservedCall
from telic.tracing._callbacks import aobserved as aobserved
from telic.tracing._callbacks import begin as begin
from telic.tracing._callbacks import finish as finish
from telic.tracing._callbacks import observed as observed
from telic.tracing._history import HistoryEntry as HistoryEntry
from telic.tracing._history import clear_history as clear_history
from telic.tracing._history import history as history
from telic.tracing._history import inspect_history as inspect_history
from telic.tracing._history import record_call as record_call
from telic.tracing._history import write_entries as write_entries
from telic.tracing._steps import record as record
from telic.tracing._usage import UsageTracker as UsageTracker
from telic.tracing._usage import track_usage as track_usage
