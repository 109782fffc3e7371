"""BM25: passages by shared words, in memory and from a mapped folder."""

from __future__ import annotations

import json
import pickle
import random

import pytest

from telic.errors import ConfigurationError, DatasetError, InputError, StoredIndexError
from telic.retrieve import BM25, Passage

CORPUS = [
    "Ada Lovelace wrote the first published program.",
    "Grace Hopper wrote a compiler and found a moth.",
    "Paul Erdős travelled with a suitcase.",
    "The suitcase is full of programs, programs, programs.",
]


def test_finds_passages_that_share_words_best_first():
    found = BM25(CORPUS)("Who wrote a compiler?", k=2)

    assert found[0] == CORPUS[1]
    assert found[0].pid == 1
    assert found[0].score > found[1].score


def test_accents_case_and_endings_do_not_matter():
    assert BM25(CORPUS)("ERDOS travels", k=1) == [CORPUS[2]]


def test_passages_without_a_shared_word_are_not_returned():
    find = BM25(CORPUS)

    assert find("zebra") == []
    assert find("the of") == []
    assert find("") == []
    assert len(find("compiler", k=100)) == 1


def test_k_beyond_the_corpus_gives_all_that_fit():
    assert len(BM25(["one word", "one more word"])("word", k=50)) == 2


def test_a_corpus_of_one_passage_works():
    assert BM25(["only this"])("this only", k=3) == ["only this"]


@pytest.mark.parametrize("k", [0, -1, 2.5, True, "3"])
def test_an_impossible_k_is_refused(k):
    with pytest.raises(ConfigurationError, match="k is"):
        BM25(CORPUS, k=k)
    with pytest.raises(ConfigurationError, match="k is"):
        BM25(CORPUS)("program", k=k)


@pytest.mark.parametrize(("corpus", "words"), [([], "no passages"), ("one text", "one text")])
def test_a_corpus_that_is_none_is_refused(corpus, words):
    with pytest.raises(DatasetError, match=words):
        BM25(corpus)


def test_a_query_that_is_no_text_is_refused():
    with pytest.raises(InputError, match="must be a text"):
        BM25(CORPUS)(["a", "b"])


def test_settings_that_cannot_work_are_refused():
    with pytest.raises(ConfigurationError, match="b is 2"):
        BM25(CORPUS, b=2)
    with pytest.raises(ConfigurationError, match="k1 is -1"):
        BM25(CORPUS, k1=-1)
    with pytest.raises(ConfigurationError, match="language 'klingon'"):
        BM25(CORPUS, language="klingon")
    with pytest.raises(ConfigurationError, match="has a word to count"):
        BM25(["? !", "..."])


def test_a_tokenizer_of_ones_own_serves_languages_without_blanks():
    find = BM25(["东京是日本的首都", "巴黎是法国的首都"], language=None, tokenizer=list)

    assert find("日本", k=1) == ["东京是日本的首都"]


def test_a_tokenizer_that_makes_empty_words_of_blanks_finds_what_it_should():
    index = BM25(["red lamp", "blue chair"], tokenizer=lambda text: text.split(" "), language=None)

    assert index("red  lamp") == ["red lamp"]
    assert index("  ") == []


def test_hostile_texts_are_indexed_as_texts():
    corpus = ["a\x00b nul", "\ud800 lone surrogate", "\u202eright to left", "x" * 100_000 + " long"]
    find = BM25(corpus)

    assert find("nul")[0].pid == 0
    assert find("surrogate")[0].pid == 1
    assert find("long")[0].pid == 3


def test_equal_scores_stay_in_corpus_order():
    find = BM25(["same words here"] * 5 + ["other"])

    assert [passage.pid for passage in find("same", k=3)] == [0, 1, 2]


def test_several_queries_are_answered_in_order():
    assert [rows[0].pid for rows in BM25(CORPUS).search(["moth", "suitcase erdős"], 1)] == [1, 2]


def test_what_is_known_of_a_passage_comes_back_with_it(tmp_path):
    passages = [Passage("moth found", source="log.pdf", page=7), Passage("nothing")]
    BM25(passages, folder=tmp_path / "index")

    found = BM25.open(tmp_path / "index")("moth")[0]

    assert (found, found.source, found.page, found.pid) == ("moth found", "log.pdf", 7, 0)


def test_a_folder_is_built_once_and_opened_after(tmp_path):
    first = BM25(CORPUS, folder=tmp_path / "index")
    stamp = (tmp_path / "index" / "index.json").stat().st_mtime_ns
    second = BM25(CORPUS, folder=tmp_path / "index")
    opened = BM25.open(tmp_path / "index", k=1)

    assert (tmp_path / "index" / "index.json").stat().st_mtime_ns == stamp
    assert first("programs") == second("programs")
    assert opened("programs") == first("programs", k=1)
    assert list(opened.corpus) == CORPUS


def test_a_folder_of_another_corpus_or_setting_is_refused(tmp_path):
    BM25(CORPUS, folder=tmp_path)

    with pytest.raises(StoredIndexError, match="another corpus"):
        BM25([*CORPUS, "one more"], folder=tmp_path)
    with pytest.raises(StoredIndexError, match=r"k1 was 1\.5 and is now 0\.9"):
        BM25(CORPUS, k1=0.9, folder=tmp_path)
    with pytest.raises(StoredIndexError, match="tokenizer was None"):
        BM25.open(tmp_path, tokenizer=list)


@pytest.mark.parametrize("name", ["passages.jsonl", "passages.npy", "data.csc.index.npy", "vocab.index.json"])
def test_a_cut_or_missing_file_is_refused(tmp_path, name):
    BM25(CORPUS, folder=tmp_path)
    data = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(data[: len(data) // 2])

    with pytest.raises(StoredIndexError, match="is cut"):
        BM25.open(tmp_path)

    (tmp_path / name).unlink()

    with pytest.raises(StoredIndexError, match="is missing"):
        BM25.open(tmp_path)


def test_damage_that_keeps_the_size_is_a_typed_error_or_does_not_matter_for_the_files_that_hold_the_structure(
    tmp_path,
):
    BM25(CORPUS, folder=tmp_path)
    rng, told = random.Random(0), 0
    for name in ("indices.csc.index.npy", "indptr.csc.index.npy", "params.index.json", "vocab.index.json"):
        whole = (tmp_path / name).read_bytes()
        for _ in range(40):
            place = rng.randrange(len(whole))
            flipped = bytes([whole[place] ^ 1 << rng.randrange(8)])
            (tmp_path / name).write_bytes(whole[:place] + flipped + whole[place + 1 :])
            try:
                index = BM25.open(tmp_path)
                for passage in CORPUS:
                    index(passage, k=9)
            except StoredIndexError as error:
                told += 1
                assert "damaged" in str(error) and error.folder == str(tmp_path)
        (tmp_path / name).write_bytes(whole)
    assert told > 80


def test_a_folder_that_is_no_index_is_refused(tmp_path):
    with pytest.raises(StoredIndexError, match="no finished index"):
        BM25.open(tmp_path)
    (tmp_path / "index.json").write_text("[1, 2]")
    with pytest.raises(StoredIndexError, match="damaged"):
        BM25.open(tmp_path)


def test_a_newer_or_other_index_is_refused(tmp_path):
    BM25(CORPUS, folder=tmp_path)
    header = json.loads((tmp_path / "index.json").read_text())
    (tmp_path / "index.json").write_text(json.dumps({**header, "telic_index": 99}))
    with pytest.raises(StoredIndexError, match="format 99"):
        BM25.open(tmp_path)
    (tmp_path / "index.json").write_text(json.dumps({**header, "kind": "dense"}))
    with pytest.raises(StoredIndexError, match="kind 'dense'"):
        BM25.open(tmp_path)


def test_other_files_in_the_folder_are_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    BM25(CORPUS, folder=tmp_path)
    (tmp_path / "notes.txt").write_text("mine, changed")

    assert BM25.open(tmp_path)("moth")[0].pid == 1


def test_it_travels_in_pickles_with_a_program(tmp_path):
    for find in (BM25(CORPUS), BM25(CORPUS, folder=tmp_path), BM25.open(tmp_path)):
        assert pickle.loads(pickle.dumps(find))("moth") == [CORPUS[1]]


def test_saving_replaces_and_whoever_has_the_old_index_open_keeps_it(tmp_path):
    BM25(CORPUS).save(tmp_path)
    old = BM25.open(tmp_path)
    BM25(["one more moth"], k1=0.9).save(tmp_path)
    BM25.open(tmp_path).save(tmp_path)

    assert old("moth") == [CORPUS[1]]
    assert BM25.open(tmp_path)("moth") == ["one more moth"]
    with pytest.raises(StoredIndexError, match="another corpus"):
        BM25(CORPUS, folder=tmp_path)
