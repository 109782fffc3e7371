import numpy as np
import pytest

from telic.lm.tiny._network import Cache, Network
from telic.lm.tiny._prefix import PrefixCache
from telic.lm.tiny._weights import read_weights


@pytest.fixture(scope="module")
def network(weights_file):
    return Network(read_weights(weights_file))


def ids(count, seed=0):
    return np.random.default_rng(seed).integers(8, 1800, count).tolist()


def plain_logits(network, weights, tokens):
    """The same network, written down as in the paper: full matrices, no cache."""
    shape, w = weights.shape, weights.tensors
    rms = lambda x: x / np.sqrt((x * x).mean(-1, keepdims=True) + 1e-6)  # noqa: E731
    x = w["embed"][tokens].astype(np.float64) * shape.width**0.5
    count, channels = len(tokens), shape.width // shape.heads
    angle = np.arange(count)[:, None] * shape.theta ** (-np.arange(channels // 2) / (channels // 2))
    cos, sin = np.cos(angle)[:, None], np.sin(angle)[:, None]

    def rotate(z):
        a, b = np.split(z, 2, -1)
        return np.concatenate((a * cos - b * sin, b * cos + a * sin), -1)

    for i in range(shape.layers):
        p = {n.split(".")[2]: t for n, t in w.items() if n.startswith(f"blocks.{i}.")}
        h = rms(x) * p["norm1"]
        h = h + p["shift"] * np.concatenate((np.zeros_like(h[:1]), h[:-1]))
        q, k, v = (h @ p["qkv"].T).reshape(count, 3, shape.heads, channels).transpose(1, 0, 2, 3)
        q, k = rotate(rms(q) * p["q_gain"]), rotate(rms(k) * p["k_gain"])
        scores = np.einsum("thc,shc->hts", q, k) / channels**0.5
        scores[:, np.triu_indices(count, 1)[0], np.triu_indices(count, 1)[1]] = -np.inf
        share = np.exp(scores - scores.max(-1, keepdims=True))
        share /= share.sum(-1, keepdims=True)
        x = x + np.einsum("hts,shc->thc", share, v).reshape(count, -1) @ p["out"].T
        h = rms(x) * p["norm2"]
        gate, up = np.split(h @ p["gate_up"].T, 2, -1)
        x = x + (gate / (1 + np.exp(-gate)) * up) @ p["down"].T
    return (rms(x) * w["norm"]) @ w["embed"].T


@pytest.mark.parametrize("count", [1, 15, 16, 17, 100])
def test_reading_agrees_with_the_plain_formula(network, weights_file, count):
    tokens = ids(count)
    logits, _ = network.read(tokens, Cache(network.shape, 128))
    expected = plain_logits(network, read_weights(weights_file), tokens)[-1]
    assert np.abs(logits - expected).max() < 1e-3 * np.abs(expected).max()


def test_token_by_token_agrees_with_reading_at_once(network):
    tokens = ids(60)
    whole, _ = network.read(tokens, Cache(network.shape, 128))
    cache = Cache(network.shape, 128)
    network.read(tokens[:20], cache)
    for token in tokens[20:]:
        logits = network.step([token], [cache])[0]
    assert np.abs(logits - whole).max() < 1e-3 * np.abs(whole).max()


def test_company_does_not_change_a_single_bit(network):
    def started(i):
        cache = Cache(network.shape, 100 + i)
        network.read(ids(20 + 9 * i, seed=i), cache)
        return cache

    alone = [network.step([50 + i], [started(i)])[0] for i in range(7)]
    together = network.step([50 + i for i in range(7)], [started(i) for i in range(7)])
    assert all((a == b).all() for a, b in zip(alone, together, strict=True))


@pytest.mark.parametrize(("shared", "reused"), [(10, 0), (16, 16), (40, 32), (99, 96), (112, 96)])
def test_a_prefix_from_the_cache_does_not_change_a_single_bit(network, shared, reused):
    kept = PrefixCache(1 << 20)
    first = ids(shared) + ids(5, seed=1)
    second = ids(shared)[:100] + ids(10, seed=2)
    cache = Cache(network.shape, 128)
    _, ends = network.read(first, cache)
    kept.keep(first, cache, 0, ends)
    cache = Cache(network.shape, 128)
    assert kept.restore(second, cache) == reused
    logits, _ = network.read(second[reused:], cache)
    expected, _ = network.read(second, Cache(network.shape, 128))
    assert (logits == expected).all()


def test_the_prefix_cache_stays_within_its_bytes(network):
    kept = PrefixCache(50_000)
    for seed in range(30):
        cache = Cache(network.shape, 128)
        tokens = ids(64, seed=seed)
        _, ends = network.read(tokens, cache)
        kept.keep(tokens, cache, 0, ends)
        assert kept.used_bytes <= 50_000
