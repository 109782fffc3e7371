"""Validators in a signature's body: pydantic's `@field_validator` and `@model_validator`, held on what an LM answers.

They run in a pydantic model that is made on the first check; signatures without validators never make one.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from telic._optional import load

if TYPE_CHECKING:
    from telic.signatures._field import FieldInfo


def make_model(
    title: str,
    inputs: Mapping[str, FieldInfo],
    outputs: Mapping[str, FieldInfo],
    validators: Mapping[str, Any],
) -> Any:
    """Return a pydantic model that takes outputs (typed) and inputs (as they are), and runs the validators.

    Validators of fields that an edit has taken out are left out.
    """
    pydantic = load("pydantic")
    fields: dict[str, Any] = dict.fromkeys(inputs, (Any, None))
    for name, field in outputs.items():
        options: dict[str, Any] = dict(field.constraints)
        if field.default_factory is not None:
            options["default_factory"] = field.default_factory
        elif field.has_default or field.optional:
            options["default"] = field.get_default() if field.has_default else None
        fields[name] = (field.annotation, pydantic.Field(**options))
    kept = {name: proxy for name, proxy in validators.items() if _applies(proxy, fields)}
    config = pydantic.ConfigDict(arbitrary_types_allowed=True, protected_namespaces=())
    return pydantic.create_model(title, __config__=config, __validators__=kept, **fields)


def _applies(proxy: Any, fields: Mapping[str, Any]) -> bool:
    named = getattr(proxy.decorator_info, "fields", ())
    return not named or "*" in named or all(name in fields for name in named)


def run_model(
    model: Any, outputs: Mapping[str, FieldInfo], values: Mapping[str, Any], inputs: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the outputs as the validators leave them.

    Raises:
        ValueError: A validator objects; the message says what each field's fault is, in words fit for an LM.
    """
    known = {name: value for name, value in inputs.items() if name in model.model_fields}
    try:
        checked = model.model_validate({**known, **values})
    except load("pydantic").ValidationError as error:
        raise ValueError("; ".join(_fault(item) for item in error.errors(include_url=False))) from error
    return {name: getattr(checked, name) for name in outputs}


def _fault(item: Mapping[str, Any]) -> str:
    place = ".".join(str(part) for part in item["loc"])
    message = str(item["msg"]).removeprefix("Value error, ").removeprefix("Assertion failed, ")
    return f"`{place}`: {message}" if place else message
