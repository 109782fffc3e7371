"""Programs whose outputs are seen while they come: typed events, sync and async, and DSPy's `streamify` over them."""

from telic.streaming._emitter import Emitter as Emitter
from telic.streaming._emitter import emit as emit
from telic.streaming._events import AssertionChecked as AssertionChecked
from telic.streaming._events import Custom as Custom
from telic.streaming._events import Event as Event
from telic.streaming._events import Failed as Failed
from telic.streaming._events import FieldDelta as FieldDelta
from telic.streaming._events import FieldDone as FieldDone
from telic.streaming._events import Finished as Finished
from telic.streaming._events import LMDelta as LMDelta
from telic.streaming._events import ModuleEnd as ModuleEnd
from telic.streaming._events import ModuleStart as ModuleStart
from telic.streaming._events import ReasoningDelta as ReasoningDelta
from telic.streaming._events import Retracted as Retracted
from telic.streaming._events import Spent as Spent
from telic.streaming._events import ToolEnd as ToolEnd
from telic.streaming._events import ToolStart as ToolStart
from telic.streaming._listener import StreamListener as StreamListener
from telic.streaming._messages import StatusMessage as StatusMessage
from telic.streaming._messages import StatusMessageProvider as StatusMessageProvider
from telic.streaming._messages import StreamChunk as StreamChunk
from telic.streaming._messages import StreamResponse as StreamResponse
from telic.streaming._stream import Stream as Stream
from telic.streaming._streamify import apply_sync_streaming as apply_sync_streaming
from telic.streaming._streamify import streamify as streamify
from telic.streaming._streamify import streaming_response as streaming_response
