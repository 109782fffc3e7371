import logging

import pytest
from telic.dsp.utils import deduplicate

from telic.compat._small import disable_logging, dotdict, enable_logging


def test_deduplicate_keeps_the_first_of_each():
    assert deduplicate(iter(["b", "a", "b", "c", "a"])) == ["b", "a", "c"]


def test_a_dotdict_is_a_dict_with_attributes():
    passage = dotdict({"long_text": "a"}, score=1)
    passage.score = 2
    del passage.long_text

    assert passage == {"score": 2}
    with pytest.raises(AttributeError, match="no 'long_text'"):
        _ = passage.long_text
    with pytest.raises(AttributeError, match="no 'long_text'"):
        del passage.long_text


def test_logging_is_switched_off_and_on(caplog):
    logger = logging.getLogger("telic.optimizers")
    try:
        disable_logging()
        logger.critical("unheard")
    finally:
        enable_logging()
    logger.warning("heard")

    assert caplog.messages == ["heard"]
