"""The response cache on real files: what is kept, what it survives, what it refuses."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import warnings

import pytest

from telic.context import context
from telic.data import Completion, Request, Response, Usage
from telic.errors import CacheMissError, ConfigurationError
from telic.lm import LM, Cache, CacheWarning, cache, configure_cache
from telic.lm.caching._codec import decode, encode_response
from telic.lm.caching._key import identity, request_key
from telic.lm.caching._memory import MemoryTier
from telic.lm.caching._store import APPLICATION_ID, FILE_NAME, DiskStore

ANSWER = Response((Completion("Paris"),), Usage(10, 2, 0, 0, 0.5, 1), "m", "id")


def ask(text, **kw):
    return Request([{"role": "user", "content": text}], **kw)


# keys


def test_equal_requests_have_equal_keys_however_they_were_made():
    one = identity("http://a", "m", "chat")
    first = Request([{"role": "user", "content": "x"}], {"a": 1, "b": 2})
    second = Request(({"content": "x", "role": "user"},), {"b": 2, "a": 1})
    assert request_key(one, first) == request_key(one, second)


def test_the_key_does_not_depend_on_how_long_the_prefix_is():
    one = identity("http://a", "m", "chat")
    messages = [
        {"role": "system", "content": "s"},
        {"role": "user", "content": "d"},
        {"role": "user", "content": "x"},
    ]
    keys = {request_key(one, Request(messages, prefix=prefix)) for prefix in (0, 1, 2, 3, 2, 1)}
    assert len(keys) == 1


def test_a_kept_prefix_is_not_mistaken_for_another_one():
    one = identity("http://a", "m", "chat")
    keys = set()
    for i in range(500):  # more than are kept; objects die and their ids come again
        messages = [{"role": "system", "content": f"s{i}"}, {"role": "user", "content": "x"}]
        keys.add(request_key(one, Request(messages, prefix=1)))
        assert request_key(one, Request(messages, prefix=1)) == request_key(one, Request(messages))
    assert len(keys) == 500


@pytest.mark.parametrize(
    "other",
    [
        (("http://b", "m", "chat"), {}),
        (("http://a", "n", "chat"), {}),
        (("http://a", "m", "text"), {}),
        (("http://a", "m", "chat"), {"sample": 1}),
        (("http://a", "m", "chat"), {"options": {"temperature": 1}}),
    ],
)
def test_whatever_changes_the_answer_changes_the_key(other):
    base = request_key(identity("http://a", "m", "chat"), ask("x"))
    who, kw = other
    assert request_key(identity(*who), ask("x", **kw)) != base


def test_values_that_json_has_no_form_for_still_have_keys():
    one = identity("", "m", "chat")
    assert request_key(one, ask("x", options={"seed": 2**70})) != request_key(
        one, ask("x", options={"seed": 2**71})
    )


# codec


def test_a_response_comes_back_as_it_was_and_marked():
    calls = ({"id": "1", "name": "f", "arguments": {"x": [1]}},)
    whole = Response(
        (Completion("é" * 400, "length", "why", calls, {"a": 1}),), Usage(1, 2, 3, 4, None, 1), "m", None
    )
    assert decode(encode_response(whole)) == whole._replace(cached=True)


def test_long_answers_are_squeezed():
    assert len(encode_response(Response((Completion("word " * 200),)))) < 250


# memory


def test_memory_keeps_what_is_used_and_drops_the_rest():
    tier = MemoryTier(max_bytes=100_000)
    for i in range(1000):
        tier.put(b"%d" % i, i, 500)
        assert tier.get(b"0") == 0
    assert tier.get(b"1") is None
    assert len(tier) * 660 <= 100_000


def test_memory_bounds_entries_and_single_sizes():
    tier = MemoryTier(max_bytes=1000, max_entries=10)
    tier.put(b"big", "x", 900)
    assert tier.get(b"big") is None
    for i in range(100):
        tier.put(b"%d" % i, i, 1)
    assert 1 <= len(tier) <= 12


def test_a_hit_shares_nothing_that_can_be_changed():
    store = Cache(None)
    calls = ({"id": "1", "name": "f", "arguments": {"x": 1}},)
    store.put(b"k" * 16, Response((Completion("", tool_calls=calls),)))
    store.get(b"k" * 16).completions[0].tool_calls[0]["arguments"]["x"] = 2
    assert store.get(b"k" * 16).completions[0].tool_calls[0]["arguments"]["x"] == 1
    store.put({"q": 1}, {"a": [1]})
    store.get({"q": 1})["a"].append(2)
    assert store.get({"q": 1}) == {"a": [1]}


# the file


def test_nothing_is_created_before_the_first_write(tmp_path):
    store = Cache(str(tmp_path / "c"))
    assert store.get({"q": 1}) is None
    store.close()
    assert not (tmp_path / "c").exists()


def test_values_survive_the_process_that_wrote_them(tmp_path):
    store = Cache(str(tmp_path))
    store.put({"q": 1}, {"a": 1})
    store.put(b"k" * 16, ANSWER)
    store.close()
    again = Cache(str(tmp_path), memory_max_bytes=0)
    assert again.get({"q": 1}) == {"a": 1}
    assert again.get(b"k" * 16) == ANSWER._replace(cached=True)
    again.close()


def test_what_was_put_can_be_read_before_it_is_written(tmp_path):
    store = Cache(str(tmp_path), memory_max_bytes=0)
    for i in range(2000):
        store.put({"q": i}, i)
        assert store.get({"q": i}) == i
    assert all(store.get({"q": i}) == i for i in range(2000))
    store.close()


def test_many_threads_read_and_write_one_store(tmp_path):
    store = Cache(str(tmp_path), memory_max_bytes=0)
    wrong = []

    def work(t):
        for i in range(60):
            store.put({"t": t, "i": i}, [t, i])
            if store.get({"t": t, "i": i // 2}) != [t, i // 2]:
                wrong.append((t, i))

    threads = [threading.Thread(target=work, args=(t,)) for t in range(32)]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert not wrong
    store.close()


def test_entries_unused_for_longest_make_room(tmp_path):
    folder, limit = str(tmp_path), 400_000
    store = DiskStore(folder, limit_bytes=limit)
    store.put(b"first", b"x")
    for i in range(6000):
        store.put(b"%016d" % i, os.urandom(200))
    store.flush()
    size = sum(entry.stat().st_size for entry in os.scandir(folder) if entry.name == FILE_NAME)
    assert size < 2 * limit
    assert store.get(b"%016d" % 5999) is not None
    assert store.get(b"first") is None
    store.close()


def test_a_corrupt_file_costs_one_warning_and_no_run(tmp_path):
    (tmp_path / FILE_NAME).write_bytes(b"this is no database" * 1000)
    store = Cache(str(tmp_path))
    with pytest.warns(CacheWarning, match=r"not a database; delete the file") as caught:
        assert store.get({"q": 1}) is None
    assert len(caught) == 1
    store.put({"q": 1}, 1)
    assert store.get({"q": 1}) == 1
    store.close()


def test_a_file_cut_in_the_middle_costs_one_warning_and_no_run(tmp_path):
    store = Cache(str(tmp_path))
    for i in range(2000):
        store.put({"q": i}, os.urandom(100).hex())
    store.close()
    path = tmp_path / FILE_NAME
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(path.stat().st_size - 4096))
    store = Cache(str(tmp_path), memory_max_bytes=0)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert all(store.get({"q": i}) is None for i in range(2000))
        store.put({"q": 1}, 1)
        store.close()
    assert len([w for w in caught if w.category is CacheWarning]) == 1


@pytest.mark.parametrize("where", ["a file in place of the folder", "a folder in place of the file", "/proc"])
def test_a_place_that_cannot_be_written_costs_one_warning_and_no_run(tmp_path, where):
    folder = tmp_path / "c"
    if where.startswith("a file"):
        folder.write_text("")
    elif where.startswith("a folder"):
        (folder / FILE_NAME).mkdir(parents=True)
    else:
        folder = "/proc/telic"
    store = Cache(str(folder))
    store.put({"q": 1}, 1)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        store.close()
        store.put({"q": 2}, 2)
        assert store.get({"q": 1}) == 1
        assert store.get({"q": 3}) is None
        store.close()
    assert [w.category for w in caught] == [CacheWarning]
    assert "cannot be used" in str(caught[0].message)


def test_a_full_disk_costs_one_warning_and_no_run(tmp_path):
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=96k", "tmpfs", str(tmp_path)], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip("mounting a small file system is not allowed here")
    try:
        store = Cache(str(tmp_path))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            for i in range(1500):
                store.put({"q": i}, os.urandom(100).hex())
            assert store.get({"q": 1499}) is not None
            store.close()
        assert [w.category for w in caught] == [CacheWarning]
        assert "full" in str(caught[0].message)
    finally:
        subprocess.run(["umount", "-l", str(tmp_path)], check=True)


def test_a_file_of_a_newer_telic_is_left_alone(tmp_path):
    with sqlite3.connect(tmp_path / FILE_NAME) as db:
        db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        db.execute("PRAGMA user_version = 99")
        db.execute("CREATE TABLE other(x)")
    db.close()
    before = (tmp_path / FILE_NAME).read_bytes()
    store = Cache(str(tmp_path))
    with pytest.warns(CacheWarning, match=r"newer telic \(format 99"):
        store.get({"q": 1})
    store.put({"q": 1}, 1)
    store.close()
    assert (tmp_path / FILE_NAME).read_bytes() == before


def test_a_database_of_another_program_is_left_alone(tmp_path):
    with sqlite3.connect(tmp_path / FILE_NAME) as db:
        db.execute("CREATE TABLE theirs(x)")
    db.close()
    store = Cache(str(tmp_path))
    store.put({"q": 1}, 1)
    with pytest.warns(CacheWarning, match="another program"):
        store.close()


def test_a_file_held_by_another_process_costs_one_warning(tmp_path, monkeypatch):
    monkeypatch.setattr("telic.lm.caching._store.BUSY_S", 0.05)
    store = Cache(str(tmp_path))
    store.put({"q": 0}, 0)
    store.close()
    holder = sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    store.put({"q": 1}, 1)
    with pytest.warns(CacheWarning, match="locked"):
        store.close()
    holder.execute("ROLLBACK")
    holder.close()


def test_a_damaged_row_is_a_miss(tmp_path):
    store = Cache(str(tmp_path), memory_max_bytes=0)
    store.disk.put(b"k" * 16, b"\x01garbage")
    assert store.get(b"k" * 16) is None
    store.put(b"k" * 16, ANSWER)
    assert store.get(b"k" * 16).text == "Paris"
    store.close()


WRITER = """
import sys
from telic.lm import Cache
store = Cache(sys.argv[1], memory_max_bytes=0)
i = 0
while True:
    store.put({"who": sys.argv[2], "i": i}, ["answer", i] * 20)
    if i % 50 == 0:
        store.flush()
        print(i, flush=True)
    i += 1
"""


def test_a_killed_process_leaves_all_that_was_written_to_the_other(tmp_path):
    """Two processes write one file; one is killed in the middle, again and again."""
    survivor = Cache(str(tmp_path), memory_max_bytes=0)
    for name in ("a", "b", "c"):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path), name], stdout=subprocess.PIPE, text=True
        )
        while int(process.stdout.readline()) < 400:
            survivor.put({"mine": name}, name)
        last = int(process.stdout.readline())
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        assert all(survivor.get({"who": name, "i": i}) == ["answer", i] * 20 for i in range(last + 1))
    survivor.close()
    with sqlite3.connect(tmp_path / FILE_NAME) as db:
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    db.close()


@pytest.mark.parametrize("attempt", range(3))
def test_many_processes_may_make_the_file_at_once(tmp_path, attempt):
    code = (
        "import sys, warnings; warnings.simplefilter('error')\n"
        "from telic.lm import Cache\n"
        "store = Cache(sys.argv[1]); print(flush=True); sys.stdin.readline()\n"
        "for j in range(20): store.get({'i': '', 'j': j}); store.put({'i': sys.argv[2], 'j': j}, sys.argv[2])\n"
        "store.close()"
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(tmp_path), str(i)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        for i in range(6)
    ]
    assert [p.stdout.readline() for p in processes] == [b"\n"] * 6
    for p in processes:
        p.stdin.write(b"go\n")
        p.stdin.flush()
    for p in processes:
        p.communicate()
    assert [p.returncode for p in processes] == [0] * 6
    store = Cache(str(tmp_path))
    assert [store.get({"i": str(i), "j": 19}) for i in range(6)] == [str(i) for i in range(6)]
    store.close()


def test_the_end_of_the_process_writes_what_waits(tmp_path):
    code = "import sys; from telic.lm import cache, configure_cache; configure_cache(disk_cache_dir=sys.argv[1]); "
    code += "cache.put({'q': 1}, 'kept')"
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True)
    store = Cache(str(tmp_path))
    assert store.get({"q": 1}) == "kept"
    store.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_uses_the_file_on_its_own(tmp_path):
    code = """
import os, sys
from telic.lm import cache, configure_cache
configure_cache(disk_cache_dir=sys.argv[1], enable_memory_cache=False)
cache.put({"who": "parent"}, 1); cache.flush(); assert cache.get({"who": "parent"}) == 1
child = os.fork()
if child == 0:
    ok = cache.get({"who": "parent"}) == 1
    cache.put({"who": "child"}, 2); cache.flush()
    os._exit(0 if ok else 1)
assert os.waitpid(child, 0)[1] == 0
cache.put({"who": "parent again"}, 3); cache.flush()
assert cache.get({"who": "child"}) == 2
"""
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, str(tmp_path)], capture_output=True, text=True
    )

    assert (ran.returncode, ran.stderr) == (0, "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_what_a_child_of_multiprocessing_paid_for_last_is_kept(tmp_path):
    code = """
import multiprocessing, sys
from telic.lm import cache, configure_cache
configure_cache(disk_cache_dir=sys.argv[1], enable_memory_cache=False)
for i in range(5):
    child = multiprocessing.get_context("fork").Process(target=cache.put, args=({"child": i}, i))
    child.start(); child.join()
print([cache.get({"child": i}) for i in range(5)])
"""
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert ran.stdout.strip() == "[0, 1, 2, 3, 4]"


# modes and the LM


def test_an_answer_is_paid_for_once(lm, client):
    first, second = lm.complete(ask("a")), lm.complete(ask("a"))
    assert (first.text, first.cached) == ("a!", False)
    assert (second.text, second.cached, second.usage) == ("a!", True, first.usage)
    assert len(client.requests) == 1


def test_sync_and_async_calls_share_entries(lm, client):
    lm.complete(ask("a"))
    assert asyncio.run(lm.acomplete(ask("a"))).cached
    asyncio.run(lm.acomplete(ask("b")))
    assert lm.complete(ask("b")).cached
    assert len(client.requests) == 2


def test_the_endpoint_is_in_the_key(make_client):
    one, two = make_client("http://one.test"), make_client("http://two.test")
    LM("x/m", client=one)("hello")
    LM("x/m", client=two)("hello")
    LM("x/m", client=make_client("http://one.test"))("hello")
    assert (len(one.requests), len(two.requests)) == (1, 1)


def test_each_sample_index_is_a_draw_of_its_own(lm, client):
    for _ in range(2):
        for sample in range(3):
            lm.complete(ask("a", sample=sample))
    with context(sample=7):
        lm.complete(ask("a"))
        lm.complete(ask("a", sample=2))
    assert lm("a", rollout_id=1) == ["a!"]
    assert len(client.requests) == 4
    assert all("rollout_id" not in request.options for request in client.requests)


def test_cache_false_asks_anew_and_keeps_nothing(lm, client):
    for _ in range(2):
        lm("a", cache=False)
    assert len(client.requests) == 2
    lm("a")
    assert len(client.requests) == 3


def test_failures_are_not_kept(lm, client):
    client.error = RuntimeError("down")
    with pytest.raises(RuntimeError):
        lm("a")
    client.error = None
    assert lm("a") == ["a!"]


@pytest.mark.parametrize(
    ("mode", "paid_when_cold", "paid_when_warm"),
    [("on", 1, 0), ("off", 2, 2), ("write", 2, 2), ("read", 2, 0)],
)
def test_modes_say_what_is_read_and_written(tmp_path, make_client, mode, paid_when_cold, paid_when_warm):
    warm = str(tmp_path / "warm")
    configure_cache(disk_cache_dir=warm)
    LM("x/m", client=make_client())("a")
    for folder, expected in ((str(tmp_path / "cold"), paid_when_cold), (warm, paid_when_warm)):
        configure_cache(disk_cache_dir=folder, mode=mode)
        client = make_client()
        lm = LM("x/m", client=client)
        lm("a"), lm("a")
        assert len(client.requests) == expected
    assert mode != "read" or not (tmp_path / "cold").exists()


def test_replay_only_never_sends(tmp_path, make_client):
    configure_cache(disk_cache_dir=tmp_path)
    LM("x/m", client=make_client())("a")
    configure_cache(disk_cache_dir=tmp_path, mode="replay-only")
    client = make_client()
    lm = LM("x/m", client=client)
    assert lm("a") == ["a!"]
    with pytest.raises(CacheMissError, match=r"'x/m' is not in the cache.*configure_cache\(mode='on'\)"):
        lm("b")
    with pytest.raises(CacheMissError, match="cache=False"):
        lm("a", cache=False)
    assert client.requests == []


def test_a_read_only_cache_is_used_from_a_medium_that_cannot_be_written(tmp_path, make_client):
    configure_cache(disk_cache_dir=tmp_path / "c")
    LM("x/m", client=make_client())("a")
    configure_cache(enable_disk_cache=False)
    mounted = subprocess.run(
        ["mount", "--bind", "-o", "ro", str(tmp_path / "c"), str(tmp_path / "c")],
        check=False,
        capture_output=True,
    )
    if mounted.returncode:
        pytest.skip("mounting is not allowed here")
    try:
        subprocess.run(["mount", "-o", "remount,ro,bind", str(tmp_path / "c")], check=True)
        configure_cache(disk_cache_dir=tmp_path / "c", mode="replay-only")
        assert LM("x/m", client=make_client())("a") == ["a!"]
        configure_cache(enable_disk_cache=False)
    finally:
        subprocess.run(["umount", "-l", str(tmp_path / "c")], check=True)


def test_an_unknown_mode_or_size_is_refused():
    with pytest.raises(ConfigurationError, match="did you mean 'replay-only'"):
        configure_cache(mode="replay_only")
    with pytest.raises(ConfigurationError, match="memory_max_bytes is -1"):
        configure_cache(memory_max_bytes=-1)


def test_cache_stands_for_whichever_cache_is_configured(tmp_path):
    cache.put({"q": 1}, 1)
    assert cache.get({"q": 1}) == 1
    configure_cache(disk_cache_dir=tmp_path / "other")
    assert cache.get({"q": 1}) is None
    assert len(cache.cache_key({"q": 1})) == 32


def test_the_folder_comes_from_the_environment(monkeypatch, tmp_path):
    monkeypatch.delenv("TELIC_CACHE_DIR")
    monkeypatch.setenv("DSPY_CACHEDIR", str(tmp_path / "d"))
    cached = configure_cache()
    assert cached.disk.path == str(tmp_path / "d" / FILE_NAME)
    monkeypatch.delenv("DSPY_CACHEDIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "x"))
    assert configure_cache().disk.path == str(tmp_path / "x" / "telic" / FILE_NAME)
