"""Field types on the wire: the exact JSON that a real server is sent, in both dialects, and what comes back."""

import asyncio
import base64
import json

import pytest

import telic
from telic.errors import LMInvalidRequestError
from telic.signatures import Signature
from telic.testing import FaultServer
from telic.types import Audio, Citations, Document, File, Image, Reasoning

GIF = b"GIF89a" + bytes(9)
GIF64 = base64.b64encode(GIF).decode()
PDF64 = base64.b64encode(b"%PDF-1").decode()
ANSWER = "[[ ## answer ## ]]\nyes\n\n[[ ## completed ## ]]"


@pytest.fixture
def server():
    with FaultServer(ANSWER) as server:
        yield server


def lm(server, provider, **options):
    base = server.url if provider == "anthropic" else f"{server.url}/v1"
    return telic.LM(f"{provider}/m", api_key="hush", base_url=base, cache=False, **options)


def ask(server, provider, fields, **inputs):
    program = telic.Predict(Signature(f"{fields} -> answer"))
    with telic.context(lm=lm(server, provider)):
        assert program(**inputs).answer == "yes"
        assert asyncio.run(program.acall(**inputs)).answer == "yes"
    first, second = (request.body for request in server.requests)
    assert first == second
    return first["messages"][-1]["content"]


def middle(content):
    """Return the parts between the marker of the field and the request."""
    assert content[0]["type"] == content[-1]["type"] == "text"
    return content[1:-1]


@pytest.mark.parametrize(
    ("kind", "value", "parts"),
    [
        ("Image", Image("https://x/y.png"), [{"type": "image_url", "image_url": {"url": "https://x/y.png"}}]),
        (
            "Image",
            Image(GIF),
            [{"type": "image_url", "image_url": {"url": f"data:image/gif;base64,{GIF64}"}}],
        ),
        (
            "list[Image]",
            [Image(GIF), Image("https://x/y")],
            [
                {"type": "image_url", "image_url": {"url": f"data:image/gif;base64,{GIF64}"}},
                {"type": "text", "text": "\n[2] "},
                {"type": "image_url", "image_url": {"url": "https://x/y"}},
            ],
        ),
        (
            "Audio",
            Audio(b"ID3..."),
            [{"type": "input_audio", "input_audio": {"data": "SUQzLi4u", "format": "mp3"}}],
        ),
        (
            "File",
            File.from_bytes(b"%PDF-1", "a.pdf", "application/pdf"),
            [
                {
                    "type": "file",
                    "file": {"file_data": f"data:application/pdf;base64,{PDF64}", "filename": "a.pdf"},
                }
            ],
        ),
        ("File", File.from_file_id("file-1"), [{"type": "file", "file": {"file_id": "file-1"}}]),
    ],
)
def test_openai_is_sent(server, kind, value, parts):
    assert middle(ask(server, "openai", f"v: {kind}", v=value)) == parts


@pytest.mark.parametrize(
    ("kind", "value", "parts"),
    [
        (
            "Image",
            Image("https://x/y.png"),
            [{"type": "image", "source": {"type": "url", "url": "https://x/y.png"}}],
        ),
        (
            "Image",
            Image(GIF),
            [{"type": "image", "source": {"type": "base64", "media_type": "image/gif", "data": GIF64}}],
        ),
        (
            "File",
            File.from_bytes(b"%PDF-1", "a.pdf", "application/pdf"),
            [
                {
                    "type": "document",
                    "source": {"type": "base64", "media_type": "application/pdf", "data": PDF64},
                    "title": "a.pdf",
                }
            ],
        ),
        (
            "File",
            File.from_file_id("f-1"),
            [{"type": "document", "source": {"type": "file", "file_id": "f-1"}}],
        ),
        (
            "File",
            File.from_bytes("ä,b".encode(), "t.csv", "text/csv"),
            [
                {
                    "type": "document",
                    "source": {"type": "text", "media_type": "text/plain", "data": "ä,b"},
                    "title": "t.csv",
                }
            ],
        ),
        (
            "File",
            File(GIF),
            [{"type": "image", "source": {"type": "base64", "media_type": "image/gif", "data": GIF64}}],
        ),
        (
            "File",
            File(file_data="https://x/a.pdf"),
            [{"type": "document", "source": {"type": "url", "url": "https://x/a.pdf"}}],
        ),
    ],
)
def test_anthropic_is_sent(server, kind, value, parts):
    assert middle(ask(server, "anthropic", f"v: {kind}", v=value)) == parts


def test_a_long_data_uri_arrives_whole(server):
    data = GIF + bytes(3_000_000)

    (part,) = middle(ask(server, "anthropic", "v: Image", v=Image(data)))

    assert base64.b64decode(part["source"]["data"]) == data


@pytest.mark.parametrize(
    ("kind", "value", "fact"),
    [
        ("Audio", Audio(b"ID3..."), "take no audio"),
        ("File", File(filename="a"), "neither data nor an id"),
        ("File", File.from_bytes(b"\xff\xfe", "a.bin"), "PDF, pictures and text"),
    ],
)
def test_what_anthropic_cannot_take_is_refused_before_it_is_sent(server, kind, value, fact):
    with telic.context(lm=lm(server, "anthropic")), pytest.raises(LMInvalidRequestError, match=fact):
        telic.Predict(Signature(f"v: {kind} -> answer"))(v=value)

    assert server.requests == []


def test_plain_completions_take_no_pictures(server):
    with telic.context(lm=lm(server, "openai", model_type="text")):
        with pytest.raises(LMInvalidRequestError, match="text only"):
            telic.Predict("v: Image -> answer")(v=Image(GIF))

    assert server.requests == []


# Citations

CITED = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "m",
    "content": [
        {"type": "text", "text": "[[ ## answer ## ]]\nIt is "},
        {
            "type": "text",
            "text": "blue",
            "citations": [
                {
                    "type": "char_location",
                    "cited_text": "The sky is blue.",
                    "document_index": 0,
                    "document_title": "Sky",
                    "start_char_index": 0,
                    "end_char_index": 16,
                }
            ],
        },
        {"type": "text", "text": ".\n\n[[ ## completed ## ]]"},
    ],
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 10, "output_tokens": 5},
}
SKY = Document("The sky is blue.", title="Sky")
QA = Signature("docs: list[Document], question -> answer, sources: Citations")


def test_anthropic_cites_by_itself():
    with FaultServer([CITED]) as server, telic.context(lm=lm(server, "anthropic")):
        result = telic.Predict(QA)(docs=[SKY], question="Which colour?")

    sent = server.requests[0].body["messages"][-1]["content"]
    assert sent[1] == {
        "type": "document",
        "source": {"type": "text", "media_type": "text/plain", "data": "The sky is blue."},
        "citations": {"enabled": True},
        "title": "Sky",
    }
    assert result.answer == "It is blue."
    assert result.sources == Citations(
        [
            {
                "cited_text": "The sky is blue.",
                "document_index": 0,
                "document_title": "Sky",
                "start_char_index": 0,
                "end_char_index": 16,
                "supported_text": "blue",
            }
        ]
    )


def test_citations_come_back_from_the_cache(tmp_path):
    telic.configure_cache(disk_cache_dir=str(tmp_path), enable_disk_cache=True, enable_memory_cache=False)
    try:
        with FaultServer([CITED]) as server:
            program = telic.Predict(QA)
            with telic.context(lm=telic.LM("anthropic/m", api_key="hush", base_url=server.url)):
                first, second = (program(docs=[SKY], question="Which colour?") for _ in range(2))
    finally:
        telic.configure_cache()

    assert len(server.requests) == 1
    assert first.sources == second.sources
    assert len(second.sources) == 1


def test_streamed_citations_are_gathered():
    from telic.lm.wire._anthropic import AnthropicDialect

    citation = CITED["content"][1]["citations"][0]
    stream = AnthropicDialect("m", api_key="x", base_url="http://localhost:1").open_stream()
    for event in [
        {"type": "message_start", "message": {"id": "1", "usage": {}}},
        {
            "type": "content_block_start",
            "index": 0,
            "content_block": {"type": "text", "text": "", "citations": []},
        },
        {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "blue"}},
        {
            "type": "content_block_delta",
            "index": 0,
            "delta": {"type": "citations_delta", "citation": citation},
        },
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {}},
        {"type": "message_stop"},
    ]:
        stream.feed(event["type"].encode(), json.dumps(event).encode())

    assert stream.finish().completions[0].citations == ({**citation, "supported_text": "blue"},)


def test_anthropics_reasoning_is_taken_where_it_is_told_to_think():
    thinking = {
        **CITED,
        "content": [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": ANSWER}],
    }
    program = telic.ChainOfThought("question -> answer", rationale_field_type=Reasoning)

    with FaultServer([thinking]) as server, telic.context(lm=lm(server, "anthropic", reasoning_effort="low")):
        result = program(question="q")

    assert (result.reasoning, result.answer) == ("hm", "yes")
    sent = server.requests[0].body
    assert sent["thinking"]["type"] == "enabled"
    assert "reasoning" not in json.dumps(sent["messages"])


def test_without_it_reasoning_is_a_field(server):
    assert not lm(server, "anthropic").capabilities.reasoning_text
    assert not lm(server, "anthropic", reasoning_effort="none").capabilities.reasoning_text
    assert lm(
        server, "anthropic", thinking={"type": "enabled", "budget_tokens": 1024}
    ).capabilities.reasoning_text
    assert not lm(server, "openai", reasoning_effort="low").capabilities.reasoning_text
