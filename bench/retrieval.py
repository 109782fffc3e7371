"""Retrieval measured: BM25 over the paragraphs of HotPotQA beside bm25s used directly, and dense search beside NumPy.

    python bench/retrieval.py --data PATH        # a folder with corpus.jsonl and test.jsonl; prints markdown
    python bench/retrieval.py --dspy PYTHON      # dense search alone, and DSPy's beside it, by the Python that has it

The folder: `corpus.jsonl` with `pid`, `title`, `sentences`; `test.jsonl` with `question` and `gold_titles`. Recall@k is
the share of a question's gold titles among the first k passages, averaged over the questions. Each library runs in a
process of its own, so that memory is its own; dense vectors are random (seeded), as speed does not depend on them.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import math
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path


def rows(path):
    with path.open(encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def megabytes():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def corpus_of(folder):
    corpus = rows(folder / "corpus.jsonl")
    texts = [f"{row['title']} | {' '.join(row['sentences'])}" for row in corpus]
    return [row["title"] for row in corpus], texts


def recall(found, questions, titles, k):
    shares = [
        len({titles[place] for place in places[:k]} & set(question["gold_titles"]))
        / len(question["gold_titles"])
        for places, question in zip(found, questions, strict=True)
    ]
    mean = statistics.fmean(shares)
    return mean, 1.96 * statistics.stdev(shares) / math.sqrt(len(shares))


def timed(search, questions):
    """Seconds for all questions, one after the other: the best of three rounds, as other work may run too."""
    best, found = math.inf, []
    for _ in range(3):
        started = time.perf_counter()
        found = [search(question["question"]) for question in questions]
        best = min(best, time.perf_counter() - started)
    return best, found


def bm25_of_telic(texts):
    from telic.retrieve import BM25

    index = BM25(texts)
    return lambda question: [passage.pid for passage in index(question, k=10)]


def bm25s_directly(texts):
    import bm25s
    import Stemmer

    stemmer = Stemmer.Stemmer("english")
    index = bm25s.BM25()
    index.index(
        bm25s.tokenize(texts, stopwords="en", stemmer=stemmer, show_progress=False), show_progress=False
    )

    def search(question):
        words = bm25s.tokenize([question], stopwords="en", stemmer=stemmer, show_progress=False)
        return index.retrieve(words, k=10, show_progress=False)[0][0].tolist()

    return search


WORDS = {"telic.retrieve.BM25": bm25_of_telic, "bm25s directly": bm25s_directly}


def measure_words(name, folder):
    titles, texts = corpus_of(folder)
    questions = rows(folder / "test.jsonl")
    WORDS[name](texts[:10])  # imports are not the index's
    before = megabytes()
    started = time.perf_counter()
    search = WORDS[name](texts)
    built = time.perf_counter() - started
    grown = megabytes() - before
    seconds, found = timed(search, questions)
    return {
        "build": built,
        "rate": len(questions) / seconds,
        "memory": grown,
        "recall": [recall(found, questions, titles, k) for k in (2, 5, 10)],
        "sizes": [len(texts), len(questions)],
    }


def dense_of_telic(vectors):
    from telic.retrieve import Embedder, Embeddings

    embedder = Embedder(lambda texts: vectors[[int(text) for text in texts]], batch_size=10_000)
    return Embeddings([str(number) for number in range(len(vectors))], embedder, k=5)


def dense_of_dspy(vectors):
    import dspy

    embedder = dspy.Embedder(
        lambda texts: vectors[[int(text) for text in texts]], batch_size=10_000, caching=False
    )
    texts = [str(number) for number in range(len(vectors))]
    return dspy.retrievers.Embeddings(texts, embedder, k=5, brute_force_threshold=len(texts) + 1)


def measure_dense(name, count):
    import numpy as np

    vectors = np.random.default_rng(0).standard_normal((count, 384)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    if name == "numpy":

        def search(place):
            scores = vectors @ vectors[place]
            best = np.argpartition(scores, -5)[-5:]
            return best[np.argsort(-scores[best])]

    else:
        index = dense_of_dspy(vectors) if name == "DSPy" else dense_of_telic(vectors)

        def search(place):
            return index(str(place))

    times = []
    for place in range(30 if name == "DSPy" else 100):
        started = time.perf_counter()
        search(place)
        times.append(time.perf_counter() - started)
    return {"median": statistics.median(times) * 1e3, "best": min(times) * 1e3}


def measure_graph(count):
    import numpy as np

    from telic.retrieve import Embedder, Embeddings

    random = np.random.default_rng(0)
    centres = random.standard_normal(
        (count // 50, 384)
    )  # texts come in groups; noise alone has no neighbours
    vectors = centres[random.integers(0, len(centres), count)] + 0.7 * random.standard_normal((count, 384))
    vectors = vectors.astype(np.float32)
    embedder = Embedder(lambda texts: vectors[[int(text) for text in texts]], batch_size=10_000)
    started = time.perf_counter()
    index = Embeddings(
        [str(n) for n in range(count)], embedder, k=10, brute_force_threshold=1000, min_recall=0.9
    )
    built = time.perf_counter() - started
    times = []
    for place in range(100):
        started = time.perf_counter()
        index(str(place))
        times.append(time.perf_counter() - started)
    return {"build": built, "recall": index.recall.value, "median": statistics.median(times) * 1e3}


def own_process(*arguments, python=sys.executable):
    done = subprocess.run([python, __file__, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def report_words(folder):
    print(f"bm25s {importlib.metadata.version('bm25s')}, usearch {importlib.metadata.version('usearch')}, "
          f"Python {sys.version.split()[0]}\n")  # fmt: skip
    print(
        "| | recall@2 | recall@5 | recall@10 | build, s | queries/s | memory, MB |\n|---|---|---|---|---|---|---|"
    )
    sizes = None
    for name in WORDS:
        found = own_process("--data", str(folder), "--words", name)
        sizes = found["sizes"]
        cells = " | ".join(f"{mean:.3f} ± {half:.3f}" for mean, half in found["recall"])
        print(f"| {name} | {cells} | {found['build']:.2f} | {found['rate']:,.0f} | {found['memory']:.0f} |")
    print(f"\n{sizes[0]:,} passages, {sizes[1]:,} questions; ± is the 95 % interval over questions\n")


def report_dense(dspy):
    """Three rounds, one library after the other in each; the medians are of the middle round."""
    libraries = {"telic.Embeddings": sys.executable, "numpy": sys.executable} | (
        {"DSPy": dspy} if dspy else {}
    )
    print("| exact search, 384 dimensions | median, ms | best, ms |\n|---|---|---|")
    for count in (10_000, 100_000):
        rounds = [
            {
                name: own_process("--dense", name, "--count", str(count), python=python)
                for name, python in libraries.items()
            }
            for _ in range(3)
        ]
        for name in libraries:
            median = statistics.median(one[name]["median"] for one in rounds)
            best = min(one[name]["best"] for one in rounds)
            print(f"| {name}, {count:,} vectors | {median:.2f} | {best:.2f} |")
    graph = own_process("--graph", "--count", "20000")
    print(
        f"\nA graph over 20,000 vectors: built in {graph['build']:.1f} s, recall@10 {graph['recall']:.3f}, "
        f"median {graph['median']:.2f} ms a query."
    )


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", type=Path)
    parser.add_argument("--dspy", metavar="PYTHON")
    parser.add_argument("--words", choices=list(WORDS))
    parser.add_argument("--dense")
    parser.add_argument("--graph", action="store_true")
    parser.add_argument("--count", type=int, default=10_000)
    given = parser.parse_args()
    if given.dense:
        print(json.dumps(measure_dense(given.dense, given.count)))
    elif given.graph:
        print(json.dumps(measure_graph(given.count)))
    elif given.words:
        print(json.dumps(measure_words(given.words, given.data)))
    elif given.data is None and given.dspy is None:
        parser.error("--data PATH is needed: a folder with corpus.jsonl and test.jsonl")
    else:
        if given.data is not None:
            report_words(given.data)
        report_dense(given.dspy)


if __name__ == "__main__":
    main()
