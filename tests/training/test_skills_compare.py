import re

import pytest
from skills.compare import CELLS, comparison


@pytest.mark.parametrize("held_out", [False, True])
def test_rows_read_back_through_the_adapters(rows, reads_back, held_out):
    for task, row in rows(comparison, 30, held_out):
        reads_back(task, row)


def test_the_right_answer_is_among_the_attempts_and_the_majority_is_often_wrong(rows):
    majority_wrong = total = 0
    for _, row in rows(comparison, 150):
        answer = str(list(row.outputs.values())[-1])
        attempts = [v for k, v in row.inputs.items() if k.startswith("reasoning_attempt")]
        right = [a.endswith(f": {answer}") for a in attempts]
        assert any(right)
        total += 1
        majority_wrong += sum(right) * 2 < len(right)
    assert 0.15 < majority_wrong / total < 0.5


def test_the_rationale_names_the_attempts_that_are_right(rows):
    for _, row in rows(comparison, 100):
        answer = str(list(row.outputs.values())[-1])
        named = {
            int(n)
            for n in re.findall(
                r"\d+", re.search(r"Attempts? .+ (is|are) right\.$", row.outputs["rationale"])[0]
            )
        }
        right = {
            int(k.rsplit("_", 1)[1])
            for k, v in row.inputs.items()
            if k.startswith("reasoning_attempt") and v.endswith(f": {answer}")
        }
        assert named == right


def test_sums_of_the_rationale_are_right(rows):
    for _, row in rows(comparison, 100, sums=True):
        for a, sign, b, c in re.findall(r"(\d+) ([+-]) (\d+) = (\d+)\.", row.outputs["rationale"]):
            assert (int(a) + int(b) if sign == "+" else int(a) - int(b)) == int(c)


def test_cells_draw(rows):
    for cell in CELLS.values():
        for _, row in rows(cell.make, 3, held_out=True):
            assert cell.judge(row, row.outputs)
