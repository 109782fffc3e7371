"""Recipes: what they pick, what they refuse before anything is paid for, what they leave."""

from __future__ import annotations

import csv
import json

import pytest

import telic
from telic import recipes
from telic.errors import (
    ConfigurationError,
    ContextWindowExceededError,
    DatasetError,
    EvaluationError,
    NotConfiguredError,
    StoredIndexError,
)
from telic.testing import FunctionLM, ScriptedLM


def test_rag_picks_splits_metric_and_k_and_says_why(handbook):
    recipe = recipes.rag(handbook / "handbook", handbook / "questions.csv")

    assert [len(part) for part in recipe.parts[:3]] == [9, 7, 6]
    assert recipe.metric is recipes.answer_score
    told = str(recipe)
    assert "of 5 files" in told
    assert "scan.pdf" in told
    assert "2 of 22 are answered 'not in the documents'" in told
    assert "BootstrapFewShotWithRandomSearch" in told
    assert "calls" in told


def test_no_question_is_in_two_parts(handbook):
    parts = recipes.rag(handbook / "handbook", handbook / "questions.csv").parts

    telic.datasets.check_splits(train=parts.trainset, val=parts.valset, test=parts.testset)


def test_rag_compiles_and_leaves_a_folder_that_can_be_loaded(handbook, reading_lm):
    recipe = recipes.rag(handbook / "handbook", handbook / "questions.csv", k=3)
    with telic.context(lm=reading_lm):
        found = recipe.compile(handbook / "out")
        again = found.program(question="Which team uses room 7?")

    assert again.answer == "team H7"
    assert again.citations[0].source.endswith(".md")
    assert found.after.score > found.before.score
    files = {path.name for path in (handbook / "out").iterdir()}
    assert files == {"program.py", "state.json", "telic.toml", "data", "index", "runs", "README.md"}
    assert "telic run" in (handbook / "out" / "README.md").read_text()


def test_the_source_that_is_left_runs_by_itself(handbook, reading_lm):
    recipe = recipes.rag(handbook / "handbook", handbook / "questions.csv", k=3)
    with telic.context(lm=reading_lm):
        recipe.compile(handbook / "out")
        scope = {"__name__": "left", "__file__": str(handbook / "out" / "program.py")}
        exec(compile((handbook / "out" / "program.py").read_text(), "program.py", "exec"), scope)
        program = scope["load"]()

        assert program(question="Which team uses room 7?").answer == "team H7"
    assert program.predictors()[0].demos
    assert scope["metric"] is recipes.answer_score


def test_the_same_recipe_again_pays_for_nothing(handbook, reading_lm):
    with telic.context(lm=reading_lm):
        first = recipes.rag(handbook / "handbook", handbook / "questions.csv").compile(handbook / "out")
        paid = len(reading_lm.requests)
        second = recipes.rag(handbook / "handbook", handbook / "questions.csv").compile(handbook / "out")

    assert len(reading_lm.requests) == paid
    assert second.after.score == first.after.score


def test_a_killed_recipe_goes_on_where_it_was(handbook, reading_lm):
    class Killed(BaseException):
        pass

    seen: list[int] = []

    def dies(request):
        seen.append(1)
        if len(seen) == 25:
            raise Killed
        return reading_lm.reply(request)

    make = lambda: recipes.rag(handbook / "handbook", handbook / "questions.csv", num_threads=1)  # noqa: E731
    with telic.context(lm=FunctionLM(dies, model="fake/reader")), pytest.raises(Killed):
        make().compile(handbook / "out")
    with telic.context(lm=FunctionLM(dies, model="fake/reader")):
        make().compile(handbook / "out")
    after = len(seen) - 25
    seen[:] = [0] * 100
    with telic.context(lm=FunctionLM(dies, model="fake/reader")):
        make().compile(handbook / "whole")

    assert after + 24 == len(seen) - 100


def test_no_lm_is_said_before_a_folder_is_made(handbook):
    with pytest.raises(NotConfiguredError, match="--lm"):
        recipes.rag(handbook / "handbook", handbook / "questions.csv").compile(handbook / "out")

    assert not (handbook / "out").exists()


def test_a_budget_holds_over_search_and_measuring(handbook, reading_lm):
    recipe = recipes.rag(handbook / "handbook", handbook / "questions.csv")
    with telic.context(lm=reading_lm):
        found = recipe.compile(handbook / "out", budget=telic.Budget(calls=40))

    assert len(reading_lm.requests) <= 40
    assert found.program.report.stopped is not None
    assert found.after is not None


def test_a_program_that_always_fails_is_not_searched_with(handbook):
    asked = []

    def fails(request):
        asked.append(1)
        raise ContextWindowExceededError("too long", model="fake")

    recipe = recipes.rag(handbook / "handbook", handbook / "questions.csv", size=60)
    with (
        telic.context(lm=FunctionLM(fails)),
        pytest.raises(EvaluationError, match="failed on all 6 rows .* nothing was searched") as stopped,
    ):
        recipe.compile(handbook / "out")

    assert len(asked) == 6
    assert len(stopped.value.results) == 6


def test_a_folder_that_was_changed_is_not_written_over(handbook, reading_lm):
    make = lambda: recipes.rag(handbook / "handbook", handbook / "questions.csv")  # noqa: E731
    with telic.context(lm=reading_lm):
        make().compile(handbook / "out")
        with (handbook / "out" / "program.py").open("a") as file:
            file.write("# mine\n")
        paid = len(reading_lm.requests)

        with pytest.raises(ConfigurationError, match=r"program.py' is not what this recipe would write"):
            make().compile(handbook / "out")
        with pytest.raises(ConfigurationError, match="other files"):
            make().compile(handbook / "handbook")
        with pytest.raises(ConfigurationError, match="is a file"):
            make().compile(handbook / "questions.csv")
    assert len(reading_lm.requests) == paid


def test_a_budget_that_cannot_hold_it_is_refused_before_anything_is_paid_for(handbook, reading_lm):
    recipe = recipes.rag(handbook / "handbook", handbook / "questions.csv")
    with telic.context(lm=reading_lm), pytest.raises(ConfigurationError, match="at the least"):
        recipe.compile(handbook / "out", budget=telic.Budget(calls=12))

    assert reading_lm.requests == []
    assert not (handbook / "out").exists()


def test_the_index_of_other_documents_is_refused(handbook, reading_lm):
    with telic.context(lm=reading_lm):
        recipes.rag(handbook / "handbook", handbook / "questions.csv", k=3).compile(handbook / "out")
        (handbook / "handbook" / "more.md").write_text("Room 99 is used by nobody.")

        with pytest.raises(StoredIndexError, match="another corpus"):
            recipes.rag(handbook / "handbook", handbook / "questions.csv", k=3).compile(handbook / "out")


def test_multihop_searches_twice(handbook):
    recipe = recipes.multihop(handbook / "handbook", handbook / "questions.csv")

    assert len(recipe.program.write_query) == 2
    assert "MultiHop(k=3" in str(recipe)


def test_long_answers_are_judged_by_an_lm(handbook):
    rows = [
        {"question": f"Why {n}?", "answer": f"Because of reason {n} " + "and more " * 12} for n in range(12)
    ]

    recipe = recipes.rag(handbook / "handbook", rows)

    assert recipe.metric is recipes.judged_answer
    assert "and the judge's" in str(recipe)
    assert (
        recipe.plan().calls[0]
        == 2 * recipes.rag(handbook / "handbook", rows, metric="answer_score").plan().calls[0]
    )
    lm = ScriptedLM([{"reasoning": "", "recall": 1.0, "precision": 0.5}])
    with telic.context(lm=lm):
        row = recipe.parts.trainset[0]
        assert recipe.metric(row, telic.Prediction(answer="Because.")) == pytest.approx(2 / 3)
    assert recipes.judged_answer(row, telic.Prediction(answer="Not in the documents.")) == 0.0


# Classes


def bank_rows(labels=2, count=24):
    return [
        {"text": f"message {n} about thing{n % labels}", "label": f"kind {n % labels}"} for n in range(count)
    ]


def test_classify_tells_what_always_guessing_would_reach():
    recipe = recipes.classify(bank_rows())

    assert "always saying" in str(recipe)
    assert recipe.program.retrieve is None


def test_classify_compiles_and_its_source_names_the_labels(tmp_path):
    def reply(request):
        asked = str(request.messages[-1]["content"])
        return {"label": "Kind_1" if "thing1" in asked else "kind 0"}

    with telic.context(lm=FunctionLM(reply)):
        found = recipes.classify(bank_rows()).compile(tmp_path / "out")

    assert found.after.score == 100.0
    source = (tmp_path / "out" / "program.py").read_text()
    assert '    "kind 0",\n' in source or "    'kind 0',\n" in source
    assert "BM25" not in source.partition("# What follows")[2]


def test_with_many_rows_instructions_are_searched_too():
    told = str(recipes.classify(bank_rows(count=150)))

    assert "Improve: demonstrations, then instructions" in told
    assert "BootstrapFewShotWithRandomSearch" in str(recipes.classify(bank_rows(count=100)))


def test_many_labels_are_short_listed_by_rows_to_learn_from_alone(tmp_path):
    recipe = recipes.classify(bank_rows(labels=20, count=100))

    near = recipe.program.retrieve("message about thing3").passages
    texts = {row.text for row in recipe.parts.trainset}
    assert "short list of 12" in str(recipe)
    assert {str(passage) for passage in near} <= texts


# Records


def people(count=14):
    return [
        {"text": f"Ann{n} is {n + 20} years old.", "name": f"Ann{n}", "age": n + 20} for n in range(count)
    ]


def read_people(request):
    asked = str(request.messages[-1]["content"])
    name = asked.rpartition("[[ ## text ## ]]")[2].split()[0]
    return {"records": [{"name": name, "age": int(name[3:]) + 20}]}


def test_extract_reads_what_a_record_is_from_columns(tmp_path):
    recipe = recipes.extract(people())

    assert "name: str, age: int" in str(recipe)
    assert recipe.program.verbatim == ["name"]
    with telic.context(lm=FunctionLM(read_people)):
        found = recipe.compile(tmp_path / "out")
        scope = {"__name__": "left_extract", "__file__": str(tmp_path / "out" / "program.py")}
        import sys
        import types

        sys.modules["left_extract"] = types.ModuleType("left_extract")
        sys.modules["left_extract"].__dict__.update(scope)
        exec((tmp_path / "out" / "program.py").read_text(), sys.modules["left_extract"].__dict__)
        left = sys.modules["left_extract"].load()(text="Ann3 is 23 years old.")
    assert found.after.score == 100.0
    assert (left.records[0].name, left.records[0].age) == ("Ann3", 23)


def test_extract_tells_numbers_from_texts_in_a_csv_file(tmp_path):
    with (tmp_path / "rows.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text", "code", "price", "count", "open"])
        writer.writerows([f"offer {n}", f"00{n}", f"{n}.5", str(n), ["yes", ""][n % 2]] for n in range(12))

    told = str(recipes.extract(tmp_path / "rows.csv"))

    assert "code: str, price: float, count: int, open: str | None = None" in told


def test_extract_takes_lists_of_records(tmp_path):
    rows = [
        {"text": f"text {n}", "records": [{"name": f"a{n}"}, {"name": f"b{n}", "tags": ["x"]}]}
        for n in range(12)
    ]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    assert "24 in 12 texts: name: str, tags: list[str] | None = None" in str(
        recipes.extract(tmp_path / "rows.jsonl")
    )


# Refused before anything is paid for


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows[:5], "has 5 rows; a recipe needs at least 10"),
        (lambda rows: [*rows, {**rows[0], "answer": "other"}], "ask the same and are answered differently"),
        (lambda rows: [*rows, {"question": " ", "answer": "x"}], r"row 12 .* 'question' is empty"),
        (lambda rows: [*rows, {"question": "?", "answer": ""}], 'write "not in the documents"'),
        (lambda rows: [*rows, {"question": 3, "answer": "x"}], "'question' is int"),
        (lambda rows: [*rows, {"question": "?", "answer": True}], "'answer' is bool"),
        (lambda rows: [*rows, {"question": "?"}], "there is no column 'answer'"),
        (lambda rows: [{"query": r["question"], "answer": r["answer"]} for r in rows], "--question"),
        (
            lambda rows: [{**r, "question": f"{r['question']} It is {r['answer']}."} for r in rows],
            "word for word",
        ),
        (lambda rows: 3, "pass a file, or a list"),
        (lambda rows: [1, 2], "row 0 of the data is int"),
        (lambda rows: [], "no rows"),
    ],
)
def test_rows_that_cannot_work_are_refused(handbook, change, message):
    rows = [{"question": f"Which team uses room {n}?", "answer": f"team {n}"} for n in range(12)]

    with pytest.raises(DatasetError, match=message):
        recipes.rag(handbook / "handbook", change(rows))


def test_rows_that_say_the_same_twice_are_left_out_and_counted(handbook):
    rows = [{"question": f"Which team uses room {n}?", "answer": f"team {n}"} for n in range(12)]

    recipe = recipes.rag(handbook / "handbook", [*rows, rows[0], rows[1]])

    assert sum(len(part) for part in recipe.parts[:3]) == 12
    assert "2 rows said the same as another" in str(recipe)


def test_documents_without_text_are_refused(handbook, tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "scans").mkdir()
    (tmp_path / "scans" / "a.txt").write_bytes(b"")

    with pytest.raises(DatasetError, match="has no files"):
        recipes.rag(tmp_path / "empty", handbook / "questions.csv")
    with pytest.raises(DatasetError, match="no file has text"):
        recipes.rag(tmp_path / "scans", handbook / "questions.csv")
    with pytest.raises(DatasetError, match="there is no file or folder"):
        recipes.rag(tmp_path / "none", handbook / "questions.csv")


@pytest.mark.parametrize("k", [0, -1, True, 2.5])
def test_an_impossible_k_is_refused(handbook, k):
    with pytest.raises(ConfigurationError, match="k is"):
        recipes.rag(handbook / "handbook", handbook / "questions.csv", k=k)


def test_k_beyond_the_corpus_reads_all_there_is(tmp_path):
    (tmp_path / "one.md").write_text("Room 1 is used by team A.")
    rows = [{"question": f"Which team uses room {n}?", "answer": "team A"} for n in range(12)]

    assert "RAG(k=1" in str(recipes.rag(tmp_path / "one.md", rows))
    program = recipes.rag(tmp_path / "one.md", rows, k=50).program
    assert len(program.retrieve("room 1").passages) == 1


def test_an_unknown_metric_is_refused(handbook):
    with pytest.raises(ConfigurationError, match="answer_score"):
        recipes.rag(handbook / "handbook", handbook / "questions.csv", metric="f1")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"text": f"t{n}", "label": "one"} for n in range(12)], "only the label 'one'"),
        ([{"text": f"t{n % 4}", "label": f"kind {n % 2}"} for n in range(12)], "a recipe needs"),
        ([{"text": f"{n}: kind {n % 2}", "label": f"kind {n % 2}"} for n in range(12)], "word for word"),
        ([{"text": f"t{n}", "label": ["a", "b"]} for n in range(12)], "one label"),
    ],
)
def test_classes_that_cannot_be_learned_are_refused(rows, message):
    with pytest.raises(DatasetError, match=message):
        recipes.classify(rows)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"text": f"t{n}"} for n in range(12)], "nothing that is to be found"),
        ([{"body": f"t{n}", "name": "x"} for n in range(12)], "no column 'text'"),
        ([{"text": f"t{n}", "first name": "x"} for n in range(12)], "cannot be the name of a field"),
        ([{"text": f"t{n}", "class": "x"} for n in range(12)], "cannot be the name of a field"),
        ([{"text": f"t{n}", "v": [1, "a"][n % 2]} for n in range(12)], "of no one type"),
        ([{"text": f"t{n}", "records": "[{"} for n in range(12)], "no JSON"),
        ([{"text": f"t{n}", "records": {"name": "x"}} for n in range(12)], "list of objects"),
        ([{"text": f"t{n}", "records": []} for n in range(12)], "no records"),
    ],
)
def test_records_that_cannot_be_learned_are_refused(rows, message):
    with pytest.raises(DatasetError, match=message):
        recipes.extract(rows)
