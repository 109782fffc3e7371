"""The shipped suite, on the retrievers of telic itself."""

from __future__ import annotations

import warnings

from telic.retrieve import BM25, ColBERTv2, Embeddings, Hybrid, QdrantStore, StoreRetriever
from telic.testing import DummyVectorizer, FaultServer, RetrieverConformance


def embed(texts):
    return DummyVectorizer()(texts)


class TestBM25(RetrieverConformance):
    def make_retriever(self, passages):
        return BM25(passages)


class TestExact(RetrieverConformance):
    def make_retriever(self, passages):
        return Embeddings(passages, embed)


class TestGraph(RetrieverConformance):
    def make_retriever(self, passages):
        return Embeddings(passages, embed, brute_force_threshold=0)


class TestHybrid(RetrieverConformance):
    def make_retriever(self, passages):
        return Hybrid([BM25(passages), Embeddings(passages, embed)])


class TestQdrant(RetrieverConformance):
    def make_retriever(self, passages):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import qdrant_client
        store = QdrantStore(qdrant_client.QdrantClient(":memory:"), "suite")
        store.add(passages, embed)
        return StoreRetriever(store, embed)


class TestColBERT(RetrieverConformance):
    accepts_any_k = False

    def setup_method(self):
        self.servers = []

    def teardown_method(self):
        for server in self.servers:
            server.__exit__(None, None, None)

    def make_retriever(self, passages):
        index = BM25(passages)

        def answer(body):
            return {"topk": [{"text": str(p), "score": p.score} for p in index(body["query"], k=body["k"])]}

        self.servers.append(FaultServer(answer).__enter__())
        return ColBERTv2(self.servers[-1].host, post_requests=True, cache=False)
