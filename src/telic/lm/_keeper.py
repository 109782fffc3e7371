"""Runs a server for as long as somebody holds its standard input open: `python -m telic.lm._keeper COMMAND…`.

Whoever launched the server holds the other end of that pipe. When it goes, by `kill` or with its process, however that
ends, the server and all that it has started are ended: first asked to, then made to.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

GRACE_S = 10.0


def main() -> int:
    """Run the command; return its exit status."""
    server = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, start_new_session=True)  # noqa: S603 - our own

    def end(kind: int) -> None:
        try:
            os.killpg(server.pid, kind)
        except ProcessLookupError:
            return

    def keep() -> None:
        while os.read(0, 1024):  # until the other end is closed
            pass
        end(signal.SIGTERM)
        try:
            server.wait(GRACE_S)
        except subprocess.TimeoutExpired:
            pass
        end(signal.SIGKILL)  # what it started and left behind, too

    threading.Thread(target=keep, daemon=True).start()
    status = server.wait()
    end(signal.SIGKILL)
    return status


if __name__ == "__main__":
    sys.exit(main())
