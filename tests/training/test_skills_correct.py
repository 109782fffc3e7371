import re

import pytest
from skills.correct import CELLS, correction


@pytest.mark.parametrize("kind", ["labels", "facts", "sums"])
@pytest.mark.parametrize("hint", [False, True])
@pytest.mark.parametrize("held_out", [False, True])
def test_rows_read_back_through_the_adapters(rows, reads_back, kind, hint, held_out):
    for task, row in rows(correction, 15, held_out, kind=kind, hint=hint):
        reads_back(task, row)


def test_the_past_answer_is_never_repeated_whole(rows):
    for task, row in rows(correction, 150, hint=False):
        past = {name: row.inputs[f"past_{name}"] for name in task.signature.output_fields}
        assert past != row.outputs or "apital" in row.inputs["feedback"]


def test_inputs_of_assertions_come_after_the_tasks_own(rows):
    for task, _ in rows(correction, 30, hint=False):
        names = list(task.signature.input_fields)
        count = len(task.signature.output_fields)
        assert names[-1] == "feedback"
        assert names[-1 - count : -1] == [f"past_{n}" for n in task.signature.output_fields]


def test_sums_are_right(rows):
    for _, row in rows(correction, 100, kind="sums"):
        for a, sign, b, c in re.findall(r"(\d+) ([+-]) (\d+) = (\d+)\.", row.outputs.get("reasoning", "")):
            assert (int(a) + int(b) if sign == "+" else int(a) - int(b)) == int(c)


def test_answers_obey_the_feedback_that_has_a_form(rows):
    checked = 0
    for _, row in rows(correction, 300, kind="facts", hint=False):
        said, answer = row.inputs["feedback"], list(row.outputs.values())[-1]
        if "at most 2 words" in said:
            assert len(answer.split()) <= 2
        elif re.search("(?i)(full|complete|whole) sentence", said):
            assert answer.endswith(".")
            assert len(answer.split()) > 2
        elif re.search("upper case|capital letters\\.$", said) and not said.startswith("No "):
            assert answer == answer.upper()
        elif "lower case" in said:
            assert answer == answer.lower()
        elif match := re.search(r"^Mention (.+)\.$", said):
            assert match[1] in answer
        elif match := re.search(r"^Do not mention (.+)\.$", said):
            assert match[1] not in answer
        else:
            continue
        checked += 1
    assert checked > 100


def test_hints_are_in_the_words_of_refine(rows):
    texts = [row.inputs["hint_"] for _, row in rows(correction, 100, hint=True)]
    assert any(re.match("(?s)Earlier you answered:\n.+: .+\nThis was not good enough: .", t) for t in texts)
    assert "None was needed." in texts


def test_cells_draw(rows):
    for cell in CELLS.values():
        for _, row in rows(cell.make, 3, held_out=True):
            assert cell.judge(row, row.outputs)
