"""Interpreters for code that an LM wrote: two sandboxes, and a process of one's own for code that is trusted."""

from telic.protocols import Execution as Execution
from telic.sandbox._deno import DenoInterpreter as DenoInterpreter
from telic.sandbox._host import Finish as Finish
from telic.sandbox._monty import MontyInterpreter as MontyInterpreter
from telic.sandbox._subprocess import SubprocessInterpreter as SubprocessInterpreter
