"""Which LMs are finetuned, for which predictors, and how: settled before anything is paid for."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

from telic._hash import content_key
from telic._text import join_names
from telic.context import get as get_setting
from telic.errors import ConfigurationError
from telic.lm import LM
from telic.training import (
    NOT_OF_RESULT,
    ChatRow,
    JobServer,
    JobSettings,
    Learnable,
    Progress,
    SFTSettings,
    check_processes,
    check_size,
    check_trainable,
    finetune,
    finetune_by_job,
    is_trainable,
    read_job_settings,
    read_settings,
)


class Group(NamedTuple):
    """A model that is finetuned, and the predictors that will call it."""

    lms: Mapping[str, LM]
    """By the path of the predictor: the same weights, perhaps with other options."""
    name: str
    """Of its folder."""
    settings: SFTSettings | JobSettings
    """The latter where a provider finetunes it."""
    adapter: Any

    @property
    def paths(self) -> tuple[str, ...]:
        """Its predictors."""
        return tuple(self.lms)

    @property
    def lm(self) -> LM:
        """The LM of the first of them."""
        return next(iter(self.lms.values()))

    @property
    def prefers(self) -> bool:
        """Whether it learns which of two replies is the better one."""
        return isinstance(self.settings, SFTSettings) and self.settings.loss == "dpo"

    def folder_for(self, rows: Sequence[Learnable]) -> str:
        """Return the name of a folder for a training on these rows: another training, another folder."""
        settings = self.settings
        if isinstance(settings, SFTSettings):
            settings = settings.of_result
        learned = [row.learned for row in rows]
        return f"{self.name}-{content_key([self.lm.model, settings, learned])[:8]}"

    def train(
        self, rows: Sequence[Learnable], folder: Path, watch: Callable[[Progress], None] | None
    ) -> tuple[dict[str, LM], str]:
        """Finetune; return the new LMs by path, and what became of it in words."""
        if isinstance(self.settings, JobSettings):
            job = finetune_by_job(self.lm, cast("Sequence[ChatRow]", rows), folder, self.settings)
            tokens = "" if job.tokens is None else f", {job.tokens:,} tokens trained on"
            return self.renamed(
                job.model
            ), f"{self.lm.model!r} finetuned by job {job.job!r}{tokens}: {job.model!r}"
        for lm in [lm for lm in self.lms.values() if not lm.launched]:
            lm.close()  # the weights make room for those in training; the next call loads them again
        made = finetune(self.lm, rows, folder, self.settings, watch=watch)
        left = f", {made.dropped} rows too long and left out" if made.dropped else ""
        left += f", {made.cut} too long and cut" if made.cut else ""
        items = f"{made.rows} {'pairs' if self.prefers else 'rows'}"
        words = (
            f"{self.lm.model!r} finetuned on {items} in {made.steps} updates, "
            f"loss {made.losses[0]:.3f} to {made.losses[-1]:.3f}{left}; weights in {made.weights}"
        )
        return self.renamed(f"local/{made.weights}"), words

    def renamed(self, model: str) -> dict[str, LM]:
        """Return the LMs with other weights; predictors that shared one share one again."""
        new = {id(lm): lm.copy(model=model) for lm in self.lms.values()}
        return {path: new[id(lm)] for path, lm in self.lms.items()}


def groups_of(
    student: Any, train_kwargs: Mapping[Any, Any] | None, adapter: Any, *, multitask: bool
) -> list[Group]:
    """Return the LMs of a program's predictors with their settings.

    Raises:
        ConfigurationError: A predictor has no LM, or one that cannot be trained, or settings cannot work.
        MissingExtraError: A package that training needs is not installed.
    """
    groups: list[Group] = []
    for name, lms in shared_lms(student, multitask=multitask):
        lm = next(iter(lms.values()))
        settings = _settings(lm, list(lms), own_settings("train_kwargs", train_kwargs, lm))
        own = adapter.get(lm) if isinstance(adapter, Mapping) else adapter  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
        groups.append(Group(lms, name, settings, own))
    return groups


def shared_lms(student: Any, *, multitask: bool) -> list[tuple[str, dict[str, Any]]]:
    """Return the LMs of a program's predictors by path, those that share weights together, with a name for a folder.

    Raises:
        ConfigurationError: A predictor has no LM.
    """
    found: dict[str, dict[str, Any]] = {}
    for path, predictor in student.named_predictors():
        lm = predictor.lm if predictor.lm is not None else get_setting("lm")
        if lm is None:
            raise ConfigurationError(
                f"predictor {path!r} has no LM, so there are no weights to finetune; set `.lm` of it, or "
                "telic.configure(lm=…)"
            )
        model = str(getattr(lm, "model", lm))
        found.setdefault(model if multitask else f"{path} {model}", {})[path] = lm
    made: list[tuple[str, dict[str, Any]]] = []
    for lms in found.values():
        path, lm = next(iter(lms.items()))
        label = str(getattr(lm, "model", lm)).rstrip("/").rpartition("/")[2] if multitask else path
        made.append((re.sub(r"[^\w.-]+", "_", label).strip("._")[:40] or "lm", lms))
    return made


def _settings(lm: Any, paths: Sequence[str], given: Mapping[str, Any] | None) -> SFTSettings | JobSettings:
    """Return the settings of an LM that can be finetuned, here or by its provider."""
    if isinstance(lm, LM) and is_trainable(lm):
        settings = read_settings(given)
        check_trainable(lm, settings.method)
        if settings.in_processes > 1:
            check_processes(lm.model, settings)
        check_size(lm, settings)
        return settings
    if isinstance(lm, LM) and lm.client is None and lm.model.startswith("openai/"):
        JobServer(lm)  # there is a key
        return read_job_settings(given)
    raise ConfigurationError(
        f"the LM {str(getattr(lm, 'model', lm))!r} of {join_names(paths)} cannot be finetuned: its weights are not on "
        "this machine, and it is no 'openai/…'. Use LM('local/PATH-or-hub-id') or LM('telic/tiny') for the student, "
        "and what it has now for the teacher"
    )


def result_settings(given: Mapping[Any, Any] | None) -> Mapping[Any, Any] | None:
    """Return `train_kwargs` without what the result does not depend on but for rounding.

    So a training that was refused for want of memory goes on in its folder with smaller pieces.

    Example:
        >>> result_settings({"epochs": 2, "rows_at_once": 4})
        {'epochs': 2}
    """
    if given is None:
        return None
    return {
        key: result_settings(cast("Mapping[Any, Any]", value)) if isinstance(value, Mapping) else value
        for key, value in given.items()
        if key not in NOT_OF_RESULT
    }


def own_settings(name: str, given: Mapping[Any, Any] | None, lm: Any) -> Mapping[str, Any] | None:
    """Return the settings of one LM: those given for it, or for all."""
    if given is None:
        return None
    by_lm = [key for key in given if not isinstance(key, str) or "/" in key]
    if not by_lm:
        return given
    if len(by_lm) < len(given):
        raise ConfigurationError(f"{name} mixes settings with LMs; give settings, or settings by LM")
    for key in by_lm:
        if key is lm or key == lm.model or getattr(key, "model", None) == lm.model:
            return cast("Mapping[str, Any]", given[key])
    return None
