"""What finetuning is told, in our names and in those of others."""

from __future__ import annotations

import pytest

from telic.errors import ConfigurationError
from telic.training import SFTSettings, read_settings


def test_the_names_of_dspys_local_provider_are_taken():
    told = {
        "num_train_epochs": 5, "per_device_train_batch_size": 2, "gradient_accumulation_steps": 8,
        "learning_rate": 1e-5, "max_seq_length": 256, "use_peft": True, "bf16": True, "packing": False,
        "device_map": None, "output_dir": None,
    }  # fmt: skip

    settings = read_settings(told)

    assert settings == SFTSettings(
        epochs=5,
        batch_size=16,
        rows_at_once=2,
        learning_rate=1e-5,
        max_length=256,
        method="lora",
        dtype="bfloat16",
    )


def test_nothing_told_is_the_defaults():
    assert read_settings(None) == read_settings({}) == SFTSettings()


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({"learnin_rate": 1}, "has no 'learnin_rate'; did you mean 'learning_rate'"),
        ({"packing": True}, "has no 'packing'"),
        ({"epochs": 1, "num_train_epochs": 2}, "'epochs' is given twice"),
        ({"epochs": 0}, "epochs=0: a whole number, 1 or more"),
        ({"steps": True}, "steps=True: a whole number"),
        ({"batch_size": 1.5}, r"batch_size=1\.5: a whole number"),
        ({"learning_rate": -1}, "learning_rate=-1: a number from 0"),
        ({"learning_rate": float("nan")}, "learning_rate=nan: a number"),
        ({"warmup": 2}, "warmup=2: a number from 0 to 1"),
        ({"schedule": "linaer"}, "schedule='linaer'; did you mean 'linear'"),
        ({"too_long": "cat"}, "too_long='cat'"),
        ({"method": "adapter"}, "method='adapter' is unknown"),
        ({"max_length": 1}, "max_length=1: a whole number, 2 or more"),
    ],
)
def test_what_cannot_work_is_refused(told, message):
    with pytest.raises(ConfigurationError, match=message):
        read_settings(told)


def test_the_rate_rises_and_falls():
    settings = SFTSettings(warmup=0.2)

    rates = [settings.rate(step, 10, 1.0) for step in range(10)]

    assert rates[:3] == [0.5, 1.0, 1.0]
    assert rates[2:] == sorted(rates[2:], reverse=True)
    assert rates[-1] == pytest.approx(1 / 8)
    assert SFTSettings(schedule="constant", warmup=0.0).rate(9, 10, 0.3) == 0.3
    assert SFTSettings(schedule="cosine", warmup=0.0).rate(5, 10, 1.0) == pytest.approx(0.5)
