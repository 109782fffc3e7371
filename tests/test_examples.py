"""Every example runs offline and comes to its result."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"


def run(name: str):
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # signatures look their types up there
    spec.loader.exec_module(module)
    return module.main()


def test_rag_answers_all_its_questions():
    assert run("rag") == 100.0


def test_multihop_finds_the_town():
    assert run("multihop") == "Delft"


def test_classify_is_better_compiled():
    before, after = run("classify")

    assert after > before


def test_the_agent_learns_whom_to_ask():
    assert run("agent") == (50.0, 100.0)


def test_a_chain_of_thought_answers_what_an_answer_at_once_cannot():
    at_once, thinking, taught = run("qa")

    assert at_once < 30
    assert min(thinking, taught) > 80


def test_reflection_answers_what_an_answer_at_once_cannot():
    at_once, reflected = run("reflection")

    assert at_once + 50 < reflected


def test_the_search_agent_searches_twice():
    assert run("search_agent") == "Delft"


def test_every_sentence_of_the_long_answer_is_cited():
    found = run("long_form")

    assert found.uncited == []
    assert set(found.citations) == {1, 2}


def test_the_query_is_repaired():
    found = run("sql")

    assert (found.answer, found.repairs, found.error) == ("125.5", 1, "")


def test_the_invented_name_is_asked_for_again():
    assert [(person.name, person.born) for person in run("extract")] == [
        ("Ada Lovelace", 1815),
        ("Charles Babbage", 1791),
    ]


def test_the_short_list_of_77_labels_begins_with_the_right_one():
    assert run("many_labels") > 85


def test_every_example_has_a_test():
    tested = {"agent", "rag", "multihop", "classify", "qa", "reflection"}
    tested |= {"search_agent", "long_form", "sql", "extract", "many_labels"}

    assert {path.stem for path in EXAMPLES.glob("*.py")} == tested


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.py")), ids=lambda path: path.stem)
def test_examples_are_short_and_say_how_they_are_run(path):
    text = path.read_text(encoding="utf-8")

    assert text.count("\n") <= 80
    assert f"python examples/{path.name}" in text
