"""Programs that say `dspy`, served by telic: its module paths, its old names, and `import dspy` itself.

    import telic as dspy                        # most programs need no more than this
    from telic.teleprompt import BootstrapFewShot

    import telic.compat; telic.compat.install()     # for files that cannot be edited:
    import dspy                                     # this is telic now

    python -m telic.compat script.py            # the same, without touching the script

No floor below knows these names. What is refused on purpose, and what is not there yet: docs/from-dspy.md.
"""

from telic.compat._install import install as install
from telic.compat._paths import find_old_path as find_old_path

__all__ = ["find_old_path", "install"]
