"""Training in several processes: one for each GPU, or for each share of a CPU's cores. This one starts and ends them.

They are plain child processes of this interpreter that meet through accelerate and a file, so no port is open to
others. Each is held by a pipe: whatever ends this process, Ctrl-C or `kill -9`, ends them, and whatever ends one of
them ends all, with an error that says which it was and where the training goes on.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, cast

import telic.errors as errors
from telic._optional import load, require
from telic.errors import ConfigurationError, TelicError, TrainingError
from telic.training._checkpoints import last_checkpoint, refuse_unwritten
from telic.training._lengths import Learnable
from telic.training._open import tiny_files
from telic.training._rows import ChatRow, PreferencePair
from telic.training._rows_file import write_pairs, write_rows
from telic.training._settings import SFTSettings

_FOREIGN: Final = ("ACCELERATE_", "TORCHELASTIC_", "MASTER_", "OMPI_", "PMI_", "MV2_")
"""Settings of another launcher, which this process may itself be a child of."""


def check_processes(name: str, settings: SFTSettings) -> SFTSettings:
    """Return the settings with a device for their processes, or refuse what cannot be.

    Raises:
        MissingExtraError: accelerate is not installed.
        ConfigurationError: There are not as many GPUs, or the device is one alone.
    """
    require("accelerate", extra="train", purpose=f"training {name!r} in {settings.processes} processes")
    cuda, device = load("torch").cuda, settings.device
    if device is None:
        device = "cuda" if cuda.is_available() and tiny_files(name) is None else "cpu"
    if device not in ("cpu", "cuda"):
        raise ConfigurationError(
            f"processes={settings.processes} and device={device!r}: each process has its own GPU; write device='cuda' "
            "or 'cpu', or leave it out"
        )
    if device == "cuda" and cuda.device_count() < settings.in_processes:
        raise ConfigurationError(
            f"processes={settings.processes}, and this machine has {cuda.device_count()} GPUs: one for each process; "
            "take fewer, or device='cpu'"
        )
    return settings._replace(device=device)


def train_in_processes(
    name: str,
    rows: Sequence[Learnable],
    folder: Path,
    settings: SFTSettings,
    tell: Callable[[dict[str, Any]], None],
) -> dict[str, Any]:
    """Train in `settings.processes` processes; return the fields of what it came to.

    Raises:
        TelicError: What one of them raised.
        TrainingError: One of them died.
    """
    settings = check_processes(name, settings)
    with tempfile.TemporaryDirectory(prefix="telic-training-") as place:
        told = Path(place)
        try:
            pairs = [row for row in rows if isinstance(row, PreferencePair)]
            if pairs:
                write_pairs(told / "rows.jsonl", pairs)
            else:
                write_rows(told / "rows.jsonl", cast("Sequence[ChatRow]", rows))
            task = {"lm": name, "folder": str(folder.resolve()), "settings": settings._asdict()}
            (told / "task.json").write_text(json.dumps(task))
        except OSError as error:
            raise refuse_unwritten(f"the task in {place!r}", error, folder) from error
        crew = _Crew(told, settings.in_processes)
        try:
            while True:
                message = crew.hear()
                if "progress" in message:
                    tell(message["progress"])
                elif "error" in message:
                    raise _raised(message)
                elif "lost" in message:
                    raise _died(*crew.lost(message["rank"]), folder)
                elif message["rank"] == 0:
                    return message["done"]
        finally:
            crew.end()


class _Crew:
    """The processes of a training."""

    def __init__(self, folder: Path, count: int) -> None:
        self._folder = folder
        self._said: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self._processes: list[subprocess.Popen[bytes]] = []
        self._ears: list[threading.Thread] = []
        try:
            for rank in range(count):
                self._start(rank, count)
        except BaseException:
            self.end()
            raise

    def _start(self, rank: int, count: int) -> None:
        with (self._folder / f"{rank}.log").open("wb") as log:
            process = subprocess.Popen(  # noqa: S603  this interpreter, our own module
                [sys.executable, "-m", "telic.training._process", str(self._folder), str(rank)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                env=_environment(rank, count),
                start_new_session=True,  # Ctrl-C is for this process, which ends them
            )
        self._processes.append(process)
        ear = threading.Thread(target=self._listen, args=(rank, process.stdout), daemon=True)
        self._ears.append(ear)
        ear.start()

    def _listen(self, rank: int, lines: Iterable[bytes]) -> None:
        for line in lines:
            if line.endswith(b"\n"):  # not one that was being written when its process was killed
                self._said.put({**json.loads(line), "rank": rank})
        self._said.put({"lost": True, "rank": rank})

    def hear(self) -> dict[str, Any]:
        """Return what a process said next."""
        return self._said.get()

    def lost(self, heard: int) -> tuple[int, int, str]:
        """Return rank, exit code and last words of the process that ended first; `heard`: whose pipe closed first."""
        codes = {heard: self._processes[heard].wait()}  # a pipe closes a moment before its process is gone
        for rank, process in enumerate(self._processes):
            code = process.poll()
            if code is not None:
                codes[rank] = code
        # One that was killed is the cause; those that failed after it had only lost a neighbour.
        rank = min(codes, key=lambda rank: codes[rank])
        lines = (self._folder / f"{rank}.log").read_text(errors="replace").strip().splitlines()
        return rank, codes[rank], lines[-1] if lines and codes[rank] > 0 else ""

    def end(self) -> None:
        """End all, and wait until they are gone: the folder's lock with them."""
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.wait()
        for ear in self._ears:
            ear.join()
        for process in self._processes:
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()


def _environment(rank: int, count: int) -> dict[str, str]:
    own = {key: value for key, value in os.environ.items() if not key.startswith(_FOREIGN)}
    threads = max(1, load("torch").get_num_threads() // count)
    return own | {
        "PYTHONPATH": os.pathsep.join(sys.path),
        "PYTHONSAFEPATH": "1",
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "WORLD_SIZE": str(count),
        "LOCAL_WORLD_SIZE": str(count),
        "OMP_NUM_THREADS": str(threads),
    }


def _raised(message: Mapping[str, Any]) -> TelicError:
    """Return the error of a process as it was raised there."""
    kind: type[TelicError] = getattr(errors, message["error"])
    made = kind.__new__(kind, message["text"])
    vars(made).update(message["about"])
    return made


def _died(rank: int, code: int, words: str, folder: Path) -> TrainingError:
    last = last_checkpoint(folder)
    kept = "no checkpoint was written yet" if last is None else f"the last good one is {str(last.folder)!r}"
    how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
    said = f" ({words})" if words else ""
    return TrainingError(
        f"process {rank} of the training {how}{said}, and the others were ended; {kept}. Run the same again: it goes "
        "on from there; if memory was short, with a smaller rows_at_once= or fewer processes",
        folder=str(folder),
        checkpoint=None if last is None else str(last.folder),
        step=None if last is None else last.step,
    )
