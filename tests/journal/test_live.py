import asyncio
import socket
import subprocess
import sys
import threading

import pytest

import telic
from telic.data import Usage
from telic.errors import JournalError, RunDivergedError, RunLockedError, RunMismatchError
from telic.journal import LiveRun, Run

IDENTITY = {"program": "p", "data": "d"}


def opened(folder, **changes):
    settings = {"kind": "compile", "name": "Mine", "identity": IDENTITY, **changes}
    return LiveRun(folder / "run", **settings)


class Count:
    def __init__(self):
        self.n = 0

    def __call__(self):
        self.n += 1
        return {"n": self.n, "row": telic.Example(a=1, b=[2.5]).with_inputs("a")}


def test_a_step_is_worked_on_once_here_and_after_a_resume(tmp_path):
    work = Count()
    run = opened(tmp_path)
    first = run.step(["a", 1], work)
    assert run.step(["a", 1], work) == first
    run.step(["a", 2], work)
    run.close()

    run = opened(tmp_path)
    again = run.step(["a", 1], work)
    run.close()

    assert again == first
    assert again["row"].inputs().toDict() == {"a": 1}
    assert work.n == 2


def test_a_step_that_fails_or_has_no_json_form_is_worked_on_again(tmp_path):
    run = opened(tmp_path)
    with pytest.raises(KeyError):
        run.step("fails", lambda: {}["x"])
    assert run.step("fails", lambda: 1) == 1
    odd = [object(), object()]
    assert run.step("odd", lambda: odd[0]) is odd[0]
    assert run.step("odd", lambda: odd[1]) is odd[1]
    run.close()


def test_steps_of_tasks_are_steps(tmp_path):
    async def both():
        async def work():
            return 7

        async def never():
            raise AssertionError

        return await run.astep("a", work), await run.astep("a", never)

    run = opened(tmp_path)
    assert asyncio.run(both()) == (7, 7)
    run.close()


def test_the_same_decision_again_is_checked_and_not_written(tmp_path):
    run = opened(tmp_path)
    run.decide("winner", [1, "a"])
    run.close()
    size = (tmp_path / "run" / "journal.jsonl").stat().st_size

    run = opened(tmp_path)
    run.decide("winner", [1, "a"])
    with pytest.raises(RunDivergedError, match=r"'winner'.*another run_dir") as caught:
        run.decide("winner", [2, "a"])
    run.close()

    assert caught.value.step == "winner"
    assert (tmp_path / "run" / "journal.jsonl").stat().st_size - size < 200  # that it was opened


def test_replies_come_back_in_their_order_by_step(tmp_path):
    def ask(run, step, number):
        found = []

        def work():
            for _ in range(number):
                slot = run.claim(b"same question")
                if slot.place is None:
                    run.keep(slot, [step, len(found)], Usage(1, 1, calls=1), model="m", cached=False)
                    found.append(None)
                else:
                    found.append(run.replies.read(slot))
            raise KeyError

        with pytest.raises(KeyError):
            run.step(step, work)
        return found

    run = opened(tmp_path)
    assert ask(run, "one", 2) == [None, None]
    assert ask(run, "two", 1) == [None]
    run.close()

    run = opened(tmp_path)
    assert ask(run, "two", 2) == [["two", 0], None]
    assert ask(run, "one", 2) == [["one", 0], ["one", 1]]
    assert run.spend.total == Usage(4, 4, calls=4)
    run.close()


def test_what_is_not_the_same_is_named(tmp_path):
    opened(tmp_path).close()

    for change, named in [
        ({"identity": {"program": "q", "data": "d"}}, ["program"]),
        ({"identity": {"program": "p"}}, ["data"]),
        ({"name": "Other"}, ["optimizer"]),
        ({"kind": "evaluate"}, ["kind"]),
    ]:
        with pytest.raises(RunMismatchError, match=f"{named[0]} is not what.*another run_dir") as caught:
            opened(tmp_path, **change)
        assert list(caught.value.changed) == named
    opened(tmp_path).close()  # refused openings leave no lock behind


def test_a_journal_of_another_format_is_refused(tmp_path):
    from telic.journal._lines import encode

    (tmp_path / "run").mkdir()
    header = {
        "e": "run",
        "format": 99,
        "kind": "compile",
        "name": "Mine",
        "identity": IDENTITY,
        "about": {},
        "at": 0,
    }
    (tmp_path / "run" / "journal.jsonl").write_bytes(encode(header))

    with pytest.raises(RunMismatchError, match="format 99"):
        opened(tmp_path)


def test_a_second_opening_in_this_process_is_refused_and_names_it(tmp_path):
    import os

    run = opened(tmp_path)
    with pytest.raises(RunLockedError, match="another run_dir") as caught:
        opened(tmp_path)
    assert (caught.value.pid, caught.value.host) == (os.getpid(), socket.gethostname())
    run.close()
    run.close()
    opened(tmp_path).close()


def test_a_process_that_was_killed_leaves_no_lock(tmp_path):
    code = (
        "import sys, time; from pathlib import Path; from telic.journal import LiveRun\n"
        "LiveRun(Path(sys.argv[1]), kind='compile', name='Mine', identity={'program': 'p', 'data': 'd'})\n"
        "print('open', flush=True); time.sleep(60)"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "run")], stdout=subprocess.PIPE, text=True
    )
    assert child.stdout.readline() == "open\n"
    with pytest.raises(RunLockedError) as caught:
        opened(tmp_path)
    assert caught.value.pid == child.pid
    assert Run(tmp_path / "run").status == "running"
    assert Run(tmp_path / "run").holder["pid"] == child.pid
    child.kill()
    child.wait()
    child.stdout.close()

    assert Run(tmp_path / "run").status == "killed"
    opened(tmp_path).close()


def test_a_folder_with_other_things_in_it_is_left_alone(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.txt").write_text("mine")

    with pytest.raises(JournalError, match="has other files in it"):
        opened(tmp_path)

    assert [path.name for path in (tmp_path / "run").iterdir()] == ["thesis.txt"]


def test_a_file_in_the_place_of_the_folder_is_an_error(tmp_path):
    (tmp_path / "run").write_text("")

    with pytest.raises(JournalError, match="cannot be used"):
        opened(tmp_path)


def test_the_clock_goes_on_over_a_resume(tmp_path):
    run = opened(tmp_path)
    run._started -= 100
    run.note("later")
    run.close()

    run = opened(tmp_path)
    assert run.seconds >= 100
    run.close()
    assert Run(tmp_path / "run").seconds >= 100


def test_many_threads_take_steps_at_once(tmp_path):
    run = opened(tmp_path)

    def work(k):
        for n in range(20):
            assert run.step([k, n], lambda: [k, n]) == [k, n]

    threads = [threading.Thread(target=work, args=(k,)) for k in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    run.close()

    assert Run(tmp_path / "run").steps == 320
