import asyncio
import gc
import io
import threading
import weakref

from telic.context import context
from telic.data import Completion, Prediction, Request, Response, Step, Usage
from telic.tracing import (
    ACTIVE_CALL_ID,
    BaseCallback,
    UsageTracker,
    begin,
    clear_history,
    finish,
    history,
    inspect_history,
    record,
    record_call,
    track_usage,
)

MESSAGES = [
    {"role": "system", "content": "Be brief."},
    {
        "role": "user",
        "content": [{"type": "text", "text": "What is this?"}, {"type": "image_url", "image_url": {}}],
    },
]


def response(text="ok", **options):
    return Response((Completion(text),), Usage(10, 2, calls=1, cost_usd=0.25), "m", **options)


def test_steps_go_to_the_open_trace_alone():
    trace = []
    step = Step("p", {}, Prediction(a=1))

    record(step)
    with context(trace=trace):
        record(step)

    assert trace == [step]


def test_a_call_is_shown_with_messages_and_reply():
    clear_history()
    record_call("openai/m", Request(MESSAGES, {"n": 1}), response("A cat."), None, 0.25)
    out = io.StringIO()

    inspect_history(file=out)

    assert "System message:\n\nBe brief." in out.getvalue()
    assert "What is this?\n<image_url>" in out.getvalue()
    assert "Response:\n\nA cat." in out.getvalue()


def test_only_the_last_calls_are_shown(capsys):
    clear_history()
    for n in range(5):
        record_call("m", Request([]), response(f"reply {n}"))

    inspect_history(n=2)

    shown = capsys.readouterr().out
    assert "reply 2" not in shown
    assert shown.index("reply 3") < shown.index("reply 4")


def test_failures_and_tool_calls_are_shown():
    clear_history()
    calls = ({"id": "1", "name": "search", "arguments": {"q": "x"}},)
    record_call("m", Request([]), Response((Completion("", tool_calls=calls), Completion("b"))))
    record_call(
        "m",
        Request([{"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]}]),
        None,
        TimeoutError("slow"),
    )
    out = io.StringIO()

    inspect_history(n=2, file=out)

    assert "Tool call: search({'q': 'x'})" in out.getvalue()
    assert "Response 2:" in out.getvalue()
    assert "Failed: TimeoutError: slow" in out.getvalue()


def test_an_entry_becomes_a_dict_when_looked_at():
    clear_history()
    entry = record_call("openai/m", Request(MESSAGES, {"n": 1}), response())

    assert history() == [entry]
    assert entry["outputs"] == ["ok"]
    assert entry["usage"]["prompt_tokens"] == 10
    assert (entry["cost"], entry["model"], entry["kwargs"]) == (0.25, "openai/m", {"n": 1})
    assert "2 messages" in repr(entry)


def test_the_history_is_bounded_and_can_be_off():
    clear_history()
    with context(max_history_size=3):
        for n in range(10):
            record_call("m", Request([]), response(str(n)))
        kept = [entry["outputs"] for entry in history()]
    with context(disable_history=True):
        assert record_call("m", Request([]), response()) is None

    assert kept == [["7"], ["8"], ["9"]]


def test_usage_is_counted_by_role_lm_and_predictor():
    with track_usage() as tracker:
        record_call("a", Request([]), response())
        with context(role="teacher"):
            record_call("b", Request([]), response())
            record_call("b", Request([]), response())

    assert tracker.total.calls == 3
    assert {role: usage.calls for role, usage in tracker.by_role().items()} == {"task": 1, "teacher": 2}
    assert {lm: usage.cost_usd for lm, usage in tracker.by_lm().items()} == {"a": 0.25, "b": 0.5}
    assert list(tracker.by_predictor()) == [""]
    assert tracker.get_total_tokens()["b"]["total_tokens"] == 24


def test_cached_answers_and_failures_cost_nothing():
    with track_usage() as tracker:
        record_call("a", Request([]), response(cached=True))
        record_call("a", Request([]), None, TimeoutError())

    assert tracker.total == Usage()
    assert tracker.cached_calls == 1
    assert "1 cached" in repr(tracker)


def test_unknown_costs_stay_unknown():
    tracker = UsageTracker()
    tracker.add(Usage(1, 1, calls=1, cost_usd=0.5), lm="a")
    tracker.add(Usage(1, 1), lm="a")

    assert tracker.total.cost_usd is None
    assert tracker.total.calls == 2
    assert "unknown cost" in repr(tracker)


def test_inner_trackers_pass_on_to_outer_ones():
    with track_usage() as outer:
        record_call("a", Request([]), response())
        with track_usage() as inner:
            record_call("a", Request([]), response())

    assert (inner.total.calls, outer.total.calls) == (1, 2)


def test_threads_count_into_one_tracker():
    tracker = UsageTracker()
    threads = [
        threading.Thread(target=lambda: [tracker.add(Usage(1, 0, calls=1), lm="a") for _ in range(500)])
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert tracker.total.calls == 4000


class Recorder(BaseCallback):
    def __init__(self):
        self.events = []

    def on_lm_start(self, call_id, instance, inputs):
        self.events.append(("start", call_id, instance, inputs, ACTIVE_CALL_ID.get()))

    def on_lm_end(self, call_id, outputs, exception=None):
        self.events.append(("end", call_id, outputs, exception))


def test_callbacks_hear_starts_and_ends_with_one_id_and_the_parent():
    recorder = Recorder()
    with context(callbacks=[recorder]):
        outer = begin("lm", "outer", {"a": 1})
        inner = begin("lm", "inner", {})
        finish(inner, None, ValueError("x"))
        finish(outer, "result")

    kinds = [(event[0], event[1] == outer.id) for event in recorder.events]
    assert kinds == [("start", True), ("start", False), ("end", False), ("end", True)]
    assert recorder.events[1][4] == outer.id
    assert isinstance(recorder.events[2][3], ValueError)
    assert recorder.events[3][2:] == ("result", None)
    assert ACTIVE_CALL_ID.get() is None


def test_without_callbacks_nothing_begins():
    assert begin("lm", object(), {}) is None
    finish(None, 1)


def test_a_callback_that_raises_is_logged_and_stops_nothing(caplog):
    class Broken(BaseCallback):
        def on_lm_start(self, call_id, instance, inputs):
            raise ZeroDivisionError("mine")

    class Other:  # not a subclass: hooks that are missing are passed over
        pass

    with context(callbacks=[Broken(), Other()]):
        finish(begin("lm", None, {}), 1)

    assert "Broken.on_lm_start raised" in caplog.text
    assert "mine" in caplog.text


def test_the_base_callback_hears_everything_and_does_nothing(caplog):
    with context(callbacks=[BaseCallback()]):
        for kind in ("module", "lm", "adapter_format", "adapter_parse", "tool", "evaluate", "compile"):
            finish(begin(kind, None, {}), None)

    assert caplog.text == ""  # a callback that fails is logged


def test_tasks_have_call_ids_of_their_own():
    async def one(recorder):
        with context(callbacks=[recorder]):
            call = begin("lm", None, {})
            await asyncio.sleep(0)
            seen = ACTIVE_CALL_ID.get()
            finish(call, None)
            return seen == call.id

    async def main():
        return await asyncio.gather(*(one(Recorder()) for _ in range(10)))

    assert asyncio.run(main()) == [True] * 10


def test_the_history_holds_no_traceback_and_so_nothing_of_the_callers():
    class Big:
        pass

    def fail():
        big = Big()
        kept.append(weakref.ref(big))
        raise LookupError("gone")

    kept = []
    try:
        fail()
    except LookupError as error:
        entry = record_call("m", Request([{"role": "user", "content": "hi"}]), None, error)
    gc.collect()

    assert (entry.to_dict()["error"], kept[0]()) == ("LookupError: gone", None)
