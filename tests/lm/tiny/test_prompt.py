import pytest

from telic.data import Request
from telic.errors import LMInvalidRequestError
from telic.lm.tiny import TinyClient
from telic.lm.tiny._job import Job
from telic.lm.tiny._prompt import prompt_tokens, tool_calls
from telic.lm.tiny._tokenizer import Tokenizer

SEARCH = {
    "type": "function",
    "function": {
        "name": "search",
        "description": "Find a\n fact.",
        "parameters": {
            "type": "object",
            "properties": {"query": {"type": "string"}, "k": {"type": "integer"}},
        },
    },
}
TALK = [
    {"role": "system", "content": "Help."},
    {"role": "user", "content": "Where?"},
    {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"id": "1", "type": "function", "function": {"name": "search", "arguments": '{"query": "x"}'}}
        ],
    },
    {"role": "tool", "tool_call_id": "1", "content": "In Oslo."},
]


def test_tools_calls_and_results_have_their_places(engine):
    tokenizer = engine.tokenizer
    special = tokenizer.special
    ids = prompt_tokens(tokenizer, TALK, [SEARCH])
    assert ids == [
        special("<system>"), *tokenizer.encode("Help."),
        special("<tools>"), *tokenizer.encode("search(query: string, k: integer): Find a fact."),
        special("<user>"), *tokenizer.encode("Where?"),
        special("<assistant>"), special("<call>"), *tokenizer.encode('search\n{"query": "x"}'), special("<end>"),
        special("<tool>"), *tokenizer.encode("In Oslo."),
        special("<assistant>"),
    ]  # fmt: skip


def test_without_a_system_message_tools_get_one(engine):
    ids = prompt_tokens(engine.tokenizer, TALK[1:2], [SEARCH])
    assert ids[:2] == [engine.tokenizer.special("<system>"), engine.tokenizer.special("<tools>")]


def test_a_vocabulary_without_such_tokens_says_so():
    specials = ["<pad>", "<system>", "<user>", "<assistant>", "<end>", "<cap>", "<glue>", "<blank>"]
    old = Tokenizer({"specials": specials, "fixed": [], "words": [], "pieces": []})
    with pytest.raises(LMInvalidRequestError, match="trained without tools"):
        prompt_tokens(old, TALK[:2], [SEARCH])


@pytest.mark.parametrize(
    ("messages", "said"),
    [([], "no messages"), ([{"role": "poet", "content": ""}], "unknown role 'poet'"),
     ([{"role": "user", "content": [{"type": "image_url"}]}], "image_url")],
)  # fmt: skip
def test_what_cannot_be_read_is_refused(engine, messages, said):
    with pytest.raises(LMInvalidRequestError, match=said):
        prompt_tokens(engine.tokenizer, messages)


def test_calls_are_taken_out_of_the_text():
    text = 'Look.search\n{"query": "x"}search\n{"query": "y"}'
    plain, calls = tool_calls(text, [5, 26], ["search"])
    assert plain == "Look."
    assert [(c["name"], c["arguments"]) for c in calls] == [
        ("search", {"query": "x"}),
        ("search", {"query": "y"}),
    ]
    assert calls[0]["id"] != calls[1]["id"]


@pytest.mark.parametrize("text", ['find\n{"query": "x"}', "search\n{broken", 'search\n["x"]', "search"])
def test_what_is_no_call_of_a_known_tool_stays_text(text):
    assert tool_calls(text, [0], ["search"]) == (text, ())


def test_a_model_that_calls_a_tool_gives_a_call(engine, monkeypatch):
    written = [engine.tokenizer.special("<call>"), *engine.tokenizer.encode('search\n{"query": "x"}'), 4]
    monkeypatch.setattr(
        "telic.lm.tiny._job.choose",
        lambda logits, temperature, top_p, rng: written[min(len(seen), len(written) - 1)],
    )
    seen: list[int] = []
    take = Job._take
    monkeypatch.setattr(
        Job, "_take", lambda job, token, tokenizer: (seen.append(token), take(job, token, tokenizer))[1]
    )
    client = TinyClient(engine=engine)
    request = Request(TALK[:2], {"tools": [SEARCH], "max_tokens": 40})
    completion = client.complete(request).completions[0]
    assert (completion.text, completion.finish_reason) == ("", "tool_calls")
    assert completion.tool_calls[0]["arguments"] == {"query": "x"}
    seen.clear()
    pieces = list(client.stream(request))
    assert "".join(p.text for p in pieces) == ""
    assert pieces[-1].response.completions[0].tool_calls == completion.tool_calls


def test_no_tool_is_told_where_none_may_be_called(engine):
    client = TinyClient(engine=engine)
    asked = [
        Request(TALK[:2], {"max_tokens": 8} | more)
        for more in ({}, {"tools": [SEARCH], "tool_choice": "none"})
    ]
    assert client.complete(asked[0]).text == client.complete(asked[1]).text


@pytest.mark.parametrize("options", [{"tools": [{}]}, {"tools": [SEARCH], "tool_choice": "required"}])
def test_tools_without_names_and_forced_calls_are_refused(engine, options):
    with pytest.raises(LMInvalidRequestError, match="name|tool_choice"):
        TinyClient(engine=engine).complete(Request(TALK[:2], options))
