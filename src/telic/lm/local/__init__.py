"""Models on this machine, through transformers: `LM("local/PATH-or-hub-id")`, causal and encoder-decoder.

Read `_client` (a request becomes jobs), `_engine` (jobs are generated together), `_batch` (what the network keeps for
them), `_open` (weights come into memory, or are refused). torch and transformers are loaded by the first call.
"""

from telic.lm.local._client import LocalClient as LocalClient
