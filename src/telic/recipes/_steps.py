"""`Steps`: a program that a TOML file declares, for those who do not write Python.

Steps run one after the other. Each takes the fields that its signature names, from the program's inputs or from steps
before it, and gives its outputs to those behind it. A file names no code: its strategies are those of this page, and
what needs loops or conditions needs Python.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, cast, final

from telic._text import did_you_mean, join_names
from telic.data import Prediction
from telic.errors import InputError, SignatureError, TelicError
from telic.modules import ChainOfThought, Module, Predict, Retrieve
from telic.recipes._toml import Key, TomlFile
from telic.recipes.programs import ThoughtReflection
from telic.retrieve import BM25, load_documents
from telic.signatures import Signature, ensure_signature

STRATEGIES: Final[Mapping[str, Callable[..., Any]]] = {
    "Predict": cast("Any", Predict),
    "ChainOfThought": ChainOfThought,
    "ThoughtReflection": ThoughtReflection,
}
_STEP: Final = {"name": str, "signature": str, "instructions": str, "strategy": str, "fields": dict, "options": dict,
                "retrieve": str, "k": int, "gives": str}  # fmt: skip
_CORPUS: Final = {"documents": str, "index": str, "size": int}
_OPTIONS: Final = {"temperature": float, "max_tokens": int, "top_p": float, "max_retries": int}


@final
class Steps(Module):
    """Steps in their order.

    Args:
        steps: By name.
        takes: The fields that each step takes; the one that a `Retrieve` searches for.
        gives: The field that each `Retrieve` gives.
        inputs: What the program takes.

    Calling it takes the inputs by name.

    Returns (of a call): a `Prediction` with all that the steps gave.

    Raises:
        InputError: Inputs are missing or unknown; nothing was sent.

    Example:
        >>> from telic.testing import FunctionLM
        >>> program = Steps({"say": Predict("name -> greeting")}, {"say": ["name"]}, {}, ["name"])
        >>> program.set_lm(FunctionLM(lambda text: {"greeting": "Hello Ada"}))
        >>> program(name="Ada").greeting
        'Hello Ada'
    """

    def __init__(
        self,
        steps: Mapping[str, Module],
        takes: Mapping[str, Sequence[str]],
        gives: Mapping[str, str],
        inputs: Sequence[str],
    ) -> None:
        super().__init__()
        self.steps = dict(steps)
        self.takes = dict(takes)
        self.gives = dict(gives)
        self.input_names = list(inputs)

    def forward(self, **inputs: Any) -> Prediction:
        """Run the steps."""
        self._check(inputs)
        values, given = dict(inputs), dict[str, Any]()
        for name, step in self.steps.items():
            taken = self.takes[name]
            if name in self.gives:
                found: dict[str, Any] = {self.gives[name]: step(values[taken[0]]).passages}
            else:
                found = dict(step(**{field: values[field] for field in taken}).items())
            values.update(found)
            given.update(found)
        return Prediction(**given)

    def _check(self, inputs: Mapping[str, Any]) -> None:
        faults = [
            f"unknown input {n!r}{did_you_mean(n, self.input_names)}"
            for n in inputs
            if n not in self.input_names
        ]
        faults += [f"missing input {name!r}" for name in self.input_names if name not in inputs]
        if faults:
            raise InputError(f"{faults[0]}; the program takes {join_names(self.input_names)}")


def declared(file: TomlFile) -> Steps:
    """Return the program of a file.

    Raises:
        ConfigurationError: Something in it cannot work; the message names line and key.
        DatasetError: Its documents cannot be read.
    """
    count = len(file.data.get("steps", ()))
    if not count:
        raise file.fault(("steps",), "a program needs steps: [[steps]] with a name and a signature")
    steps: dict[str, Module] = {}
    takes: dict[str, list[str]] = {}
    gives: dict[str, str] = {}
    given: set[str] = set()
    needed: dict[str, Key] = {}
    rm = _corpus(file)
    for place in range(count):
        key: Key = ("steps", place)
        step = file.table(key, _STEP, needed=("name",))
        name: str = step["name"]
        if name in steps:
            raise file.fault((*key, "name"), f"there are two steps {name!r}")
        if ("signature" in step) == ("retrieve" in step):
            raise file.fault(
                key, "a step has either a signature, or `retrieve`: the field that it searches for"
            )
        if "retrieve" in step:
            steps[name], takes[name] = _search(file, key, step, rm), [step["retrieve"]]
            gives[name] = step.get("gives", "passages")
            outputs = [gives[name]]
        else:
            steps[name], signature = _asking(file, key, step)
            takes[name], outputs = list(signature.input_fields), list(signature.output_fields)
        for field in takes[name]:
            if field not in given:
                needed.setdefault(field, key)
        given.update(outputs)
    return Steps(steps, takes, gives, _inputs(file, needed, given))


def _inputs(file: TomlFile, needed: Mapping[str, Key], given: set[str]) -> tuple[str, ...]:
    """Return the program's inputs: those declared, or what no step before gives."""
    late = [name for name in needed if name in given]
    if late:
        raise file.fault(needed[late[0]], f"takes {late[0]!r}, which only a later step (or itself) gives")
    told: Any = file.data.get("inputs")
    if told is None:
        return tuple(needed)
    file.check(("inputs",), told, list)
    for name in told:
        file.check(("inputs",), name, str)
    missing = [name for name in needed if name not in told]
    if missing:
        raise file.fault(
            needed[missing[0]],
            f"takes {missing[0]!r}{did_you_mean(missing[0], {*given, *told})}, which is no input ({join_names(told)}) "
            "and is given by no step before it",
        )
    return tuple(told)


def _asking(file: TomlFile, key: Key, step: dict[str, Any]) -> tuple[Module, type[Signature]]:
    for name in ("k", "gives"):
        if name in step:
            raise file.fault((*key, name), "belongs to a step that retrieves")
    strategy = step.get("strategy", "Predict")
    if strategy not in STRATEGIES:
        known = f"{did_you_mean(strategy, STRATEGIES)}; there are {join_names(STRATEGIES)}"
        raise file.fault((*key, "strategy"), f"unknown: {strategy!r}{known}")
    try:
        signature: Any = ensure_signature(step["signature"])
    except SignatureError as error:
        raise file.fault((*key, "signature"), str(error)) from error
    if "instructions" in step:
        signature = signature.with_instructions(step["instructions"])
    described = file.table((*key, "fields"), dict.fromkeys(signature.fields, str)) if "fields" in step else {}
    for name, text in described.items():
        signature = signature.with_updated_fields(name, desc=text)
    options = file.table((*key, "options"), _OPTIONS) if "options" in step else {}
    if strategy == "ThoughtReflection" and options:
        raise file.fault((*key, "options"), "ThoughtReflection takes none")
    make: Callable[..., Any] = STRATEGIES[strategy]
    return cast("Any", make)(signature, **options), signature


def _search(file: TomlFile, key: Key, step: dict[str, Any], rm: Any) -> Retrieve:
    for name in ("instructions", "strategy", "fields", "options"):
        if name in step:
            raise file.fault((*key, name), "belongs to a step with a signature")
    if rm is None:
        raise file.fault(key, "retrieves, and there is no [corpus] with documents")
    try:
        return Retrieve(k=step.get("k", 5), rm=rm)
    except TelicError as error:
        raise file.fault((*key, "k"), str(error)) from error


def _corpus(file: TomlFile) -> BM25 | None:
    if "corpus" not in file.data:
        return None
    corpus = file.table(("corpus",), _CORPUS, needed=("documents",))
    here: Path = file.path.parent
    documents = load_documents(here / corpus["documents"], size=corpus.get("size", 1000))
    if not len(documents):
        raise file.fault(("corpus", "documents"), f"no file has text. {documents}")
    return BM25(documents, folder=None if "index" not in corpus else here / corpus["index"])
