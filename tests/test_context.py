import asyncio
import contextvars
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

import telic
from telic.context import configure, context, copy_context, get, overrides, pop, push, settings
from telic.errors import ConfigurationError


def test_the_roots_name_opens_a_block_too():
    with telic.context(num_threads=2):
        assert telic.settings.num_threads == 2


def test_configure_is_seen_at_once_from_every_thread():
    seen = []
    thread = threading.Thread(target=lambda: (configure(num_threads=3), seen.append(get("num_threads"))))
    thread.start()
    thread.join()

    assert seen == [3]
    assert get("num_threads") == 3


def test_configure_inside_a_block_is_seen_in_it_unless_overridden():
    with context(max_errors=1):
        configure(num_threads=5, max_errors=9)

        assert get("num_threads") == 5
        assert get("max_errors") == 1
    assert get("max_errors") == 9


def test_blocks_nest_and_end_after_errors():
    with pytest.raises(RuntimeError), context(num_threads=2):
        with context(num_threads=4, max_errors=1):
            assert (get("num_threads"), get("max_errors")) == (4, 1)
        assert get("num_threads") == 2
        raise RuntimeError
    assert not overrides()


def test_unknown_settings_are_refused_with_a_suggestion_and_change_nothing():
    with pytest.raises(ConfigurationError, match="did you mean 'num_threads'"):
        configure(num_thread=3, max_errors=77)
    with pytest.raises(ConfigurationError), context(num_thread=3):
        pass
    assert get("max_errors") != 77


def test_tasks_do_not_see_each_others_blocks():
    async def one(number, barrier):
        with context(num_threads=number):
            await barrier.wait()
            return get("num_threads")

    async def main():
        barrier = asyncio.Barrier(20)
        return await asyncio.gather(*(one(n, barrier) for n in range(1, 21)))

    assert asyncio.run(main()) == list(range(1, 21))


def test_plain_threads_start_without_overrides_and_copy_context_carries_them():
    with context(num_threads=3), ThreadPoolExecutor(2) as pool:
        bare = pool.submit(get, "num_threads").result()
        carried = [pool.submit(copy_context(get), "num_threads").result() for _ in range(5)]

    assert bare != 3
    assert carried == [3] * 5


def test_what_a_carried_function_sets_stays_in_its_call():
    variable = contextvars.ContextVar("variable", default=0)
    add = copy_context(lambda: (variable.set(variable.get() + 1), variable.get())[1])

    assert [add(), add()] == [1, 1]


def test_copied_context_is_the_one_at_the_time_of_copying():
    with context(num_threads=3):
        carried = copy_context(get)
    with context(num_threads=4):
        assert carried("num_threads") == 3


def test_settings_read_write_and_register_as_attributes():
    settings.register("colour_of_this_test", "red")
    settings.register("colour_of_this_test", "blue")
    settings.num_threads = 6

    assert (settings.colour_of_this_test, settings.num_threads, settings["num_threads"]) == ("red", 6, 6)
    assert "colour_of_this_test" in settings
    assert settings.get("nothing", 1) == 1
    assert "num_threads=6" in repr(settings)
    with pytest.raises(AttributeError, match="no setting is called"):
        _ = settings.num_thread


def test_settings_context_is_the_same_block():
    with settings.context(num_threads=7):
        assert settings.copy()["num_threads"] == 7


def test_push_and_pop_lay_one_override_over_the_others():
    with context(max_errors=1):
        token = push("num_threads", 2)
        assert (get("num_threads"), get("max_errors")) == (2, 1)
        pop(token)
        assert dict(overrides()) == {"max_errors": 1}


def test_a_block_of_a_generator_may_end_in_another_context_than_it_began():
    def generator():
        with context(num_threads=3):
            yield get("num_threads")
            yield get("num_threads")

    steps = generator()
    assert contextvars.copy_context().run(next, steps) == 3
    contextvars.copy_context().run(steps.close)
    assert get("num_threads") == 16
