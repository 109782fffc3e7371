"""Programs whose outputs are seen while they come: typed events, sync and async, and DSPy's `streamify` over them."""

from telic.streaming._emitter import Emitter as Emitter
from telic.streaming._emitter import emit as emit
from telic.streaming._emitter import tell_assertion as tell_assertion
from telic.streaming._events import AssertionChecked as AssertionChecked
from telic.streaming._events import Custom as Custom
from telic.streaming._events import Event as Event
from telic.streaming._events import Failed as Failed
from telic.streaming._events import FieldDelta as FieldDelta
from telic.streaming._events import FieldDone as FieldDone
from telic.streaming._events import Finished as Finished
from telic.streaming._events import ModuleEnd as ModuleEnd
from telic.streaming._events import ModuleStart as ModuleStart
from telic.streaming._events import ReasoningDelta as ReasoningDelta
from telic.streaming._events import Retracted as Retracted
from telic.streaming._events import Spent as Spent
from telic.streaming._events import ToolEnd as ToolEnd
from telic.streaming._events import ToolStart as ToolStart
from telic.streaming._stream import Stream as Stream
