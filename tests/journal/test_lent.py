"""A run whose work is done elsewhere: what is sent along, what comes back, what is there on resume."""

from __future__ import annotations

import pickle

import pytest

from telic.context import context
from telic.data import Usage
from telic.errors import LMServerError
from telic.journal import LentRun, LiveRun

USAGE = Usage(input_tokens=7, output_tokens=3, calls=1)


def opened(folder):
    return LiveRun(folder, kind="compile", name="Optimizer", identity={"program": "p"})


def lent_of(run, step):
    with context(run_step=step):
        return pickle.loads(pickle.dumps(run.lend()))


def worked(lent, *replies, key=b"k"):
    """Make calls there: `None` fails, others are the replies of equal calls; return what they were told."""
    there, told = LentRun(lent), []
    with context(run_step=lent.step, role="teacher"):
        for reply in replies:
            slot = there.claim(key)
            if slot.place is not None:
                told.append(there.replies.read(slot))
            elif reply is None:
                there.call_failed("m")
            else:
                there.keep(slot, reply, USAGE, model="m", cached=False)
                told.append(reply)
    return pickle.loads(pickle.dumps(there.returned())), told


def test_replies_that_came_back_are_given_again_on_resume(tmp_path):
    run = opened(tmp_path)
    returned, _ = worked(lent_of(run, "s"), ["one"], ["two"])
    run.take_back("s", returned)
    run.close()

    run = opened(tmp_path)
    again, told = worked(lent_of(run, "s"), ["other"], ["other"], ["three"])
    assert told == [["one"], ["two"], ["three"]]
    assert [record["v"] for record in again.records] == [["three"]]
    assert run.spend.total.calls == 2
    run.take_back("s", again)
    assert run.spend.total.calls == 3
    run.close()


def test_steps_are_kept_apart(tmp_path):
    run = opened(tmp_path)
    run.take_back("s", worked(lent_of(run, "s"), ["one"])[0])

    assert worked(lent_of(run, "t"), ["two"])[1] == [["two"]]
    run.close()


def test_equal_work_once_more_in_the_same_run_makes_calls_of_its_own(tmp_path):
    """As in this process: the second time the same is asked in a step it is another call."""
    run = opened(tmp_path)
    run.take_back("s", worked(lent_of(run, "s"), ["one"])[0])
    run.take_back("s", worked(lent_of(run, "s"), ["two"])[0])
    assert run.spend.total.calls == 2
    run.close()

    run = opened(tmp_path)
    assert worked(lent_of(run, "s"), None, None)[1] == [["one"], ["two"]]
    run.close()


def test_replies_of_work_here_and_there_have_the_same_places(tmp_path):
    run = opened(tmp_path)
    run.take_back("s", worked(lent_of(run, "s"), ["one"])[0])
    run.close()

    run = opened(tmp_path)
    with context(run_step="s"):
        slot = run.claim(b"k")
    assert run.replies.read(slot) == ["one"]
    run.close()


def test_spend_is_counted_by_role_with_failed_calls(tmp_path):
    run = opened(tmp_path)
    run.take_back("s", worked(lent_of(run, "s"), ["one"], None)[0])

    assert run.spend.by_role()["teacher"] == USAGE.plus(Usage(calls=1, cost_usd=0.0))
    assert (run.spend.failed, run.spend.replies) == (1, 1)
    run.close()


def test_work_that_an_outage_cut_short_is_sent_again_with_its_replies(tmp_path):
    run = opened(tmp_path)
    there = LentRun(lent_of(run, "s"))

    def fails():
        raise LMServerError("gone", model="m", status=503)

    with context(run_step="s"):
        there.keep(there.claim(b"k"), ["one"], USAGE, model="m", cached=False)
        with pytest.raises(LMServerError):
            there.outages.ask("m", fails)
    returned = pickle.loads(pickle.dumps(there.returned()))
    assert isinstance(returned.away, LMServerError)
    run.take_back("s", returned)

    assert worked(lent_of(run, "s"), ["other"])[1] == [["one"]]
    run.close()


def test_steps_within_the_work_have_replies_of_their_own(tmp_path):
    run = opened(tmp_path)
    there = LentRun(lent_of(run, "s"))
    with context(run_step="s"):
        inner = there.step(["row", 1], lambda: there.claim(b"k"))
        outer = there.claim(b"k")

    assert inner.key != outer.key
    run.close()


def test_what_json_does_not_hold_is_refused_there(tmp_path):
    run = opened(tmp_path)
    there = LentRun(lent_of(run, "s"))
    with pytest.raises(TypeError):
        there.keep(there.claim(b"k"), object(), USAGE, model="m", cached=False)
    run.close()
