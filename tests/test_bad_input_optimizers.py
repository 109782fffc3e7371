"""What goes wrong around a compile, with real processes, files and a server that counts, for every optimizer.

The rest of what may go wrong is asked of every optimizer by the shipped suite (`telic.testing._optimizer_faults`, run
in conformance/test_optimizers.py), in one process: a kill at every event with 1 and 8 threads at work, a full disk at
every event, a folder of another program, data, metric or version, a folder in use, budgets of nothing, of one call and
less than the baseline, an LM that goes away and one that comes back, rows that fail, a metric that raises on some rows,
three examples, equal scores, no valset. A metric without feedback given to GEPA: optimizers/test_gepa.py.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path

import pytest

from telic.errors import RunLockedError
from telic.journal import Run
from telic.testing import FaultServer, faults
from telic.testing._optimizer_suite import OptimizerSuite, spread
from telic.testing._optimizer_task import answered

FOLDER = Path(__file__).with_name("optimizers")
sys.path.insert(0, str(FOLDER))

from killable import KINDS, compiled, lm_at  # noqa: E402 - it stands beside the optimizers' tests

KILLS = 60
FEW = pytest.mark.parametrize(
    "kind",
    [
        kind
        if kind in ("BootstrapFewShot", "MIPROv2", "GEPA")
        else pytest.param(kind, marks=pytest.mark.slow)
        for kind in KINDS[1:]
    ],
)
"""Some always, all of them when slow tests are wanted."""


def answers(body):
    text = "\n".join(str(message["content"]) for message in body["messages"])
    return answered(text, OptimizerSuite().reply)


def asked(requests):
    return Counter(json.dumps(request.body["messages"]) for request in requests)


@pytest.fixture(scope="module")
def forking():
    """A process that forks a compile for each line it is told."""
    command = [sys.executable, str(FOLDER / "killable.py")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.stdin.close()


class Compiles:
    """Compiles of one optimizer, each in a process of its own, and the server that they ask."""

    def __init__(self, forking, kind, server, threads=1):
        self.process, self.server = forking, server
        self.options = {"url": server.url, "kind": kind, "threads": threads}

    def begin(self, folder, **options):
        self.process.stdin.write(json.dumps({**self.options, "folder": str(folder), **options}) + "\n")
        self.process.stdin.flush()

    def end(self):
        told = json.loads(self.process.stdout.readline())
        return told["status"], told["found"], told["error"]

    def run(self, folder, **options):
        """Return the status, what was found, the error, and what the server was asked."""
        before = len(self.server.requests)
        self.begin(folder, **options)
        return *self.end(), asked(self.server.requests[before:])

    def whole(self, folder):
        """Return what a compile that nobody disturbs finds and asks."""
        status, found, error, calls = self.run(folder)
        assert (status, error) == (0, None)
        return found, calls


def events_of(folder):
    return sum(len((folder / name).read_bytes().splitlines()) for name in ("journal.jsonl", "replies.jsonl"))


def check_kills(forking, tmp_path, kind, most, threads=1):
    """Kill, resume, compare; at up to `most` events. At most what was under way at the kill is paid for again."""
    with FaultServer(answers) as server:
        compiles = Compiles(forking, kind, server, threads)
        expected, calls = compiles.whole(tmp_path / "whole")
        points = spread(events_of(tmp_path / "whole"), most)
        for point in points:
            folder = tmp_path / f"killed-{point}"
            status, _, error, before = compiles.run(folder, kill_at=point)
            assert (status, error) == (-9, None), f"at event {point}"
            resumed, again = compiles.whole(folder)
            assert resumed == expected, f"killed at event {point}"
            # Several threads run ahead of what is needed: an uninterrupted compile may have paid for a call more.
            assert threads > 1 or not calls - before - again
            assert sum((before + again - calls).values()) <= threads, f"killed at event {point}"
    return len(points)


@pytest.mark.parametrize("kind", KINDS)
def test_a_compile_that_is_killed_and_started_again_finds_the_same_and_pays_once(forking, tmp_path, kind):
    check_kills(forking, tmp_path, kind, 2)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_killed_at_every_event_it_finds_the_same_and_pays_once(forking, tmp_path, kind):
    assert check_kills(forking, tmp_path, kind, KILLS) >= (50 if kind != "LabeledFewShot" else 3)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_killed_with_eight_calls_under_way_it_pays_for_no_more_than_these_again(forking, tmp_path, kind):
    check_kills(forking, tmp_path, kind, 12, threads=8)


@FEW
def test_a_second_process_on_the_same_folder_is_refused_and_the_first_one_goes_on(forking, tmp_path, kind):
    come, go_on = threading.Event(), threading.Event()

    def held(body):
        come.set()
        assert go_on.wait(60)
        return answers(body)

    with FaultServer(held) as server:
        compiles = Compiles(forking, kind, server)
        compiles.begin(tmp_path / "run")
        assert come.wait(60)
        before = len(server.requests)
        with pytest.raises(RunLockedError) as caught:
            compiled(kind, tmp_path / "run", lm_at(server.url))
        assert caught.value.pid == Run(tmp_path / "run").holder["pid"]
        assert len(server.requests) == before
        go_on.set()
        assert compiles.end()[0] == 0
    assert Run(tmp_path / "run").status == "finished"


@FEW
def test_a_disk_that_is_full_ends_it_and_with_room_it_goes_on(forking, tmp_path, kind):
    with FaultServer(answers) as server:
        compiles = Compiles(forking, kind, server)
        expected, calls = compiles.whole(tmp_path / "whole")
        size = max(
            len((tmp_path / "whole" / name).read_bytes()) for name in ("journal.jsonl", "replies.jsonl")
        )
        for limit in (size // 4, size // 2):
            folder = tmp_path / f"full-{limit}"
            status, found, error, before = compiles.run(folder, limit=limit)
            assert (status, found) == (0, None)
            assert "File too large" in error
            resumed, again = compiles.whole(folder)
            assert resumed == expected
            assert sum((before + again - calls).values()) <= 1


@FEW
def test_a_server_that_goes_away_ends_it_and_when_it_is_back_it_goes_on(forking, tmp_path, kind):
    gone = [10**9]

    def away(request):
        gone[0] -= 1
        return faults.status(503) if gone[0] < 0 else None

    with FaultServer(answers, away) as server:
        compiles = Compiles(forking, kind, server)
        expected, calls = compiles.whole(tmp_path / "whole")
        gone[0] = sum(calls.values()) // 2
        status, found, error, _ = compiles.run(tmp_path / "run")
        assert (status, error) == (0, None)
        assert not found.startswith("None ")
        assert "away" in found.partition("{")[0] or "503" in found.partition("{")[0]
        gone[0] = 10**9
        resumed, again = compiles.whole(tmp_path / "run")
        assert resumed == expected
        assert sum(again.values()) <= sum(calls.values()) - sum(calls.values()) // 2
