"""`telic recipe rag` over telic's own documentation, with questions whose answers are known."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

import telic
from telic import recipes
from telic.testing import FunctionLM

ROOT = Path(__file__).parent.parent.parent
QUESTIONS = ROOT / "examples" / "docs_questions.csv"
NOT_FOUND = "not in the documents"


@pytest.fixture(scope="module")
def known():
    with QUESTIONS.open(encoding="utf-8", newline="") as file:
        return {row["question"]: row["answer"] for row in csv.DictReader(file)}


@pytest.fixture(scope="module")
def documents():
    return telic.retrieve.load_documents(ROOT / "docs")


def words(text):
    return " ".join(text.replace("\\n", " ").replace('\\"', '"').split())


def test_nearly_all_answers_stand_in_the_documents(known, documents):
    text = words(" ".join(documents))

    assert len(known) == 30
    gone = [answer for answer in known.values() if answer not in text and answer != NOT_FOUND]
    assert len(gone) <= 3, gone  # the documentation moves; a few questions may wait for their new answers


def test_most_answers_are_retrieved_and_a_reader_learns_to_be_short(known, documents, tmp_path):
    def reader(request):
        """Answer what the passages say, at length until a demonstration shows that a few words will do."""
        asked = str(request.messages[-1]["content"])
        answer = known[asked.rpartition("[[ ## question ## ]]\n")[2].partition("\n")[0]]
        if answer not in words(asked.partition("[[ ## passages ## ]]")[2]):
            answer = NOT_FOUND
        elif sum(message["role"] == "user" for message in request.messages) == 1:
            answer = f"As far as these pages tell, one may say that it is {answer}"
        return {"reasoning": "The pages say so.", "answer": answer, "sources": []}

    recipe = recipes.rag(documents, QUESTIONS)
    with telic.context(lm=FunctionLM(reader)):
        found = recipe.compile(tmp_path / "out")

    assert found.before.score < 60
    assert found.after.score > 75
    assert found.program.retrieve.k <= 12
