"""What compiles refuse at the door: students, teachers and settings that cannot work."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, cast

from telic._text import join_names, plural
from telic.context import context
from telic.context import get as get_setting
from telic.errors import ConfigurationError
from telic.evaluate import check_count, checked_examples
from telic.lm import as_lm
from telic.modules import Module
from telic.optimizers._progress import check_display

if TYPE_CHECKING:
    from telic.data import Example


def check_student(student: Any, name: str = "student") -> None:
    """Refuse what is no program with predictors.

    Raises:
        ConfigurationError: It is not.
    """
    if not isinstance(student, Module):
        raise ConfigurationError(
            f"{name} must be a Module with predictors, got {student!r}; wrap a function in a Module's forward"
        )
    if not student.predictors():
        raise ConfigurationError(
            f"{name} {type(student).__name__} has no predictor to compile: none is among its attributes "
            "(also not in lists or dicts), or all are in parts that were compiled before (`_compiled`)"
        )


def check_teacher(teacher: Any, student: Module) -> None:
    """Refuse a teacher whose predictors are not the student's; None: there is none.

    Raises:
        ConfigurationError: It is no module, or names or fields of its predictors differ.
    """
    if teacher is None:
        return
    check_student(teacher, "teacher")
    mine, theirs = dict(student.named_predictors()), dict(teacher.named_predictors())
    if set(mine) != set(theirs):
        raise ConfigurationError(
            f"the teacher must have the student's predictors {join_names(mine)}, and has {join_names(theirs)}: "
            "demonstrations are handed over by name"
        )
    for path, predictor in mine.items():
        fields, others = _fields(predictor), _fields(theirs[path])
        if fields != others:
            raise ConfigurationError(
                f"predictor {path!r} has the fields {fields} in the student and {others} in the teacher; "
                "their instructions may differ, their fields may not"
            )


def _fields(predictor: Any) -> tuple[list[str], list[str]]:
    signature = predictor.signature
    return list(signature.input_fields), list(signature.output_fields)


def check_settings(name: str, values: Any) -> None:
    """Refuse settings (`teacher_settings`) that are no mapping, or of unknown names.

    Raises:
        ConfigurationError: They are.
    """
    if values is None:
        return
    if not isinstance(values, dict):
        raise ConfigurationError(f"{name} must be a dict of settings such as {{'lm': LM(…)}}, got {values!r}")
    with context(**values):
        pass
    _check_lm(f"{name}['lm']", cast("dict[str, Any]", values).get("lm"))


def _check_lm(name: str, lm: Any) -> None:
    if lm is not None:
        try:
            as_lm(lm)
        except ConfigurationError as error:
            raise ConfigurationError(f"{name}: {error}") from None


def check_common(optimizer: Any) -> None:
    """Refuse settings of the names that all optimizers share, where they cannot work.

    Raises:
        ConfigurationError: One cannot.
    """
    check_count("num_threads", optimizer.num_threads, 1, optional=True)
    check_count("max_errors", optimizer.max_errors, 1, optional=True)
    check_display(optimizer.display_progress)
    for name in ("prompt_model", "task_model", "reflection_lm"):  # else it is found out when others were paid
        _check_lm(name, getattr(optimizer, name, None))


def checked_sets(
    trainset: Sequence[Example], valset: Sequence[Example] | None
) -> tuple[list[Example], list[Example] | None]:
    """Return the rows of a compile as lists.

    Raises:
        DatasetError: A list is empty or its rows do not declare their inputs.
    """
    rows = checked_examples("trainset", trainset)
    return rows, None if valset is None else checked_examples("valset", valset)


def error_limit(max_errors: int | None) -> int:
    """Return how many failures stop a compile: an optimizer's own number, or the setting."""
    return get_setting("max_errors") if max_errors is None else max_errors


def told_failures(failures: Sequence[tuple[int, Exception]], limit: int) -> str:
    """Return a sentence on the failures that ended a search."""
    index, first = failures[0]
    return f"{plural(len(failures), 'failure')} (max_errors={limit}); the first, on example {index}: {first}"
