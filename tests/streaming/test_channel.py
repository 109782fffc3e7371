import asyncio
import threading

import pytest

from telic._cancel import Cancelled, CancelScope
from telic.streaming._channel import TaskChannel, ThreadChannel


def test_a_thread_reads_what_others_put_in_their_order():
    channel = ThreadChannel(room=8)

    def produce(name):
        for n in range(500):
            channel.wait_for_room()
            channel.put((name, n))

    threads = [threading.Thread(target=produce, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    seen = [channel.get() for _ in range(2000)]
    for thread in threads:
        thread.join()
    channel.end()

    assert channel.get() is channel.get() is None
    for name in range(4):
        assert [n for who, n in seen if who == name] == list(range(500))


def test_a_full_channel_holds_back_and_no_more_than_one_a_producer_gets_in():
    channel = ThreadChannel(room=4)
    at_most = [0]

    def produce():
        for n in range(300):
            channel.wait_for_room()
            channel.put(n)
            at_most[0] = max(at_most[0], channel._events.qsize())

    threads = [threading.Thread(target=produce) for _ in range(3)]
    for thread in threads:
        thread.start()
    for _ in range(900):
        channel.get()
    for thread in threads:
        thread.join(5)

    assert at_most[0] <= 4 + 3


def test_producers_that_wait_are_let_go_when_the_reader_leaves():
    channel = ThreadChannel(room=1)
    ended = []
    channel.put(1)

    def produce():
        try:
            channel.wait_for_room()
        except Cancelled:
            ended.append(True)

    threads = [threading.Thread(target=produce) for _ in range(3)]
    for thread in threads:
        thread.start()
    channel.leave()
    for thread in threads:
        thread.join(5)

    assert ended == [True] * 3
    with pytest.raises(Cancelled):
        channel.put(2)
    assert channel.get() is None


def test_a_task_reads_what_tasks_and_threads_put():
    async def main():
        channel = TaskChannel(room=8)

        async def produce(name):
            for n in range(300):
                await channel.await_room()
                channel.put((name, n))
                if n % 50 == 0:
                    await asyncio.sleep(0)

        def produce_in_thread(name):
            for n in range(300):
                channel.wait_for_room()
                channel.put((name, n))

        work = [asyncio.create_task(produce(name)) for name in range(3)]
        work += [asyncio.create_task(asyncio.to_thread(produce_in_thread, name)) for name in range(3, 6)]
        seen = [await channel.get() for _ in range(1800)]
        await asyncio.gather(*work)
        channel.end()
        assert await channel.get() is None
        return seen

    seen = asyncio.run(main())
    for name in range(6):
        assert [n for who, n in seen if who == name] == list(range(300))


def test_tasks_and_threads_that_wait_are_let_go_when_the_reader_leaves():
    async def main():
        channel = TaskChannel(room=1)
        channel.put(1)
        waiting = asyncio.create_task(channel.await_room())
        thread = asyncio.create_task(asyncio.to_thread(channel.wait_for_room))
        await asyncio.sleep(0.01)
        assert not waiting.done()
        channel.leave()
        await waiting
        with pytest.raises(Cancelled):
            await thread
        with pytest.raises(Cancelled):
            channel.put(2)
        return await channel.get()

    assert asyncio.run(main()) is None


def test_waiting_for_room_in_the_readers_own_thread_would_never_end_and_is_left_out():
    async def main():
        channel = TaskChannel(room=1)
        channel.put(1)
        channel.put(2)
        channel.wait_for_room()
        channel.hand_over()
        return [await channel.get(), await channel.get()]

    assert asyncio.run(main()) == [1, 2]


def test_a_loop_that_is_closed_ends_those_who_put():
    channels = []

    async def main():
        channels.append(TaskChannel())

    asyncio.run(main())
    raised = []

    def put():
        try:
            channels[0].put(1)
        except Cancelled:
            raised.append(True)

    thread = threading.Thread(target=put)
    thread.start()
    thread.join()
    assert raised == [True]


def test_handing_over_lets_the_reader_take_what_is_there():
    channel = ThreadChannel()
    got = []
    reader = threading.Thread(target=lambda: got.append(channel.get()))
    reader.start()
    channel.put("first")
    channel.hand_over()
    reader.join(5)

    channel.hand_over()  # nothing is there: nobody is waited for
    assert got == ["first"]


# Scopes


def test_a_scope_stops_what_was_added_and_lets_nothing_in_after():
    scope, stopped = CancelScope(), []
    scope.check()
    scope.add("a", lambda: stopped.append("a"))
    scope.add("b", lambda: stopped.append("b"))
    scope.discard("a")
    scope.discard("never")

    scope.cancel()
    scope.cancel()

    assert stopped == ["b"]
    with pytest.raises(Cancelled):
        scope.add("c", lambda: None)
    with pytest.raises(Cancelled):
        scope.check()


def test_what_is_called_off_is_no_exception():
    assert not issubclass(Cancelled, Exception)
