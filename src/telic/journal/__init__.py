"""Crash-safe runs: a journal of what was done, the replies that were paid for, and the way to go on from there."""

from telic.journal._lent import Lent as Lent
from telic.journal._lent import LentRun as LentRun
from telic.journal._lent import Returned as Returned
from telic.journal._lines import LinesFile as LinesFile
from telic.journal._lines import Place as Place
from telic.journal._lines import scan as scan
from telic.journal._live import FORMAT as FORMAT
from telic.journal._live import LiveRun as LiveRun
from telic.journal._lock import RunLock as RunLock
from telic.journal._outage import PASSING as PASSING
from telic.journal._places import START as START
from telic.journal._places import find_run as find_run
from telic.journal._places import list_runs as list_runs
from telic.journal._places import new_folder as new_folder
from telic.journal._places import runs_folder as runs_folder
from telic.journal._replies import Slot as Slot
from telic.journal._replies import Spent as Spent
from telic.journal._run import Run as Run
from telic.journal._run import RunCandidate as RunCandidate
from telic.journal._run import was_killed as was_killed
from telic.journal._values import Unstorable as Unstorable
from telic.journal._values import pack as pack
from telic.journal._values import unpack as unpack
