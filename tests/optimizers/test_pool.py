import os
import signal
import threading

import pytest

from telic.context import context, get
from telic.errors import ConfigurationError
from telic.optimizers._pool import Source, Standing, Task, run_pool


class Listed(Source):
    """Work from a list; `limit` is how many may be in flight."""

    def __init__(self, works, limit=1000):
        self.works = list(works)
        self.results = {}
        self.errors = {}
        self.started = 0
        self.in_flight = 0
        self.limit = limit
        self.closed = False

    @property
    def finished(self):
        return self.closed

    def take(self):
        if self.started == len(self.works) or self.in_flight == self.limit:
            return None
        index = self.started
        self.started += 1
        self.in_flight += 1

        def done(value, error):
            self.in_flight -= 1
            self.results[index] = value
            if error is not None:
                self.errors[index] = error

        return Task(self.works[index], done)

    def standing(self):
        return Standing(len(self.results), len(self.works))


@pytest.mark.parametrize("num_threads", [1, 2, 32])
def test_all_work_is_done_and_told_of(num_threads):
    source = Listed([lambda i=i: i * 2 for i in range(200)])

    run_pool(source, num_threads)

    assert source.results == {i: i * 2 for i in range(200)}


def test_as_many_threads_work_at_once_as_were_asked_for_and_no_more():
    barrier, peak, now, lock = threading.Barrier(8, timeout=30), [0], [0], threading.Lock()

    def work():
        with lock:
            now[0] += 1
            peak[0] = max(peak[0], now[0])
        barrier.wait()
        with lock:
            now[0] -= 1

    run_pool(Listed([work] * 64), 8)

    assert peak[0] == 8


def test_no_more_threads_are_used_than_there_is_work_for():
    seen = set()

    run_pool(Listed([lambda: seen.add(threading.get_ident())] * 50, limit=2), 16)

    assert len(seen) <= 3


@pytest.mark.parametrize("num_threads", [1, 8])
def test_a_failure_is_a_result(num_threads):
    source = Listed([lambda: 1 / 0, lambda: 5])

    run_pool(source, num_threads)

    assert isinstance(source.errors[0], ZeroDivisionError)
    assert source.results[1] == 5


@pytest.mark.parametrize("num_threads", [1, 8])
def test_what_a_source_raises_ends_the_run(num_threads):
    class Strict(Listed):
        def take(self):
            task = super().take()
            if task is None:
                return None

            def done(value, error):
                task.done(value, error)
                if error is not None:
                    raise error

            return Task(task.work, done)

    source = Strict([lambda: 1 / 0] + [lambda: 1] * 1000, limit=4)

    with pytest.raises(ZeroDivisionError):
        run_pool(source, num_threads)

    assert source.started < 1000


@pytest.mark.parametrize("num_threads", [1, 8])
def test_an_interrupt_in_the_work_reaches_the_caller(num_threads):
    def interrupt():
        raise KeyboardInterrupt

    source = Listed([interrupt] + [lambda: 1] * 1000, limit=4)

    with pytest.raises(KeyboardInterrupt):
        run_pool(source, num_threads)


def test_a_finished_source_waits_for_work_in_flight():
    released = threading.Event()

    class Closing(Listed):
        def take(self):
            if self.started == 2:
                return None
            task = super().take()
            if self.started == 2:
                self.closed = True
                released.set()
            return task

    def slow():
        assert released.wait(30)
        return "slow"

    source = Closing([slow, lambda: "quick"])

    run_pool(source, 2)

    assert source.results == {0: "slow", 1: "quick"}


def test_work_sees_the_callers_settings_and_leaves_none_behind():
    from telic.context import push

    def work():
        before = get("max_retries")
        push("max_retries", 99)
        return before

    source = Listed([work] * 20)
    with context(max_retries=5):
        run_pool(source, 2)

    assert set(source.results.values()) == {5}


def test_no_threads_are_refused():
    with pytest.raises(ConfigurationError, match="num_threads"):
        run_pool(Listed([]), 0)


def test_ctrl_c_reaches_the_caller_while_it_waits_for_its_threads():
    source = Listed([lambda: os.kill(os.getpid(), signal.SIGINT), *[lambda: 1] * 10_000], limit=4)

    with pytest.raises(KeyboardInterrupt):
        run_pool(source, 4)

    assert source.results
    assert source.in_flight == 0


def test_ctrl_c_does_not_wait_for_work_that_stalls(monkeypatch):
    monkeypatch.setattr("telic.optimizers._pool._GRACE_S", 0.05)
    never, ended = threading.Event(), threading.Event()

    def stalled():
        os.kill(os.getpid(), signal.SIGINT)
        never.wait(60)
        ended.set()

    source = Listed([lambda: 1, stalled, *[lambda: 1] * 10_000], limit=4)
    with pytest.raises(KeyboardInterrupt):
        run_pool(source, 4)
    told = len(source.results)
    never.set()
    assert ended.wait(10)

    assert told == len(source.results) < 10_000


def test_who_watches_is_told_after_each_result():
    told = []

    run_pool(Listed([lambda: 1] * 20), 4, told.append)

    assert [standing.done for standing in told] == list(range(1, 21))
