import copy
import threading
from typing import NamedTuple

import pytest

from telic.data import Example
from telic.errors import ConfigurationError
from telic.modules import ChainOfThought, Module, Predict, replace_at


def predictor():
    return Predict("question -> answer")


class Pair(NamedTuple):
    left: object
    right: object


class Nested(Module):
    def __init__(self):
        self.first = predictor()
        self.hops = [predictor(), [predictor(), {"deep": predictor()}]]
        self.by_name = {"a": predictor(), 3: (predictor(), "text")}
        self.pair = Pair(predictor(), None)
        self.inner = ChainOfThought("question -> answer")
        self.settings = {"k": 3, "names": ["x"]}


PATHS = [
    "first",
    "hops[0]",
    "hops[1][0]",
    "hops[1][1]['deep']",
    "by_name['a']",
    "by_name[3][0]",
    "pair[0]",
    "inner.predict",
]


def test_predictors_are_found_in_every_attribute_and_nested_container():
    program = Nested()

    assert [path for path, _ in program.named_predictors()] == PATHS
    assert program.predictors() == [leaf for _, leaf in program.named_predictors()]


@pytest.mark.parametrize("path", PATHS)
def test_each_path_is_the_python_expression_that_reaches_the_part(path):
    program = Nested()

    assert eval(f"program.{path}") is dict(program.named_predictors())[path]


def test_a_lone_predictor_is_itself():
    predict = predictor()

    assert predict.named_predictors() == [("self", predict)]


def test_one_object_held_twice_is_one_part():
    program = Module()
    program.a = program.b = predictor()
    program.c = [program.a]

    assert [path for path, _ in program.named_predictors()] == ["a"]


def test_cycles_end():
    program, child = Module(), Module()
    program.child, child.parent, child.predict = child, program, predictor()
    ring = [predictor()]
    ring.append(ring)
    program.ring = ring

    assert [path for path, _ in program.named_predictors()] == ["child.predict", "ring[0]"]
    copied = program.deepcopy()
    assert copied.child.parent is copied
    assert copied.ring[1] is copied.ring


def test_predictors_of_the_class_are_parts_of_the_instance():
    class Program(Module):
        predict = Predict("question -> answer")
        others = [Predict("question -> answer")]  # noqa: RUF012

    one, two = Program(), Program()
    copied = one.deepcopy()
    copied.predict.demos.append(1)

    assert [path for path, _ in one.named_predictors()] == ["predict", "others[0]"]
    assert two.predict.demos == []
    assert copied.predict is not one.predict


def test_compiled_parts_are_left_out_for_optimizers_alone():
    program = Module()
    program.inner, program.predict = ChainOfThought("question -> answer"), predictor()
    program.inner._compiled = True

    assert [path for path, _ in program.named_predictors()] == ["predict"]
    assert [path for path, _ in program.inner.named_predictors()] == ["predict"]
    assert set(program.dump_state()["predictors"]) == {"inner.predict", "predict"}
    assert program.inner.frozen
    assert [path for path, _ in program.named_sub_modules(skip_compiled=True)] == ["self", "predict"]


def test_sub_modules_can_be_chosen_by_class():
    program = Nested()

    assert [path for path, _ in program.named_sub_modules(ChainOfThought)] == ["inner"]
    assert next(iter(program.named_sub_modules()))[0] == "self"


def test_predictors_are_replaced_everywhere_even_in_tuples():
    program = Nested()
    program.again = (program.first, (program.hops[0], program.hops[1][0]))
    made = []

    def replaced(old):
        made.append(predictor())
        return made[-1]

    assert program.map_named_predictors(replaced) is program
    assert program.predictors() == made
    assert program.again[0] is program.first
    assert program.again[1] == (program.hops[0], program.hops[1][0])
    assert isinstance(program.pair, Pair)
    assert program.pair.left in made
    assert program.by_name[3][1] == "text"


@pytest.mark.parametrize("path", PATHS)
def test_replace_at_leaves_the_program_as_it_was(path):
    program, new = Nested(), predictor()
    before = program.named_predictors()

    changed = replace_at(program, path, new)

    assert dict(changed.named_predictors())[path] is new
    assert program.named_predictors() == before


def test_replacing_the_root_gives_the_new_one():
    new = predictor()

    assert replace_at(predictor(), "self", new) is new


def test_an_unknown_path_is_refused_with_the_nearest_one():
    with pytest.raises(ConfigurationError, match=r"did you mean 'hops\[0\]'"):
        replace_at(Nested(), "hop[0]", predictor())


def test_a_copy_shares_rows_and_lms_and_nothing_that_is_changed_by_assignment(fake):
    program = Nested()
    row = Example(question="q", answer="a")
    program.first.demos, program.first.lm, program.first.config = [row], fake(), {"n": 2}

    copied = program.deepcopy()
    copied.first.demos.append(1)
    copied.first.config["n"] = 3
    copied.first.signature = copied.first.signature.with_instructions("other")
    copied.settings["names"].append("y")

    assert program.first.demos == [row]
    assert copied.first.demos[0] is row
    assert program.first.config == {"n": 2}
    assert copied.first.lm is program.first.lm
    assert program.first.signature.instructions != "other"
    assert program.settings["names"] == ["x"]
    assert not set(map(id, copied.predictors())) & set(map(id, program.predictors()))


def test_the_standard_copy_is_the_same():
    program = Nested()

    copied = copy.deepcopy({"program": program, "again": program})

    assert copied["program"] is copied["again"]
    assert copied["program"].first is not program.first


def test_what_cannot_be_copied_is_shared():
    program = Module()
    program.lock = threading.Lock()
    program.rows = {"set": {1, 2}}

    copied = program.deepcopy()

    assert copied.lock is program.lock
    assert copied.rows["set"] == {1, 2}
    assert copied.rows["set"] is not program.rows["set"]


def test_attributes_of_a_predictors_subclass_are_copied():
    class Counting(Predict):
        def __init__(self, signature):
            super().__init__(signature)
            self.seen = []

    one = Counting("question -> answer")
    two = one.deepcopy()
    two.seen.append(1)

    assert one.seen == []


def test_a_reset_copy_has_no_demos_and_keeps_lms_and_instructions(fake):
    program = Nested()
    lm = fake()
    program.set_lm(lm)
    program.first.demos = [1]
    program.first.signature = program.first.signature.with_instructions("kept")

    fresh = program.reset_copy()

    assert fresh.first.demos == []
    assert fresh.get_lm() is lm
    assert fresh.first.signature.instructions == "kept"
    assert program.first.demos == [1]
