"""What is not installed is named, with the command that installs it."""

from __future__ import annotations

import subprocess
import sys

import pytest

CASES = {
    "BM25": ("bm25s", "retrieve", "BM25(['a word'])"),
    "stems": ("Stemmer", "retrieve", "BM25(['a word'])"),
    "vectors": ("numpy", "retrieve", "Embeddings(['a'], lambda texts: [[1.0]])"),
    "graph": (
        "usearch",
        "retrieve",
        "Embeddings(['a', 'b'], lambda t: [[1.0, 0.0]] * 2, brute_force_threshold=1)",
    ),
    "pdf": ("pypdf", "documents", "load_documents(open('a.pdf', 'w').name)"),
    "qdrant": ("qdrant_client", "qdrant", "QdrantStore(None, 'x').add(['a'], len)"),
}


@pytest.mark.parametrize("name", CASES)
def test_a_missing_package_is_named_with_its_extra(name, tmp_path):
    package, extra, code = CASES[name]
    program = (
        f"import sys; sys.modules[{package!r}] = None\n"
        f"from telic.retrieve import BM25, Embeddings, QdrantStore, load_documents\n"
        f"try:\n    {code}\nexcept ImportError as error:\n    print(type(error).__name__, error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path, check=False
    )

    assert "MissingExtraError" in done.stdout, done.stdout + done.stderr
    assert f"{package!r}" in done.stdout
    assert f"pip install 'telic[{extra}]'" in done.stdout


def test_reading_text_and_joining_rankings_needs_no_package(tmp_path):
    program = (
        "import sys\n"
        "for name in ('numpy', 'bm25s', 'usearch', 'pypdf', 'Stemmer', 'qdrant_client'):\n    sys.modules[name] = None\n"
        "import telic\n"
        "from telic.retrieve import fuse, load_documents\n"
        "open('a.md', 'w').write('# Ada')\n"
        "print(list(load_documents('a.md')), telic.Retrieve(rm=lambda query, k: ['x'])('q').passages)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path, check=False
    )

    assert done.stdout == "[Passage('Ada', source='a.md', title='Ada')] [Passage('x')]\n", done.stderr
