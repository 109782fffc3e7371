"""`NearestDemos`: a program that is shown, at each call, the demonstrations of the rows nearest to its inputs.

The demonstrations were made once (`KNNFewShot` does it) and lie in a leaf of the tree, `pool`: so they are saved and
loaded with the program, and the vectorizer, which no file can hold, comes from the code that makes the program.
A call works on a copy of the program, which costs some microseconds; the program itself is never changed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, cast, final

from telic._counts import checked_count
from telic.data import Example
from telic.errors import ConfigurationError, InputError, StateError
from telic.modules._flow import Call, Flow
from telic.modules._knn import KNN
from telic.modules._module import FlowModule, Module
from telic.modules._state_values import plain_value, store_of, typed_value
from telic.modules._tree import Leaf


class RowDemos(NamedTuple):
    """What a row shows."""

    inputs: Mapping[str, Any]
    """Of the program: what nearness is measured by."""
    demos: Mapping[str, Example]
    """A demonstration for each predictor that has one, by its path in the program."""


@final
class _Rows:
    """Rows with what finds the nearest of them; never changed, and shared by copies of a program."""

    _share_on_copy = True

    def __init__(self, rows: Sequence[RowDemos], vectorizer: Callable[[list[str]], Any], k: int) -> None:
        self.rows = list(rows)
        self.vectorizer = vectorizer
        examples = [Example(**row.inputs).with_inputs(*row.inputs) for row in self.rows]
        self.names = frozenset(name for row in self.rows for name in row.inputs)
        self._by_id = {id(example): row for example, row in zip(examples, self.rows, strict=True)}
        self.nearest = KNN(k, examples, vectorizer) if examples else None
        """Finds the nearest; None: there are no rows."""

    def of(self, example: Example) -> RowDemos:
        """Return the row of an example that was found."""
        return self._by_id[id(example)]


@final
class DemoPool(Leaf):
    """The demonstrations to choose from: what a `NearestDemos` has learned.

    Args:
        rows: What each row shows.
        vectorizer: As for `KNN`.
        limits: How many rows are looked at, how many bootstrapped demonstrations a predictor gets at most, and how
            many in all.
        program: Whose demonstrations they are; typed values are read back by its signatures.
    """

    def __init__(
        self,
        rows: Sequence[RowDemos],
        vectorizer: Callable[[list[str]], Any],
        limits: tuple[int, int, int],
        program: Any,
    ) -> None:
        self.shown = _Rows(rows, vectorizer, limits[0])
        self.limits = limits
        self.signatures = {path: predictor.signature for path, predictor in program.named_predictors()}

    def reset(self) -> None:
        """Forget all rows."""
        self.shown = _Rows([], self.shown.vectorizer, self.limits[0])

    def chosen(self, found: Sequence[Example], path: str) -> list[Example]:
        """Return a predictor's demonstrations out of the nearest rows, the nearest last: it stands by the question."""
        _, most_made, most = self.limits
        made: list[tuple[int, Example]] = []
        labelled: list[tuple[int, Example]] = []
        for place, example in enumerate(found):
            demo = self.shown.of(example).demos.get(path)
            if demo is not None:
                (made if demo.get("augmented") else labelled).append((place, demo))
        kept = made[:most_made]
        kept += labelled[: max(0, most - len(kept))]
        return [demo for _, demo in sorted(kept, key=lambda item: -item[0])]

    def dump_leaf_state(self) -> dict[str, Any]:
        """Return rows and limits as JSON data."""
        rows = [
            {
                "inputs": plain_value(dict(row.inputs), f"the inputs of row {number}"),
                "demos": {
                    path: plain_value(store_of(demo), f"the demo of row {number} for {path!r}")
                    for path, demo in row.demos.items()
                },
            }
            for number, row in enumerate(self.shown.rows)
        ]
        return {"limits": list(self.limits), "rows": rows}

    def read_leaf_state(self, state: Mapping[str, Any]) -> dict[str, Any]:
        """Return the attributes of a saved pool.

        Raises:
            StateError: It is none.
        """
        rows, limits = state.get("rows"), state.get("limits")
        if not isinstance(rows, list) or not _are_limits(limits):
            raise StateError("the saved demonstrations to choose from have no rows or no limits")
        read = [self._row(row, number) for number, row in enumerate(cast("list[Any]", rows))]
        sizes = tuple(cast("list[int]", limits))
        return {"shown": _Rows(read, self.shown.vectorizer, sizes[0]), "limits": sizes}

    def _row(self, row: Any, number: int) -> RowDemos:
        where = f"row {number} of the demonstrations to choose from"
        saved = cast("dict[str, Any]", row) if isinstance(row, dict) else {}
        inputs, demos = saved.get("inputs"), saved.get("demos")
        if not isinstance(inputs, dict) or not isinstance(demos, dict):
            raise StateError(f"{where} has no inputs or no demos")
        known = [path for path in cast("dict[str, Any]", demos) if path not in self.signatures]
        if known:
            raise StateError(f"{where} is for the predictor {known[0]!r}, which the program has not")
        fields = {n: f for s in self.signatures.values() for n, f in s.input_fields.items()}
        typed = {path: self._demo(demo, path, where) for path, demo in cast("dict[str, Any]", demos).items()}
        return RowDemos(_typed(cast("dict[str, Any]", inputs), fields, where), typed)

    def _demo(self, demo: Any, path: str, where: str) -> Example:
        if not isinstance(demo, dict):
            raise StateError(f"{where}: its demo for {path!r} is no object")
        signature = self.signatures[path]
        values = _typed(cast("dict[str, Any]", demo), signature.fields, where)
        return Example(**values)


def _are_limits(limits: Any) -> bool:
    if not isinstance(limits, list):
        return False
    sizes = cast("list[Any]", limits)
    return len(sizes) == 3 and all(type(one) is int and one >= 0 for one in sizes) and sizes[0] >= 1


def _typed(values: dict[str, Any], fields: Mapping[str, Any], where: str) -> dict[str, Any]:
    return {
        name: typed_value(value, fields[name], where)
        if name in fields and fields[name].annotation is not str
        else value
        for name, value in values.items()
    }


class NearestDemos(FlowModule):
    """Run a program with the demonstrations of the rows nearest to its inputs.

    Args:
        program: The program; its own demos give way where there are nearer ones.
        k: How many rows are looked at.
        vectorizer: As for `KNN`: takes a list of texts and returns their vectors.
        rows: What each row shows; none yet: `load` brings them.
        max_bootstrapped_demos: How many of a predictor's demos, at most, are of runs that were right.
        max_labeled_demos: How many it has at most, labelled rows among them.
        callbacks: Told of this module's calls.

    Raises:
        ConfigurationError: `program` is no module, or a size cannot work.
        InputError: At a call, an input of the rows is missing.

    To load what `KNNFewShot` made: `NearestDemos(MyProgram(), k=3, vectorizer=embed).load("program.json")`.

    Cost: one call of the program; the vectorizer is called once for all rows, and once a call.
    Source: Liu et al. 2022 (arXiv 2101.06804).

    Example:
        >>> from telic.modules import Predict
        >>> from telic.testing import DummyVectorizer, FunctionLM
        >>> rows = [
        ...     RowDemos({"word": word}, {"self": Example(word=word, kind=kind)})
        ...     for word, kind in [("cats", "animal"), ("house", "thing"), ("dogs", "animal")]
        ... ]
        >>> program = NearestDemos(Predict("word -> kind"), k=1, vectorizer=DummyVectorizer(), rows=rows)
        >>> lm = FunctionLM(lambda request: {"kind": str(len(request.messages))})
        >>> program.set_lm(lm)
        >>> program(word="cat").kind, "cats" in lm.requests[0].messages[1]["content"]
        ('4', True)
    """

    _framed = False  # the program that it runs is a frame of its own

    def __init__(
        self,
        program: Module,
        k: int,
        vectorizer: Callable[[list[str]], Any],
        *,
        rows: Sequence[RowDemos] = (),
        max_bootstrapped_demos: int = 4,
        max_labeled_demos: int = 16,
        callbacks: Sequence[Any] | None = None,
    ) -> None:
        if not isinstance(program, Module):  # pyright: ignore[reportUnnecessaryIsInstance] - callers are users
            raise ConfigurationError(f"NearestDemos runs a module with predictors, got {program!r}")
        checked_count(k, "NearestDemos: k")
        checked_count(max_bootstrapped_demos, "NearestDemos: max_bootstrapped_demos", 0)
        checked_count(max_labeled_demos, "NearestDemos: max_labeled_demos", 0)
        if not callable(vectorizer):
            raise ConfigurationError(f"NearestDemos: the vectorizer {vectorizer!r} cannot be called")
        self.program = program
        self.pool = DemoPool(rows, vectorizer, (k, max_bootstrapped_demos, max_labeled_demos), program)
        if callbacks:
            self.callbacks = list(callbacks)

    def flow(self, *args: Any, **inputs: Any) -> Flow[Any]:
        """Find the nearest rows, and run the program with what they show."""
        pool = self.pool
        nearest = pool.shown.nearest
        if args:
            raise InputError(
                f"NearestDemos takes the inputs of its program by name, got {len(args)} by position"
            )
        if nearest is None:
            return (yield Call(self.program, **inputs))
        known = {name: value for name, value in inputs.items() if name in pool.shown.names}
        found = yield Call(nearest, **known)
        program = self.program.deepcopy()
        for path, predictor in program.named_predictors():
            demos = pool.chosen(found, path)
            if demos:
                predictor.demos = demos
        return (yield Call(program, **inputs))
