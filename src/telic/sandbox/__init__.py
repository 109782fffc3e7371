"""Interpreters for code that an LM wrote: a sandbox, and a process of one's own for code that is trusted."""

from telic.protocols import Execution as Execution
from telic.sandbox._host import Finish as Finish
from telic.sandbox._monty import MontyInterpreter as MontyInterpreter
from telic.sandbox._subprocess import SubprocessInterpreter as SubprocessInterpreter
