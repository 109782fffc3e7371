"""Processes that are really killed, and a real server that counts what it was asked."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from telic.testing import FaultServer
from telic.testing._optimizer_task import SUM, share

TASK = Path(__file__).with_name("task.py")
KINDS = ("BootstrapFewShot", "BootstrapFewShotWithRandomSearch")


def answers(request):
    """Of every second question the right answer, on the first try and on no later one: a second draw would show."""
    text = json.dumps(request["messages"])
    a, b = map(int, SUM.findall(text)[-1])
    return f"[[ ## answer ## ]]\n{a + b if share(text) < 0.6 else a + b + 1}\n\n[[ ## completed ## ]]"


def start(folder, url, kill_at, kind, threads=1):
    arguments = [str(folder), url, str(kill_at), kind, str(threads)]
    return subprocess.run(
        [sys.executable, str(TASK), *arguments], capture_output=True, text=True, check=False
    )


def asked(server):
    return Counter(json.dumps(request.body["messages"]) for request in server.requests)


def whole(folder, kind, threads=1):
    with FaultServer(answers) as server:
        done = start(folder, server.url, -1, kind, threads)
        assert done.returncode == 0, done.stderr
        return done.stdout, asked(server)


def killed_and_resumed(folder, kind, kill_at, expected, calls):
    with FaultServer(answers) as server:
        killed = start(folder, server.url, kill_at, kind)
        assert killed.returncode == -9, killed.stderr
        before = len(server.requests)
        resumed = start(folder, server.url, -1, kind)
        assert resumed.returncode == 0, resumed.stderr
        assert resumed.stdout == expected, f"killed at event {kill_at}"
        again = asked(server)
    extra = sum((again - calls).values())
    assert extra <= 1, (
        f"killed at event {kill_at}: {extra} calls more than needed"
    )  # the one that the kill lost
    assert not calls - again
    return before


def events_of(folder):
    return sum(len((folder / name).read_bytes().splitlines()) for name in ("journal.jsonl", "replies.jsonl"))


@pytest.mark.parametrize("kind", KINDS)
def test_a_killed_process_resumes_to_the_same_result_without_paying_again(tmp_path, kind):
    expected, calls = whole(tmp_path / "whole", kind)
    kill_at = events_of(tmp_path / "whole") // 2

    before = killed_and_resumed(tmp_path / "killed", kind, kill_at, expected, calls)

    assert 0 < before < sum(calls.values())


def test_a_process_killed_with_many_calls_under_way_resumes(tmp_path):
    kind = KINDS[1]
    expected, calls = whole(tmp_path / "whole", kind, threads=8)
    with FaultServer(answers) as server:
        assert start(tmp_path / "killed", server.url, 30, kind, threads=8).returncode == -9
        assert start(tmp_path / "killed", server.url, -1, kind, threads=8).stdout == expected
        extra = sum((asked(server) - calls).values())
    assert extra <= 2 * 8  # those under way at the kill, and runs that were tried ahead


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_killed_at_each_event_it_resumes(tmp_path, kind):
    expected, calls = whole(tmp_path / "whole", kind)
    events = events_of(tmp_path / "whole")
    points = range(events) if events <= 60 else sorted({i * (events - 1) // 59 for i in range(60)})
    for kill_at in points:
        killed_and_resumed(tmp_path / f"killed-{kill_at}", kind, kill_at, expected, calls)
