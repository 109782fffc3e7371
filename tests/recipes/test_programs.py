"""The ready-made programs: what they answer, what they refuse, what they cost."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest
from typing_extensions import TypedDict

import telic
from telic.errors import ConfigurationError, DatasetError
from telic.recipes.programs import (
    NOT_FOUND,
    RAG,
    Classify,
    Extract,
    LongFormQA,
    MultiHop,
    SearchAgent,
    SQLAnswer,
    ThoughtReflection,
    labelled,
)
from telic.retrieve import BM25, Passage
from telic.testing import FunctionLM, ScriptedLM

OFFICES = [
    Passage("Ada leads the office in Lima.", source="people.md", page=2),
    Passage("Grace leads the office in Rome.", source="people.md", page=3),
    Passage("Trains to Rome leave at noon.", source="travel.md", page=1),
]


def said(**fields):
    return {"reasoning": "So it says.", **fields}


# RAG


def test_rag_names_the_passages_that_its_answer_rests_on():
    program = RAG(k=2, rm=BM25(OFFICES))
    program.set_lm(ScriptedLM([said(answer="Ada", sources=[1])]))

    found = program(question="Who leads the office in Lima?")

    assert (found.answer, found.found) == ("Ada", True)
    assert [(p.source, p.page) for p in found.citations] == [("people.md", 2)]
    assert len(found.context) == 2


def test_rag_says_that_the_documents_do_not_say_it_and_cites_nothing():
    program = RAG(rm=BM25(OFFICES))
    program.set_lm(ScriptedLM([said(answer='"Not in the documents."', sources=[1])]))

    found = program(question="Who leads the office in Oslo?")

    assert not found.found
    assert found.citations == []


def test_rag_cites_what_holds_the_answer_where_the_lm_names_no_source():
    program = RAG(k=3, rm=BM25(OFFICES))
    program.set_lm(ScriptedLM([said(answer="Grace")]))

    found = program(question="Who leads the office in Rome?")

    assert [p.page for p in found.citations] == [3]


def test_rag_asks_no_lm_where_nothing_is_found():
    program = RAG(rm=BM25(OFFICES))
    lm = ScriptedLM([])
    program.set_lm(lm)

    assert program(question="zebra?").answer == NOT_FOUND
    assert lm.requests == []


def test_rag_asks_again_for_a_source_that_is_not_there():
    program = RAG(k=1, rm=BM25(OFFICES))
    lm = ScriptedLM([said(answer="Ada", sources=[7]), said(answer="Ada", sources=[1])])
    program.set_lm(lm)

    found = program(question="Who leads the office in Lima?")

    assert len(found.citations) == 1
    assert "1 to 1" in str(lm.requests[1].messages)


async def _answer(program, **inputs):
    return await program.acall(**inputs)


def test_rag_can_be_awaited():
    import asyncio

    program = RAG(k=1, rm=BM25(OFFICES))
    program.set_lm(FunctionLM(lambda text: said(answer="Ada", sources=[1])))

    assert asyncio.run(_answer(program, question="Who leads the office in Lima?")).answer == "Ada"


def test_a_program_without_a_retriever_says_so():
    with pytest.raises(telic.NotConfiguredError, match="rm="):
        RAG()(question="Who?")


# Multi-hop


def test_multi_hop_reads_before_it_searches_again_and_shows_no_passage_twice():
    program = MultiHop(
        max_hops=3, k=1, rm=BM25(["The Milkmaid is by Vermeer.", "Vermeer was born in Delft."])
    )

    def reply(request):
        asked = request.messages[-1]["content"]
        query = "Vermeer born" if "by Vermeer" in asked else "Milkmaid"
        return said(search_query=query, answer="Delft" if "Delft" in asked else "?")

    program.set_lm(FunctionLM(reply))
    found = program(question="Where was the painter of The Milkmaid born?")

    assert found.answer == "Delft"
    assert found.queries == ["Milkmaid", "Vermeer born"]
    assert found.context == ["The Milkmaid is by Vermeer.", "Vermeer was born in Delft."]


@pytest.mark.parametrize("hops", [0, -1, True, 1.5])
def test_multi_hop_refuses_impossible_hops(hops):
    with pytest.raises(ConfigurationError, match="max_hops"):
        MultiHop(max_hops=hops)


# Long answers


def test_long_form_asks_again_for_a_sentence_without_a_citation():
    program = LongFormQA(k=2, rm=BM25(OFFICES))
    lm = ScriptedLM(
        [
            said(queries=["office Lima"]),
            said(paragraph="Ada leads Lima [1]. It is large."),
            said(paragraph="Ada leads Lima [1]."),
        ]
    )
    program.set_lm(lm)

    found = program(question="Who leads the office in Lima?")

    assert found.uncited == []
    assert list(found.citations) == [1]
    assert "It is large." in str(lm.requests[-1].messages)


# Reflection


def test_reflection_compares_the_attempts_it_drew():
    program = ThoughtReflection("question -> answer: int", num_attempts=3)
    lm = FunctionLM(lambda text: said(answer=4, rationale="All say so."))
    program.set_lm(lm)

    assert program(question="2 + 2?").answer == 4
    assert str(lm.requests[-1].messages).count("So it says.") >= 3


def test_an_attempt_that_cannot_be_read_does_not_lose_the_others():
    program = ThoughtReflection("question -> answer: int", num_attempts=3)
    chain = "[[ ## reasoning ## ]]\nSo it says.\n\n[[ ## answer ## ]]\n{}\n\n[[ ## completed ## ]]"
    script = [chain.format(4), "no", chain.format(5), "no again", said(answer=4, rationale="Two say so.")]
    lm = ScriptedLM(script)
    program.set_lm(lm)

    assert program(question="2 + 2?").answer == 4
    assert len(lm.requests) == 3  # three attempts, the unreadable one again, the comparison


# The agent


def test_the_agent_searches_and_answers():
    agent = SearchAgent(k=1, rm=BM25(OFFICES))
    step = {
        "next_thought": "Look.",
        "next_tool_name": "search",
        "next_tool_args": {"query": "office in Lima"},
    }
    end = {"next_thought": "Known.", "next_tool_name": "finish", "next_tool_args": {}}
    agent.set_lm(ScriptedLM([step, end, said(answer="Ada")]))

    found = agent(question="Who leads the office in Lima?")

    assert found.answer == "Ada"
    assert found.trajectory["observation_0"] == ["Ada leads the office in Lima."]


# SQL


@pytest.fixture
def shop(tmp_path):
    file = tmp_path / "my shop?.db"
    with closing(sqlite3.connect(file)) as made:
        made.executescript("create table lamp (name text, price int); insert into lamp values ('Lux', 40)")
    return file


def test_sql_is_repaired_by_its_error(shop):
    program = SQLAnswer(shop)
    lm = ScriptedLM(
        [said(sql="select cost from lamp"), said(sql="select price from lamp;"), {"answer": "40"}]
    )
    program.set_lm(lm)

    found = program(question="What does Lux cost?")

    assert (found.answer, found.repairs, found.error) == ("40", 1, "")
    assert "no such column: cost" in str(lm.requests[1].messages)


@pytest.mark.parametrize(
    "sql",
    [
        "delete from lamp",
        "drop table lamp",
        "attach database 'other.db' as other",
        "pragma journal_mode = delete",
        "select load_extension('x')",
        "select 1; select 2",
        "insert into lamp values ('Nox', 1)",
        "",
    ],
)
def test_sql_can_do_nothing_but_read(shop, sql):
    rows, error = SQLAnswer(shop).execute(sql)

    assert error or rows == [[]]
    with closing(sqlite3.connect(shop)) as still:
        assert still.execute("select count(*) from lamp").fetchone() == (1,)


def test_sql_that_never_ends_is_ended(shop):
    program = SQLAnswer(shop, timeout_s=0.05)

    _, error = program.execute(
        "with recursive n(i) as (select 1 union all select i + 1 from n) select max(i) from n"
    )

    assert "longer than 0.05" in error


def test_sql_shows_the_beginning_of_long_values_and_refuses_endless_ones(shop):
    program = SQLAnswer(shop, max_rows=3)

    rows, error = program.execute("select hex(zeroblob(100000)) from lamp")
    assert (len(rows[1][0]), error) == (1000, "")
    assert "too big" in program.execute("select zeroblob(900000000)")[1]
    assert (
        len(program.execute("with n(i) as (select 1 union all select i + 1 from n) select i from n")[0]) == 4
    )


def test_sql_gives_up_after_its_repairs_without_an_answer(shop):
    program = SQLAnswer(shop, max_repairs=1)
    program.set_lm(FunctionLM(lambda text: said(sql="select nothing")))

    found = program(question="?")

    assert found.answer == ""
    assert found.repairs == 1
    assert "nothing" in found.error


def test_sql_refuses_what_is_no_database(tmp_path):
    (tmp_path / "text.db").write_text("not a database, but long enough to look at " * 10)
    sqlite3.connect(tmp_path / "empty.db").close()

    for name, reason in (
        ("text.db", "cannot be read"),
        ("empty.db", "no tables"),
        ("none.db", "no database"),
    ):
        with pytest.raises(DatasetError, match=reason):
            SQLAnswer(tmp_path / name)
    with pytest.raises(ConfigurationError, match="max_rows"):
        SQLAnswer(tmp_path / "text.db", max_rows=0)


# Records


class Person(TypedDict):
    name: str
    age: int


def test_records_are_typed_and_invented_ones_are_left_out():
    program = Extract(Person, verbatim=["name"])
    lm = FunctionLM(lambda text: {"records": [{"name": "Ada", "age": "36"}, {"name": "Bob", "age": 1}]})
    program.set_lm(lm)

    found = program(text="Ada died at 36.")

    assert found.records == [{"name": "Ada", "age": 36}]
    assert found.left_out == [{"name": "Bob", "age": 1}]
    assert len(lm.requests) == 3


# Labels


def test_the_short_list_is_made_of_the_nearest_examples():
    labels = [f"topic_{n}" for n in range(77)]
    rows = [{"text": f"word{n} word{n} about", "label": labels[n]} for n in range(77)]
    program = Classify(labels, rm=BM25(labelled(rows)), max_labels=5)
    program.set_lm(FunctionLM(lambda text: {"label": "Topic 41"}))

    found = program(text="something about word41")

    assert found.label == "topic_41"
    assert found.choices[0] == "topic_41"
    assert len(found.choices) == 5


def test_a_row_does_not_find_itself():
    rows = [{"text": "alpha beta", "label": "a"}, {"text": "alpha gamma", "label": "b"}]
    program = Classify(["a", "b", "c"], rm=BM25(labelled(rows)), max_labels=2)

    assert program.shortlist("alpha beta")[0] == "b"


def test_examples_keep_their_labels_in_a_folder(tmp_path):
    rows = [{"text": f"word{n}", "label": f"l{n}"} for n in range(5)]
    BM25(labelled(rows), folder=tmp_path / "index")

    assert BM25.open(tmp_path / "index")("word3")[0].facts["label"] == "l3"


def test_a_label_that_is_none_is_asked_for_again():
    program = Classify(["refund", "delivery"])
    lm = ScriptedLM([{"label": "money"}, {"label": "refund"}])
    program.set_lm(lm)

    assert program(text="I want my money back").label == "refund"


@pytest.mark.parametrize("labels", [[], ["one"], ["a", "a"], ["a", ""], ["a", 3]])
def test_labels_that_cannot_be_are_refused(labels):
    with pytest.raises(ConfigurationError, match="labels"):
        Classify(labels)


def test_all_of_them_save_and_load_what_they_learned(tmp_path):
    rm = BM25(OFFICES)
    for make in (
        lambda: RAG(rm=rm),
        lambda: MultiHop(rm=rm),
        lambda: LongFormQA(rm=rm),
        ThoughtReflection,
        lambda: SearchAgent(rm=rm),
        lambda: Extract(Person),
        lambda: Classify(["a", "b"]),
    ):
        program = make()
        program.predictors()[0].demos = [{"question": "q", "text": "t", "answer": "a"}]
        program.save(tmp_path / "p.json")

        assert make().load(tmp_path / "p.json").predictors()[0].demos
