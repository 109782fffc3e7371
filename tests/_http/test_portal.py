from __future__ import annotations

import asyncio
import gc
import os
import signal
import subprocess
import sys
import threading
import weakref

import pytest

from telic._http import Portal, portal
from telic.errors import ConfigurationError


@pytest.fixture
def own():
    made = Portal()
    yield made
    made.close()


async def add(a, b):
    await asyncio.sleep(0)
    return a + b


async def fail(error):
    raise error


def test_a_call_returns_its_result(own):
    assert own.run(add, 1, 2) == 3


def test_a_call_raises_its_own_error(own):
    with pytest.raises(KeyError, match="x"):
        own.run(fail, KeyError("x"))


def test_a_lone_caller_drives_the_loop_in_its_own_thread(own):
    async def where():
        return threading.get_ident()

    assert own.run(where) == threading.get_ident()


def test_a_caller_whose_thread_runs_a_loop_is_served_by_the_daemon_thread(own):
    async def where():
        return threading.get_ident()

    async def main():
        return own.run(where)  # a sync call inside async code

    assert asyncio.run(main()) != threading.get_ident()


def test_another_loop_awaits_results_and_errors(own):
    async def main():
        with pytest.raises(KeyError):
            await own.arun(fail, KeyError("x"))
        return await asyncio.gather(*(own.arun(add, i, 1) for i in range(500)))

    assert asyncio.run(main()) == list(range(1, 501))


def test_arun_on_the_loop_itself_runs_directly(own):
    async def outer():
        return await own.arun(add, 2, 3)

    assert own.run(outer) == 5


def test_run_within_the_loop_is_refused_instead_of_hanging(own):
    async def outer():
        return own.run(add, 1, 1)

    with pytest.raises(RuntimeError, match="arun"):
        own.run(outer)


def test_two_hundred_threads_get_their_own_results(own):
    results = {}

    def work(i):
        results[i] = [own.run(add, i, j) for j in range(10)]

    threads = [threading.Thread(target=work, args=(i,)) for i in range(200)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert results == {i: [i + j for j in range(10)] for i in range(200)}


def test_a_driver_that_is_done_leaves_the_others_to_the_daemon_thread(own):
    gate = threading.Event()
    entered = threading.Event()
    release = []

    async def first():
        while not release:
            await asyncio.sleep(0.001)
        return "first"

    async def second():
        entered.set()
        while not gate.is_set():
            await asyncio.sleep(0.001)
        return "second"

    results = []
    one = threading.Thread(target=lambda: results.append(own.run(first)))
    one.start()
    two = threading.Thread(target=lambda: results.append(own.run(second)))
    two.start()
    assert entered.wait(5)
    release.append(True)
    one.join(5)
    assert results == ["first"]
    gate.set()
    two.join(5)
    assert results == ["first", "second"]


def test_cancelling_the_awaiting_task_cancels_the_coroutine(own):
    started, ended = threading.Event(), threading.Event()

    async def forever():
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async def main():
        task = asyncio.ensure_future(own.arun(forever))
        await asyncio.get_running_loop().run_in_executor(None, started.wait)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert ended.wait(5)


def test_a_call_that_is_cancelled_before_it_began_leaves_nothing_behind(own):
    async def forever():
        await asyncio.Event().wait()

    async def main():
        for _ in range(50):
            tasks = [asyncio.ensure_future(own.arun(forever)) for _ in range(10)]
            await asyncio.sleep(0)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(main())

    async def rest():
        while len(own._running) > 1:  # this call itself
            await asyncio.sleep(0.001)
        return "rest"

    assert own.run(asyncio.wait_for, rest(), 5) == "rest"


class Kept:
    """What a call returns."""


def late_loop(own, cancelled):
    """Run a loop that ends before the result of its call is handed over; return whether it is still there."""
    begun, release = threading.Event(), threading.Event()

    async def answer():
        begun.set()
        await asyncio.to_thread(release.wait)
        return Kept()

    async def main():
        task = asyncio.create_task(own.arun(answer))
        await asyncio.to_thread(begun.wait)
        if cancelled:
            task.cancel()
            await asyncio.wait([task])
        else:
            task._log_destroy_pending = False

    loop = asyncio.new_event_loop()
    loop.run_until_complete(main())
    release.set()
    while own._running:  # then the result is in the outbox of a loop that does not run
        own.run(asyncio.sleep, 0)
    loop.close()
    return weakref.ref(loop)


def test_a_result_of_a_call_that_was_cancelled_keeps_nothing(own):
    loop = late_loop(own, cancelled=True)
    gc.collect()

    assert loop() is None


def test_a_result_that_nobody_takes_is_dropped_with_the_next_loop(own):
    loop = late_loop(own, cancelled=False)
    asyncio.run(own.arun(add, 1, 2))
    gc.collect()

    assert loop() is None
    assert [one for one in gc.get_objects() if isinstance(one, Kept)] == []


@pytest.mark.skipif(not hasattr(signal, "pthread_kill"), reason="needs POSIX signals")
@pytest.mark.parametrize("driven_by_other", [False, True])
def test_ctrl_c_cancels_the_coroutine_and_raises(own, driven_by_other):
    ended = threading.Event()
    main = threading.main_thread().ident
    stop = threading.Event()

    async def until_stopped():
        while not stop.is_set():
            await asyncio.sleep(0.001)

    async def forever():
        try:
            threading.Thread(target=signal.pthread_kill, args=(main, signal.SIGINT)).start()
            await asyncio.Event().wait()
        finally:
            ended.set()

    other = threading.Thread(target=own.run, args=(until_stopped,))
    if driven_by_other:
        other.start()
        while not own._running:
            stop.wait(0.001)
    with pytest.raises(KeyboardInterrupt):
        own.run(forever)
    assert ended.wait(5)
    stop.set()
    if driven_by_other:
        other.join(5)
    assert own.run(add, 1, 1) == 2  # and it works on


def test_a_closed_portal_starts_anew(own):
    assert own.run(add, 1, 1) == 2
    own.close()
    own.close()
    assert own.run(add, 1, 2) == 3


def test_the_callers_context_holds_in_the_coroutine(own):
    import contextvars

    variable = contextvars.ContextVar("variable", default="outside")

    async def read():
        return variable.get()

    variable.set("inside")
    assert own.run(read) == "inside"

    async def main():
        return await own.arun(read)

    assert asyncio.run(main()) == "inside"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_forked_child_starts_its_own_loop():
    assert portal.run(add, 1, 1) == 2
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.write(write, str(portal.run(add, 20, 22)).encode())
        finally:
            os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as pipe:
        assert pipe.read() == b"42"
    os.waitpid(pid, 0)
    assert portal.run(add, 1, 1) == 2


def test_nothing_is_left_or_warned_of_at_exit():
    code = (
        "import asyncio\n"
        "from telic._http import portal, Transport, Endpoint, HttpRequest\n"
        "from telic.testing import FaultServer\n"
        "with FaultServer() as server:\n"
        "    request = HttpRequest(Endpoint(server.host + '/v1/chat/completions'), b'{}')\n"
        "    transport = Transport()\n"
        "    async def go(): return (await transport.send(request, float('inf'))).status\n"
        "    assert portal.run(go) == 200\n"
        "    async def main(): return await portal.arun(go)\n"
        "    assert asyncio.run(main()) == 200\n"
        "    async def forever(): await asyncio.Event().wait()\n"
        "    import threading\n"
        "    threading.Thread(target=lambda: portal.run(forever), daemon=True).start()\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, timeout=30
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_transport_loads_no_asyncio_before_its_first_request():
    code = "import sys, telic._http; print([m for m in ('asyncio', 'ssl', 'httptools') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30)
    assert done.stdout.strip() == "[]", done.stderr


def test_awaiting_outside_of_asyncio_says_what_to_do():
    async def nothing():
        return None

    waiting = portal.arun(nothing)
    with pytest.raises(ConfigurationError, match="under trio call the program from a thread"):
        waiting.send(None)
