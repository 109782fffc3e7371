"""An LM of telic behind an OpenAI-compatible endpoint."""

from telic.serve._app import make_app as make_app
from telic.serve._run import serve_lm as serve_lm
