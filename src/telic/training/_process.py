"""One of the processes of a training: what `_processes` starts. It is told all in a folder, and says all on its pipe.

It ends with whoever started it: its standard input is a leash, and its end is the process's end. Having said that it is
done, or why not, it stays until it is let go, so that what the others say of a lost neighbour is never heard first.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from telic._optional import load
from telic.errors import TelicError
from telic.training._rows_file import read_pairs, read_rows
from telic.training._settings import SFTSettings
from telic.training._sft import Progress, Trained, train_share
from telic.training._together import Together


def main(folder: Path, rank: int) -> None:
    """Train a share of what a folder holds."""
    pipe = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what libraries print is no message
    threading.Thread(target=_leash, daemon=True).start()
    try:
        _say(pipe, {"done": _train(folder, rank, pipe)._asdict()})
    except TelicError as error:
        _say(pipe, {"error": type(error).__name__, "text": str(error), "about": vars(error)})
    threading.Event().wait()


def _train(folder: Path, rank: int, pipe: TextIO) -> Trained:
    task = json.loads((folder / "task.json").read_bytes())
    settings, count = SFTSettings(**task["settings"]), task["settings"]["processes"]
    gpu = str(settings.device).startswith("cuda")
    if gpu:
        settings = settings._replace(device=f"cuda:{rank}")
    load("accelerate").PartialState(
        cpu=not gpu,
        backend="nccl" if gpu else "gloo",
        init_method=(folder / "meeting").as_uri(),
        rank=rank,
        world_size=count,
    )

    def watch(told: Progress) -> None:
        _say(pipe, {"progress": told._asdict()})

    rows = (read_pairs if settings.loss == "dpo" else read_rows)(folder / "rows.jsonl")
    first = watch if rank == 0 else None
    return train_share(task["lm"], rows, Path(task["folder"]), settings, first, Together(rank, count))


def _say(pipe: TextIO, message: dict[str, Any]) -> None:
    pipe.write(json.dumps(message, default=str) + "\n")


def _leash() -> None:
    """End this process when the one that started it has ended, however it did."""
    while os.read(0, 1):
        continue
    os._exit(1)


def _fail(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """End at once, having said why: libraries that wait for lost neighbours at exit would wait for long."""
    sys.__excepthook__(kind, error, trace)
    sys.stderr.flush()
    os._exit(1)


if __name__ == "__main__":
    sys.excepthook = _fail
    main(Path(sys.argv[1]), int(sys.argv[2]))
