import pytest
from skills.code import CELLS, code_answer, code_mending, code_writing, error_of, right_code

SKILLS = [code_writing, code_mending, code_answer]


@pytest.mark.parametrize("skill", SKILLS)
@pytest.mark.parametrize("held_out", [False, True])
def test_rows_read_back_through_the_adapters(rows, reads_back, skill, held_out):
    for task, row in rows(skill, 25, held_out):
        reads_back(task, row)


@pytest.mark.parametrize("skill", [code_writing, code_mending])
def test_code_of_the_rows_runs(rows, skill):
    for _, row in rows(skill, 80):
        assert error_of(row.outputs["generated_code"]) is None


def test_code_to_be_mended_fails_with_the_error_that_is_told(rows):
    for _, row in rows(code_mending, 80):
        assert error_of(row.inputs["previous_code"]) == row.inputs["error"]


def test_the_answer_is_what_the_code_prints(rows, capsys):
    for _, row in rows(code_answer, 80):
        exec(row.inputs["final_generated_code"], {})
        printed = capsys.readouterr().out.strip()
        assert printed == row.inputs["code_output"] == str(list(row.outputs.values())[-1])


def test_other_code_with_the_same_output_is_right_and_code_that_does_more_is_not(rows):
    row = next(r for _, r in rows(code_writing, 1, kind="bare"))
    code = row.outputs["generated_code"]
    assert right_code(row, {"generated_code": code.replace("result", "x")})
    assert not right_code(row, {"generated_code": f"import os\n{code}"})
    assert not right_code(row, {"generated_code": "print(-1)"})
    assert not right_code(row, {})


def test_cells_draw(rows):
    for cell in CELLS.values():
        for _, row in rows(cell.make, 3, held_out=True):
            assert cell.judge(row, row.outputs)
