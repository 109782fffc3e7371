"""Prompt formats: signature and values to messages, and a reply back to values. Pure: no I/O, no LM."""

from telic.adapters._baml import BAMLAdapter as BAMLAdapter
from telic.adapters._base import Adapter as Adapter
from telic.adapters._chat import ChatAdapter as ChatAdapter
from telic.adapters._deltas_words import words_deltas as words_deltas
from telic.adapters._json import JSONAdapter as JSONAdapter
from telic.adapters._native import NativePlan as NativePlan
from telic.adapters._native import bare_prompt as bare_prompt
from telic.adapters._native import tool_options as tool_options
from telic.adapters._native_calls import assistant_turns as assistant_turns
from telic.adapters._native_calls import calls_of as calls_of
from telic.adapters._plan import Plan as Plan
from telic.adapters._two_step import TwoStepAdapter as TwoStepAdapter
from telic.adapters._xml import XMLAdapter as XMLAdapter
