"""Ready-made programs, and recipes that compile them on data of your own."""

from telic.datasets.classification import label_match as label_match
from telic.recipes import programs as programs
from telic.recipes._answering import multihop as multihop
from telic.recipes._answering import rag as rag
from telic.recipes._classifying import classify as classify
from telic.recipes._export import Origin as Origin
from telic.recipes._export import export_package as export_package
from telic.recipes._extracting import extract as extract
from telic.recipes._measures import answer_score as answer_score
from telic.recipes._measures import exact_match as exact_match
from telic.recipes._measures import judged_answer as judged_answer
from telic.recipes._measures import record_f1 as record_f1
from telic.recipes._project import METRICS as METRICS
from telic.recipes._project import Project as Project
from telic.recipes._project import is_project as is_project
from telic.recipes._prompts import export_prompts as export_prompts
from telic.recipes._prompts import prompts_of as prompts_of
from telic.recipes._recipe import Compiled as Compiled
from telic.recipes._recipe import Recipe as Recipe
from telic.recipes._steps import Steps as Steps
