import copy
import pickle

import pydantic
import pytest

from telic.types import Code

JAVA = Code["java"]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("x = 1", "x = 1"),
        ("```python\nx = 1\n```", "x = 1"),
        ("```\nx = 1\n```", "x = 1"),
        ("~~~py\nx = 1\n~~~", "x = 1"),
        ("Sure:\n\n```python\nx = 1\n\ny = 2\n```\nThat is it.", "x = 1\n\ny = 2"),
        ("```python\nx = 1", "x = 1"),
        ("````md\n```py\nx\n```\n````", "```py\nx\n```"),
        ("```bash\npip install x\n```\n```python\nimport x\n```", "import x"),
        ("```a\n1\n```\n```b\n2\n```", "1\n\n2"),
        ("  ```python\n  x = 1\n  ```", "  x = 1"),
        ("s = '```'", "s = '```'"),
        ("", ""),
    ],
)
def test_fences_and_prose_are_taken_off(text, code):
    assert Code(text).code == code
    assert Code.from_text(text) == Code(code=text) == Code({"code": text})


def test_a_language_is_a_type_of_its_own():
    assert JAVA is Code["java"]
    assert JAVA is not Code["python"]
    assert (JAVA.language, Code.language) == ("java", "python")
    assert JAVA.__name__ == 'Code["java"]'
    assert issubclass(JAVA, Code)
    assert JAVA("x") != Code("x")
    assert Code["python"]("x") == Code("x")
    assert JAVA("```python\nno\n```\n```java\nint x;\n```").code == "int x;"


@pytest.mark.parametrize("language", ["", " ", 3, None, ("a", "b"), "a\nb", 'a"b', "x" * 50, str])
def test_a_language_is_a_short_name(language):
    with pytest.raises(TypeError, match="name of a language in quotes"):
        Code[language]


@pytest.mark.parametrize("value", [3, None, ["x"], {"kode": "x"}])
def test_what_is_no_text_is_refused(value):
    with pytest.raises(ValueError, match="code is text"):
        Code(value)


def test_code_is_shown_and_copied():
    code = JAVA("int x;")

    assert str(code) == code.format() == "int x;"
    assert repr(code) == "Code[\"java\"]('int x;')"
    assert len(repr(Code("x" * 10_000))) < 300
    assert copy.deepcopy(code) is code
    assert len({code, JAVA("int x;"), Code("int x;")}) == 2


def test_code_goes_to_other_processes_as_it_is():
    for code in (JAVA("int x;"), Code("```\nx"), Code("s = '```'\n```")):
        again = pickle.loads(pickle.dumps(code))
        assert again == code
        assert type(again) is type(code)


def test_a_model_holds_code():
    class Answer(pydantic.BaseModel):
        program: Code["sql"]  # noqa: F821

    answer = Answer(program="```sql\nSELECT 1\n```")

    assert answer.program.code == "SELECT 1"
    assert answer.model_dump(mode="json") == {"program": {"code": "SELECT 1"}}
    assert Answer.model_validate_json(answer.model_dump_json()) == answer
    assert Answer(program=Code("SELECT 2")).program.language == "sql"


def test_hostile_fences_take_linear_time():
    assert Code("```\n" * 20_000)
    assert Code("`" * 200_000)
