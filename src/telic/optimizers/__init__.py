"""Better programs from data: each optimizer takes a program, a metric and examples, and returns a new program."""

from telic.optimizers._base import Optimizer as Optimizer
from telic.optimizers._better_together import BetterTogether as BetterTogether
from telic.optimizers._bootstrap import BootstrapFewShot as BootstrapFewShot
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
from telic.optimizers._simba import SIMBA as SIMBA
from telic.optimizers._stops import CompileInterrupted as CompileInterrupted
from telic.optimizers._stops import CompileStopped as CompileStopped

Teleprompter = Optimizer
"""The old name of `Optimizer`."""
