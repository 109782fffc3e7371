import re

import pytest
from skills.judge import CELLS, judging


@pytest.mark.parametrize("kind", ["facts", "sums", "gold", "rule"])
@pytest.mark.parametrize("held_out", [False, True])
def test_rows_read_back_through_the_adapters(rows, reads_back, kind, held_out):
    for task, row in rows(judging, 20, held_out, kind=kind):
        reads_back(task, row)


def test_both_verdicts_are_about_as_frequent(rows):
    verdicts = [list(row.outputs.values())[-1] for _, row in rows(judging, 150, typed="bool")]
    assert 0.4 < sum(verdicts) / len(verdicts) < 0.6


def test_verdicts_on_sums_are_right(rows):
    for task, row in rows(judging, 100, kind="sums", typed="bool"):
        problem = next(v for k, v in row.inputs.items() if re.search(r"[+-]|has", v))
        (answer,) = [v for v in row.inputs.values() if v is not problem]
        reason = next(iter(row.outputs.values()))
        sums = re.findall(r"(\d+) ([+-]) (\d+) = (\d+)", reason)
        for a, sign, b, c in sums:
            assert (int(a) + int(b) if sign == "+" else int(a) - int(b)) == int(c)
        assert list(row.outputs.values())[-1] == (answer.split()[0] == sums[-1][3])


def test_a_wrong_verdict_says_what_is_right_instead(rows):
    for _, row in rows(judging, 60, kind="sums", typed="bool"):
        reason, verdict = row.outputs.values()
        assert (", not " in reason) == (not verdict)


def test_cells_draw(rows):
    for cell in CELLS.values():
        for _, row in rows(cell.make, 3, held_out=True):
            assert cell.judge(row, row.outputs)
