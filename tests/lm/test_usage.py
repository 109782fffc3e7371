"""Reading what a call used, and adding what it cost."""

from types import SimpleNamespace as Obj

import pytest

from telic.data import Completion, Response, Usage
from telic.lm._prices import FREE, Price
from telic.lm._usage import priced, usage_from

DETAILED = {
    "prompt_tokens": 10,
    "completion_tokens": 5,
    "prompt_tokens_details": {"cached_tokens": 4},
    "completion_tokens_details": {"reasoning_tokens": 3},
}


def as_objects(value):
    return Obj(**{k: as_objects(v) for k, v in value.items()}) if isinstance(value, dict) else value


def by_other_names(value):
    return {
        name.replace("prompt", "input").replace("completion", "output"): figure
        for name, figure in value.items()
    }


@pytest.mark.parametrize("reported", [DETAILED, as_objects(DETAILED), by_other_names(DETAILED)])
def test_usage_is_read_from_dicts_and_objects_by_both_names(reported):
    assert usage_from(reported) == Usage(10, 5, 4, 3, None, 1)


@pytest.mark.parametrize("reported", [None, {}, {"prompt_tokens": None}, {"prompt_tokens": "many"}])
def test_what_was_not_reported_is_a_call_of_unknown_size(reported):
    assert usage_from(reported) == Usage(calls=1)


def test_a_cost_is_added_where_price_and_size_are_known():
    response = Response((Completion("x"),), Usage(1_000_000, 1_000_000, 500_000))
    assert priced(response, Price(2.0, 8.0, 1.0)).usage.cost_usd == 1.0 + 0.5 + 8.0
    assert priced(response, Price(2.0, 8.0)).usage.cost_usd == 10.0
    assert priced(response, None).usage == response.usage._replace(calls=1)


def test_a_size_that_was_not_reported_has_no_cost_unless_it_is_free():
    response = Response((Completion("x"),))
    assert priced(response, Price(2.0, 8.0)).usage == Usage(calls=1)
    assert priced(response, FREE).usage == Usage(cost_usd=0.0, calls=1)


def test_a_cost_that_the_client_reports_stands():
    response = Response((Completion("x"),), Usage(10, 10, cost_usd=3.0, calls=2))
    assert priced(response, Price(2.0, 8.0)) is response
