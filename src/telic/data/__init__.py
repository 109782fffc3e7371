"""What flows through a program: rows, predictions, scores, steps, and the values that go to an LM and come back."""

from telic.data._assertion import AssertionCount as AssertionCount
from telic.data._assertion import AssertionOutcome as AssertionOutcome
from telic.data._assertion import Correction as Correction
from telic.data._assertion import count_assertions as count_assertions
from telic.data._example import Example as Example
from telic.data._messages import NO_USAGE as NO_USAGE
from telic.data._messages import Completion as Completion
from telic.data._messages import Message as Message
from telic.data._messages import Request as Request
from telic.data._messages import Response as Response
from telic.data._messages import Role as Role
from telic.data._messages import Usage as Usage
from telic.data._prediction import Completions as Completions
from telic.data._prediction import Prediction as Prediction
from telic.data._score import Score as Score
from telic.data._trace import Step as Step
from telic.data._trace import Trace as Trace
