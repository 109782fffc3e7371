import asyncio
import functools
import os
import signal
import subprocess
import sys
import textwrap
import threading

import pytest

from telic.context import context, get
from telic.errors import BudgetExceeded, ConfigurationError
from telic.execution import (
    RunInterrupted,
    RunStopped,
    arun_all,
    is_async,
    run_all,
    run_coroutine,
    run_in_thread,
)


def test_results_stand_in_the_order_of_the_items():
    barrier = threading.Barrier(4)

    def work(item):
        barrier.wait(10)
        return item * 2

    outcomes = run_all(range(4), work, num_threads=4)

    assert [o.value for o in outcomes] == [0, 2, 4, 6]
    assert [o.index for o in outcomes] == [0, 1, 2, 3]
    assert all(o.ok and o.seconds >= 0 for o in outcomes)


@pytest.mark.parametrize("num_threads", [1, 8, 512])
def test_each_item_is_done_exactly_once(num_threads):
    done = []
    run_all(range(2000), done.append, num_threads=num_threads)

    assert sorted(done) == list(range(2000))


def test_512_items_are_really_in_flight_at_once():
    barrier = threading.Barrier(512)

    outcomes = run_all(range(512), lambda _: barrier.wait(30), num_threads=512)

    assert all(o.ok for o in outcomes)


def test_1000_coroutines_are_in_flight_at_once_on_one_thread():
    threads = set()

    async def main():
        barrier = asyncio.Barrier(1000)

        async def work(item):
            threads.add(threading.get_ident())
            await barrier.wait()
            return item

        return await arun_all(range(1000), work, num_threads=1000)

    outcomes = asyncio.run(main())

    assert [o.value for o in outcomes] == list(range(1000))
    assert len(threads) == 1


def test_a_coroutine_function_runs_from_plain_code():
    async def work(item):
        await asyncio.sleep(0)
        return item + 1

    assert [o.value for o in run_all([1, 2], work, num_threads=2)] == [2, 3]


def test_failures_are_values_with_their_tracebacks():
    def work(item):
        if item % 2:
            raise ValueError(item)
        return item

    outcomes = run_all(range(4), work, num_threads=2)

    assert [o.ok for o in outcomes] == [True, False, True, False]
    assert isinstance(outcomes[3].error, ValueError)
    assert outcomes[3].error.__traceback__ is not None
    assert "ValueError" in repr(outcomes[3])


@pytest.mark.parametrize("num_threads", [1, 3])
def test_max_errors_ends_the_run_and_keeps_what_was_finished(num_threads):
    def work(item):
        if item >= 5:
            raise KeyError(item)
        return item

    with pytest.raises(RunStopped, match="max_errors") as caught:
        run_all(range(1000), work, num_threads=num_threads, max_errors=2)

    assert caught.value.reason == "errors"
    assert [o.value for o in caught.value.outcomes if o.ok] == [0, 1, 2, 3, 4]
    assert len(caught.value.outcomes) < 20
    assert isinstance(caught.value.__cause__, KeyError)


def test_errors_below_the_limit_do_not_end_the_run():
    outcomes = run_all(range(10), lambda item: 1 // item, num_threads=2, max_errors=2)

    assert sum(not o.ok for o in outcomes) == 1


def test_a_spent_budget_ends_the_run():
    def work(item):
        if item == 3:
            raise BudgetExceeded("5 calls", limit="calls", allowed=5, used=5)
        return item

    with pytest.raises(RunStopped) as caught:
        run_all(range(100), work, num_threads=1)

    assert caught.value.reason == "budget"
    assert len(caught.value.outcomes) == 4


def test_setting_cancel_starts_nothing_more():
    cancel = threading.Event()

    def work(item):
        if item == 10:
            cancel.set()
        return item

    with pytest.raises(RunStopped) as caught:
        run_all(range(100), work, num_threads=1, cancel=cancel)

    assert caught.value.reason == "cancelled"
    assert [o.value for o in caught.value.outcomes] == list(range(11))


def test_on_done_sees_every_outcome_one_at_a_time():
    busy = threading.Lock()
    seen = []

    def on_done(outcome):
        assert busy.acquire(blocking=False)
        seen.append(outcome.index)
        busy.release()

    run_all(range(500), lambda item: item, num_threads=8, on_done=on_done)

    assert sorted(seen) == list(range(500))


def test_an_error_of_on_done_reaches_the_caller():
    def on_done(outcome):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_all(range(5), lambda item: item, num_threads=2, on_done=on_done)


def test_workers_see_the_callers_context_and_not_each_others():
    def work(item):
        before = get("num_threads")
        from telic.context import push

        push("num_threads", item)  # never undone: it must not reach the next item of this thread
        return before

    with context(num_threads=42):
        outcomes = run_all(range(50), work, num_threads=2)

    assert {o.value for o in outcomes} == {42}


def test_tasks_see_the_callers_context_and_not_each_others():
    from telic.context import push

    async def work(item):
        before = get("num_threads")
        push("num_threads", item)
        await asyncio.sleep(0)
        return before

    with context(num_threads=42):
        outcomes = run_all(range(50), work, num_threads=3)

    assert {o.value for o in outcomes} == {42}


def test_no_items_is_no_work():
    assert run_all([], print, num_threads=4) == []
    assert asyncio.run(arun_all([], print, num_threads=4)) == []


@pytest.mark.parametrize("options", [{"num_threads": 0}, {"num_threads": 1, "max_errors": -1}])
def test_impossible_sizes_are_refused(options):
    with pytest.raises(ConfigurationError):
        run_all([1], print, **options)


def test_plain_functions_run_beside_the_loop():
    async def main():
        here = threading.get_ident()
        outcomes = await arun_all(range(5), lambda item: threading.get_ident() != here, num_threads=2)
        return [o.value for o in outcomes]

    assert asyncio.run(main()) == [True] * 5


def test_cancelling_arun_all_cancels_tasks_in_flight():
    cancelled = []

    async def work(item):
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.append(item)
            raise

    async def main():
        task = asyncio.create_task(arun_all(range(10), work, num_threads=3))
        await asyncio.sleep(0.01)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(main())

    assert sorted(cancelled) == [0, 1, 2]


INTERRUPTED = """
    import os, signal, sys, threading
    from telic.execution import RunInterrupted, run_all

    def work(item):
        if item == 7:
            os.kill(os.getpid(), signal.SIGINT)
            threading.Event().wait(0.2)
        return item

    {define}
    try:
        run_all(range(100_000), {work}, num_threads={threads})
    except RunInterrupted as stop:
        print(stop.reason, len(stop.outcomes) >= 7, len(stop.outcomes) < 100_000)
"""


@pytest.mark.parametrize(
    ("threads", "work", "define"),
    [
        (1, "work", ""),
        (2, "slow", "def slow(item):\n        threading.Event().wait(0.001)\n        return work(item)"),
        (
            2,
            "task",
            "async def task(item):\n        import asyncio; await asyncio.sleep(0.001); return work(item)",
        ),
    ],
)
def test_control_c_keeps_what_was_finished(threads, work, define):
    script = textwrap.dedent(INTERRUPTED).replace("{define}", textwrap.dedent("    " + define))
    script = script.format(threads=threads, work=work) if "{" in script else script
    ran = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False
    )

    assert ran.stdout.split() == ["interrupted", "True", "True"], ran.stderr


@pytest.mark.parametrize("num_threads", [1, 3])
def test_an_interrupt_raised_by_the_work_comes_out_with_what_was_finished(num_threads):
    def work(item):
        if item == 7:
            raise KeyboardInterrupt
        return item

    with pytest.raises(KeyboardInterrupt) as caught:
        run_all(range(1000), work, num_threads=num_threads)

    assert isinstance(caught.value, RunInterrupted)
    assert [o.value for o in caught.value.outcomes][:7] == list(range(7))
    assert len(caught.value.outcomes) < 1000


def test_control_c_while_threads_are_still_being_started_stops_them_all():
    started = []

    class Thread(threading.Thread):
        def start(self):
            super().start()
            started.append(self)
            if len(started) == 2:
                signal.raise_signal(signal.SIGINT)

    def work(item):
        threading.Event().wait(0.001)
        return item

    with pytest.MonkeyPatch.context() as patch, pytest.raises(RunInterrupted) as caught:
        patch.setattr(threading, "Thread", Thread)
        run_all(range(100_000), work, num_threads=4)

    assert len(caught.value.outcomes) < 100_000
    assert len(started) == 2
    assert not any(thread.is_alive() for thread in started)


def test_control_c_waits_for_the_items_in_flight():
    interrupted, ended = threading.Event(), []

    def work(item):
        if item == 3:
            os.kill(os.getpid(), signal.SIGINT)
            interrupted.set()
        elif item in (0, 1, 2):
            interrupted.wait(10)
            threading.Event().wait(0.2)
        ended.append(item)
        return item

    with pytest.raises(RunInterrupted) as caught:
        run_all(range(100), work, num_threads=4)

    assert [o.value for o in caught.value.outcomes][:4] == [0, 1, 2, 3]


def test_control_c_is_heard_however_early_it_comes():
    def work(item):
        if item == 10:
            os.kill(os.getpid(), signal.SIGINT)
        elif item > 10:
            threading.Event().wait(0.001)
        return item

    for _ in range(10):
        with pytest.raises(RunInterrupted) as caught:
            run_all(range(30_000), work, num_threads=4)
        assert len(caught.value.outcomes) < 30_000


def test_control_c_during_the_last_items_is_not_swallowed():
    def work(item):
        if item == 3:
            os.kill(os.getpid(), signal.SIGINT)
        return item

    with pytest.raises(RunInterrupted) as caught:
        run_all(range(4), work, num_threads=2)

    assert [o.value for o in caught.value.outcomes] == [0, 1, 2, 3]


def test_control_c_does_not_wait_for_an_item_that_stalls(monkeypatch):
    monkeypatch.setattr("telic.execution._map._GRACE_S", 0.05)
    never = threading.Event()

    def work(item):
        if item == 2:
            os.kill(os.getpid(), signal.SIGINT)
            never.wait(60)
        return item

    with pytest.raises(RunInterrupted) as caught:
        run_all(range(1000), work, num_threads=2)
    never.set()

    assert [o.value for o in caught.value.outcomes][:2] == [0, 1]


def test_an_interrupt_of_an_inner_run_is_no_failure_of_the_outer_ones_item():
    def inner(item):
        if item == 3:
            raise KeyboardInterrupt
        return item

    with pytest.raises(RunInterrupted) as caught:
        run_all([1, 2], lambda _: run_all(range(5), inner, num_threads=1), num_threads=1)

    assert (caught.value.outcomes, caught.value.total) == ([], 2)


def test_async_functions_objects_and_partials_are_told_from_plain_ones():
    async def coroutine(item): ...

    class Callable:
        async def __call__(self, item): ...

    assert is_async(coroutine)
    assert is_async(Callable())
    assert is_async(functools.partial(coroutine, 1))
    assert not is_async(len)
    assert not is_async(Callable)


def test_a_coroutine_runs_from_plain_code_inside_a_running_loop():
    async def inner():
        await asyncio.sleep(0)
        return get("num_threads")

    async def outer():
        with context(num_threads=17):
            return run_coroutine(inner())

    assert asyncio.run(outer()) == 17


def test_errors_of_a_coroutine_reach_the_caller_inside_a_running_loop():
    async def inner():
        raise LookupError("gone")

    async def outer():
        return run_coroutine(inner())

    with pytest.raises(LookupError, match="gone"):
        asyncio.run(outer())


def test_a_hundred_plain_calls_that_wait_for_lms_run_at_once():
    together = threading.Barrier(100, timeout=30)

    async def main():
        return await asyncio.gather(*(run_in_thread(together.wait) for _ in range(100)))

    assert sorted(asyncio.run(main())) == list(range(100))


def test_nested_worker_threads_do_not_wait_for_each_other():
    def outer(_):
        return run_coroutine(run_in_thread(lambda: 1))

    async def main():
        return await asyncio.gather(*(run_in_thread(outer, n) for n in range(16)))

    with context(async_max_workers=2):
        assert asyncio.run(main()) == [1] * 16


def test_blocking_code_that_stalls_holds_up_neither_a_cancellation_nor_the_exit():
    script = """
    import asyncio, threading
    from telic.execution import run_in_thread

    async def main():
        started = threading.Event()
        def stall():
            started.set()
            threading.Event().wait(600)
        task = asyncio.create_task(run_in_thread(stall))
        await run_in_thread(started.wait, 10)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        print("cancelled", task.cancelled())

    asyncio.run(main())
    """
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )

    assert (ran.stdout.split(), ran.stderr) == (["cancelled", "True"], "")


def test_worker_threads_are_started_as_needed_and_end_when_idle(monkeypatch):
    monkeypatch.setattr("telic.execution._workers._IDLE_S", 0.01)

    async def main(count, until):
        await asyncio.gather(*(run_in_thread(until) for _ in range(count)))

    def workers():
        return {thread for thread in threading.enumerate() if thread.name == "telic-worker"}

    before = workers()
    barrier = threading.Barrier(40)
    with context(async_max_workers=40):
        asyncio.run(main(40, lambda: barrier.wait(10)))
        asyncio.run(main(100, lambda: None))
        for thread in workers() - before:
            thread.join(10)
        assert not workers() - before
        asyncio.run(main(40, lambda: barrier.wait(10)))


def test_what_a_worker_thread_raises_reaches_the_caller():
    def fail(error):
        raise error

    for error, kind in ((KeyError("x"), KeyError), (StopIteration(), RuntimeError)):
        with pytest.raises(kind):
            asyncio.run(run_in_thread(fail, error))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_a_forked_child_has_worker_threads_of_its_own():
    script = """
    import asyncio, os
    from telic.execution import run_in_thread

    assert asyncio.run(run_in_thread(lambda: 1)) == 1
    child = os.fork()
    if child == 0:
        os._exit(0 if asyncio.run(run_in_thread(lambda: 2)) == 2 else 1)
    print(os.waitpid(child, 0)[1])
    """
    ran = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )

    assert ran.stdout.strip() == "0"
