"""LMs: by name, by subclass or from a function, with cache, single flight, budget, prices and history."""

from telic.lm._base import BaseLM as BaseLM
from telic.lm._callable import as_lm as as_lm
from telic.lm._history import History as History
from telic.lm._lm import LM as LM
from telic.lm._prices import PRICES_AS_OF as PRICES_AS_OF
from telic.lm._prices import Price as Price
from telic.lm._prices import price_of as price_of
from telic.lm._prices import set_price as set_price
from telic.lm._registry import ClientSpec as ClientSpec
from telic.lm._registry import register_client as register_client
from telic.lm.caching._cache import Cache as Cache
from telic.lm.caching._cache import CacheMode as CacheMode
from telic.lm.caching._cache import cache as cache
from telic.lm.caching._cache import configure_cache as configure_cache
from telic.lm.caching._store import CacheWarning as CacheWarning
