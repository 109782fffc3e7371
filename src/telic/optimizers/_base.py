"""`Optimizer`: makes a better program out of a program, a metric and examples.

The contract, which one suite checks for every optimizer: `compile` returns a new program that carries a `report`;
student, teacher, examples and the optimizer itself are as they were, so that one optimizer may serve twice and from two
threads; what cannot work is refused before anything is paid for; the same inputs give the same program whatever the
number of threads.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, final

from telic._optional import load
from telic._text import join_names, plural
from telic.context import context
from telic.context import get as get_setting
from telic.errors import ConfigurationError, EvaluationError
from telic.modules import Module
from telic.optimizers._report import Report
from telic.tracing import UsageTracker, begin, finish

if TYPE_CHECKING:
    from telic.data import Example


class Optimizer(ABC):
    """The base of all optimizers: settings in the constructor, data in `compile`."""

    @abstractmethod
    def compile(
        self,
        student: Any,
        *,
        trainset: Sequence[Example],
        teacher: Any = None,
        valset: Sequence[Example] | None = None,
    ) -> Any:
        """Return a new program that is better than `student` by the optimizer's metric, with `.report`."""

    def get_params(self) -> dict[str, Any]:
        """Return the settings of the constructor by name."""
        return {name: value for name, value in vars(self).items() if not name.startswith("_")}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self.get_params().items())})"


class CompileStopped(EvaluationError):
    """A compile that ended at `max_errors`.

    Attributes:
        results: What had been found: demonstrations, or rows of the candidate that failed.
        program: The best program that could be made of what was finished, with its report; None: there was none.
    """

    def __init__(self, message: str, *, results: Sequence[Any] = (), program: Any = None) -> None:
        super().__init__(message, results=results)
        self.program = program


class CompileInterrupted(KeyboardInterrupt):
    """Ctrl-C during a compile.

    Attributes:
        program: The best program that could be made of what was finished, with its report; None: there was none.
    """

    def __init__(self, message: str, *, program: Any = None) -> None:
        super().__init__(message)
        self.program = program


@final
class Compile:
    """One compile under way: its clock, its spend, and the callbacks that watch it. A context manager."""

    def __init__(self, optimizer: Optimizer, student: Any, **data: Any) -> None:
        self.optimizer = optimizer
        self.tracker = UsageTracker(get_setting("usage_tracker"))
        self.notes: list[str] = []
        self._inputs = {"student": student, **data}
        self._started = time.perf_counter()
        self._context: Any = None
        self._call: Any = None

    def note(self, text: str, *, warn: bool = False) -> None:
        """Put a line into the report and the log, there as a warning or for information."""
        self.notes.append(text)
        logger = load("logging").getLogger("telic.optimizers")
        (logger.warning if warn else logger.info)("%s: %s", type(self.optimizer).__name__, text)

    def report(self, **found: Any) -> Report:
        """Return the report with what this compile knows itself filled in."""
        return Report(
            optimizer=type(self.optimizer).__name__,
            spend=self.tracker.by_role(),
            seconds=time.perf_counter() - self._started,
            notes=tuple(self.notes),
            **found,
        )

    def __enter__(self) -> Self:
        self._call = begin("compile", self.optimizer, self._inputs)
        self._context = context(usage_tracker=self.tracker)
        self._context.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._context.__exit__(None, None, None)
        finish(self._call, None, error)


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
    """Refuse a teacher whose predictors are not the student's.

    Raises:
        ConfigurationError: It is no module, or names or fields of its predictors differ.
    """
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


def told_failures(failures: Sequence[tuple[int, Exception]], limit: int) -> str:
    """Return a sentence on the failures that ended a search."""
    index, first = failures[0]
    return f"{plural(len(failures), 'failure')} (max_errors={limit}); the first, on example {index}: {first}"
