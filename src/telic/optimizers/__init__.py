"""Better programs from data: each optimizer takes a program, a metric and examples, and returns a new program.

An optimizer loads when it is first asked for: those that train weights bring a good deal with them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from telic._optional import later
from telic.optimizers._base import Optimizer as Optimizer

if TYPE_CHECKING:
    from telic._seed import derive as derive
    from telic.optimizers._better_together import BetterTogether as BetterTogether
    from telic.optimizers._bootstrap import BootstrapFewShot as BootstrapFewShot
    from telic.optimizers._checks import check_student as check_student
    from telic.optimizers._choice import Scored as Scored
    from telic.optimizers._choice import Tally as Tally
    from telic.optimizers._choice import best_of as best_of
    from telic.optimizers._compile import Compile as Compile
    from telic.optimizers._copro import COPRO as COPRO
    from telic.optimizers._ensemble import Ensemble as Ensemble
    from telic.optimizers._finetune import BootstrapFinetune as BootstrapFinetune
    from telic.optimizers._gepa import GEPA as GEPA
    from telic.optimizers._gepa_reflect import InstructionProposer as InstructionProposer
    from telic.optimizers._grpo import GRPO as GRPO
    from telic.optimizers._improve import Improve as Improve
    from telic.optimizers._improve import improve as improve
    from telic.optimizers._infer_rules import InferRules as InferRules
    from telic.optimizers._knn_few_shot import KNNFewShot as KNNFewShot
    from telic.optimizers._labeled import LabeledFewShot as LabeledFewShot
    from telic.optimizers._mipro import MIPROv2 as MIPROv2
    from telic.optimizers._optuna import BootstrapFewShotWithOptuna as BootstrapFewShotWithOptuna
    from telic.optimizers._plan import CostPlan as CostPlan
    from telic.optimizers._plan import Work as Work
    from telic.optimizers._plan import plan_of as plan_of
    from telic.optimizers._random_search import (
        BootstrapFewShotWithRandomSearch as BootstrapFewShotWithRandomSearch,
    )
    from telic.optimizers._random_search import BootstrapRS as BootstrapRS
    from telic.optimizers._report import Candidate as Candidate
    from telic.optimizers._report import CandidatePrograms as CandidatePrograms
    from telic.optimizers._report import Report as Report
    from telic.optimizers._selection import split_rows as split_rows
    from telic.optimizers._selection import split_sizes as split_sizes
    from telic.optimizers._simba import SIMBA as SIMBA
    from telic.optimizers._stops import CompileInterrupted as CompileInterrupted
    from telic.optimizers._stops import CompileStopped as CompileStopped

__getattr__ = later(
    __name__,
    {
        "BetterTogether": "telic.optimizers._better_together",
        "BootstrapFewShot": "telic.optimizers._bootstrap",
        "BootstrapFewShotWithOptuna": "telic.optimizers._optuna",
        "BootstrapFewShotWithRandomSearch": "telic.optimizers._random_search",
        "BootstrapFinetune": "telic.optimizers._finetune",
        "BootstrapRS": "telic.optimizers._random_search",
        "COPRO": "telic.optimizers._copro",
        "Candidate": "telic.optimizers._report",
        "CandidatePrograms": "telic.optimizers._report",
        "Compile": "telic.optimizers._compile",
        "CompileInterrupted": "telic.optimizers._stops",
        "CompileStopped": "telic.optimizers._stops",
        "CostPlan": "telic.optimizers._plan",
        "Ensemble": "telic.optimizers._ensemble",
        "GEPA": "telic.optimizers._gepa",
        "GRPO": "telic.optimizers._grpo",
        "Improve": "telic.optimizers._improve",
        "InferRules": "telic.optimizers._infer_rules",
        "InstructionProposer": "telic.optimizers._gepa_reflect",
        "KNNFewShot": "telic.optimizers._knn_few_shot",
        "LabeledFewShot": "telic.optimizers._labeled",
        "MIPROv2": "telic.optimizers._mipro",
        "Report": "telic.optimizers._report",
        "SIMBA": "telic.optimizers._simba",
        "Work": "telic.optimizers._plan",
        "improve": "telic.optimizers._improve",
        "plan_of": "telic.optimizers._plan",
        "Scored": "telic.optimizers._choice",
        "Tally": "telic.optimizers._choice",
        "best_of": "telic.optimizers._choice",
        "check_student": "telic.optimizers._checks",
        "derive": "telic._seed",
        "split_rows": "telic.optimizers._selection",
        "split_sizes": "telic.optimizers._selection",
    },
)

Teleprompter = Optimizer
"""The old name of `Optimizer`."""
