"""Weights that change: models that can be trained, rows from traces, and finetuning (extra `train`).

Read `_trainable` first: all that a trainer knows of a model.
"""

from telic.training._grpo import GRPOLearner as GRPOLearner
from telic.training._grpo import GRPOProgress as GRPOProgress
from telic.training._grpo_groups import FILL_STRATEGIES as FILL_STRATEGIES
from telic.training._grpo_groups import GROUPING_MODES as GROUPING_MODES
from telic.training._grpo_groups import HeardCall as HeardCall
from telic.training._grpo_groups import RewardGroup as RewardGroup
from telic.training._grpo_groups import Rollout as Rollout
from telic.training._grpo_groups import format_reward as format_reward
from telic.training._grpo_groups import groups_of_rollouts as groups_of_rollouts
from telic.training._grpo_loss import advantages as advantages
from telic.training._grpo_loss import token_losses as token_losses
from telic.training._grpo_loss import token_weights as token_weights
from telic.training._grpo_plan import AskedPrompt as AskedPrompt
from telic.training._grpo_plan import GRPOPlan as GRPOPlan
from telic.training._grpo_plan import GRPOWork as GRPOWork
from telic.training._grpo_plan import check_grpo_room as check_grpo_room
from telic.training._grpo_plan import plan_grpo as plan_grpo
from telic.training._grpo_plan import work_of_grpo as work_of_grpo
from telic.training._grpo_settings import GRPOSettings as GRPOSettings
from telic.training._grpo_settings import read_grpo_settings as read_grpo_settings
from telic.training._jobs import Job as Job
from telic.training._jobs import JobServer as JobServer
from telic.training._jobs import JobSettings as JobSettings
from telic.training._jobs import finetune_by_job as finetune_by_job
from telic.training._jobs import read_job_settings as read_job_settings
from telic.training._open import check_trainable as check_trainable
from telic.training._open import is_trainable as is_trainable
from telic.training._open import open_trainable as open_trainable
from telic.training._plan import TrainingPlan as TrainingPlan
from telic.training._plan import check_size as check_size
from telic.training._plan import plan_finetune as plan_finetune
from telic.training._processes import check_processes as check_processes
from telic.training._rows import Call as Call
from telic.training._rows import ChatRow as ChatRow
from telic.training._rows import PreferencePair as PreferencePair
from telic.training._rows import Rows as Rows
from telic.training._rows import TracedRun as TracedRun
from telic.training._rows import calls_of_trace as calls_of_trace
from telic.training._rows import pairs_of_runs as pairs_of_runs
from telic.training._rows import rows_of_runs as rows_of_runs
from telic.training._rows_file import read_rows as read_rows
from telic.training._rows_file import row_to_dict as row_to_dict
from telic.training._rows_file import write_pairs as write_pairs
from telic.training._rows_file import write_rows as write_rows
from telic.training._settings import SFTSettings as SFTSettings
from telic.training._settings import read_settings as read_settings
from telic.training._sft import Progress as Progress
from telic.training._sft import Trained as Trained
from telic.training._sft import finetune as finetune
from telic.training._trainable import Adaptation as Adaptation
from telic.training._trainable import Needs as Needs
from telic.training._trainable import TokenRow as TokenRow
from telic.training._trainable import Trainable as Trainable
