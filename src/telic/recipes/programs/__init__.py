"""Ready-made programs, a file each: to be used as they are, or copied and changed."""

from telic.recipes.programs._classify import FEW as FEW
from telic.recipes.programs._classify import Classify as Classify
from telic.recipes.programs._classify import labelled as labelled
from telic.recipes.programs._extract import Extract as Extract
from telic.recipes.programs._extract import field_of as field_of
from telic.recipes.programs._long_form import LongFormQA as LongFormQA
from telic.recipes.programs._multihop import MultiHop as MultiHop
from telic.recipes.programs._rag import NOT_FOUND as NOT_FOUND
from telic.recipes.programs._rag import RAG as RAG
from telic.recipes.programs._rag import is_not_found as is_not_found
from telic.recipes.programs._reflection import ThoughtReflection as ThoughtReflection
from telic.recipes.programs._search_agent import SearchAgent as SearchAgent
from telic.recipes.programs._sql import SQLAnswer as SQLAnswer
