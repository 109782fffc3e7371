"""A run killed at any request to the batch service, before or after it was done there, pays for nothing twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from tests.lm.batch.service import BatchService

from telic.testing import faults

TASK = Path(__file__).with_name("task.py")


class Killer:
    """Kills the process at one of its requests."""

    def __init__(self, at: int, *, after: bool) -> None:
        self.at = at
        self.after = after
        self.process: subprocess.Popen | None = None

    def __call__(self, number, method, path):
        if number != self.at:
            return None
        os.kill(self.process.pid, signal.SIGKILL)
        return "lost" if self.after else faults.close_before_answer()


def service_of(draws, fault=None):
    """Each answer is a number that no other is, so that a second draw would show."""

    def answer(body):
        draws.append(body)
        return f"[[ ## answer ## ]]\n{len(draws)}\n\n[[ ## completed ## ]]"

    return BatchService(answer, looks=2, fault=fault)


def started(folder, url, *more):
    return subprocess.Popen(
        [sys.executable, str(TASK), str(folder), url, *more], stdout=subprocess.PIPE, text=True
    )


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("at", [2, 3, 5])
def test_a_killed_run_fetches_what_it_had_sent(tmp_path, at, after):
    killer = Killer(at, after=after)
    draws = []
    service = service_of(draws, killer)
    with service.server() as server:
        killer.process = started(tmp_path / "run", server.url)
        killer.process.communicate(timeout=60)
        assert killer.process.returncode == -9
        killer.at = -1
        again = started(tmp_path / "run", server.url)
        told, _ = again.communicate(timeout=60)

    assert again.returncode == 0
    assert Counter(service.paid) == Counter(dict.fromkeys(set(service.paid), 2))
    assert len(service.paid) == 6
    assert told == repr([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])


def test_where_equal_calls_share_an_answer_any_of_them_may_fetch_it(tmp_path):
    killer = Killer(3, after=False)
    draws = []
    service = service_of(draws, killer)
    with service.server() as server:
        killer.process = started(tmp_path / "run", server.url, str(tmp_path / "cache"))
        killer.process.communicate(timeout=60)
        killer.at = -1
        again = started(tmp_path / "run", server.url, str(tmp_path / "cache"))
        told, _ = again.communicate(timeout=60)

    assert len(service.paid) == 3
    assert told == repr([1.0, 1.0, 2.0, 2.0, 3.0, 3.0])


def test_a_run_whose_job_the_server_has_forgotten_makes_it_again(tmp_path):
    killer = Killer(3, after=False)
    service = service_of([], killer)
    with service.server() as server:
        killer.process = started(tmp_path / "run", server.url)
        killer.process.communicate(timeout=60)
        service.jobs.clear()
        killer.at = -1
        again = started(tmp_path / "run", server.url)
        told, _ = again.communicate(timeout=60)

    assert told == repr([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
