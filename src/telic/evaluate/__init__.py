"""Measuring programs: scores with their precision, cost and failures; metrics; paired comparison."""

from telic.evaluate._auto_evaluation import CompleteAndGrounded as CompleteAndGrounded
from telic.evaluate._auto_evaluation import SemanticF1 as SemanticF1
from telic.evaluate._checks import check_count as check_count
from telic.evaluate._checks import checked_examples as checked_examples
from telic.evaluate._evaluate import Evaluate as Evaluate
from telic.evaluate._metrics import EM as EM
from telic.evaluate._metrics import F1 as F1
from telic.evaluate._metrics import HotPotF1 as HotPotF1
from telic.evaluate._metrics import answer_exact_match as answer_exact_match
from telic.evaluate._metrics import answer_passage_match as answer_passage_match
from telic.evaluate._metrics import em_score as em_score
from telic.evaluate._metrics import f1_score as f1_score
from telic.evaluate._metrics import hotpot_f1_score as hotpot_f1_score
from telic.evaluate._metrics import normalize_text as normalize_text
from telic.evaluate._metrics import precision_score as precision_score
from telic.evaluate._result import Comparison as Comparison
from telic.evaluate._result import EvaluationResult as EvaluationResult
from telic.evaluate._row import FATAL as FATAL
from telic.evaluate._row import Row as Row
from telic.evaluate._row import RowJob as RowJob
from telic.evaluate._row import inputs_of as inputs_of
from telic.evaluate._row import program_failure as program_failure
from telic.evaluate._row import resolved as resolved
from telic.evaluate._row import score_row as score_row
from telic.evaluate._run import EvaluationInterrupted as EvaluationInterrupted
from telic.evaluate._score import MetricCall as MetricCall
