"""Terms: examples, and what must hold for any text."""

import re
import sqlite3
import unicodedata
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from puna.library.segment import LONGEST, query_terms, terms

ANY = st.text(max_size=80) | st.text(alphabet="aB é1,.'’山峰。 \n가ก|\"\\_\u0301\u200b３，-", max_size=80)


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("The mountains' peaks, climbed", ["the", "mountain", "peak", "climb"]),
        ("Alexander Fleming’s it's", ["alexand", "fleme", "it"]),
        ("O'Neill and l’homme", ["o", "neill", "and", "l", "homm"]),
        ("Straße ÉCOLE e\u0301cole naïve Ångström Ёлка", ["strass", "ecol", "ecol", "naiv", "angstrom", "елка"]),
        ("the U.S. and U.S.A., e.g. J.R.R. Tolkien", ["the", "us", "and", "usa", "eg", "jrr", "tolkien"]),
        ("www.example.com a_b", ["www", "exampl", "com", "a", "b"]),
        ("3.5 % of 1,234,567.89 in 2024.", ["3.5", "of", "1234567.89", "in", "2024"]),
        ("1,2 and 100，200；3,5", ["1", "2", "and", "100", "200", "3", "5"]),
        ("5kg H1N1 covid19", ["5", "kg", "h1n1", "covid19"]),
        ("ＡＢＣ１２３ ㎏ km²", ["abc123", "kg", "km2"]),
        ("soft\u00adhyphen zero\u200bwidth", ["softhyphen", "zero", "width"]),
        ("最高的山峰", ["最高", "高的", "的山", "山峰", "最", "高", "的", "山", "峰"]),
        ("山", ["山"]),
        ("山。峰", ["山", "峰"]),
        ("山\n  峰", ["山峰", "山", "峰"]),
        ("山\n\n峰", ["山", "峰"]),
        ("頻道", ["频道", "频", "道"]),
        ("ｶﾞｽ", ["ガス", "ガ", "ス"]),
        ("高8848.86米", ["高", "8848.86", "米"]),
        ("हिन्दी", ["हिन्दी"]),
        ("“…” — !", []),
        ("", []),
    ],
)
def test_cases(text: str, want: list[str]) -> None:
    assert terms(text) == want


def test_a_word_in_a_longer_one_is_found_in_chinese() -> None:
    assert set(query_terms("山峰")) <= set(terms("最高的山峰"))
    assert set(query_terms("山")) <= set(terms("最高的山峰"))
    assert not set(query_terms("珠峰")) <= set(terms("珠穆朗玛峰"))


@pytest.mark.parametrize(
    ("question", "want"),
    [
        ("What is the highest mountain?", ["highest", "mountain"]),
        ("珠穆朗玛峰有多少米？", ["珠穆", "穆朗", "朗玛", "玛峰", "峰有", "珠", "穆", "朗", "玛", "峰", "米"]),
        ("哪個是臺灣頻道", ["台湾", "湾频", "频道", "台", "湾", "频", "道"]),
        ("Who is who?", ["who", "is"]),
        ("什么是什么？", ["什么", "么是", "是什", "什", "么", "是"]),
        ("peak peaks PEAK", ["peak"]),
        ("在", ["在"]),
        ("?", []),
    ],
)
def test_questions(question: str, want: list[str]) -> None:
    assert query_terms(question) == want


@settings(deadline=None)
@given(ANY)
def test_a_term_is_one_token_for_both_databases(text: str) -> None:
    for term in terms(text):
        assert 0 < len(term) <= LONGEST
        assert not re.search(r"[\s'\"\\\0]", term)
        assert re.fullmatch(r"[a-z0-9.]*", "".join(c for c in term if c.isascii()))
        assert "." not in term or re.fullmatch(r"\d+(\.\d+)+", term)
        term.encode("utf-8")


@settings(deadline=None)
@given(st.lists(ANY, max_size=5))
def test_fts5_takes_them_as_they_are(texts: list[str]) -> None:
    want = Counter(term for text in texts for term in terms(text))
    base = sqlite3.connect(":memory:")
    base.execute("""CREATE VIRTUAL TABLE f USING fts5(body, tokenize="ascii tokenchars '.'")""")
    base.execute("CREATE VIRTUAL TABLE v USING fts5vocab(f, 'row')")
    base.executemany("INSERT INTO f VALUES (?)", [(" ".join(terms(text)),) for text in texts])
    assert dict(base.execute("SELECT term, cnt FROM v")) == want
    base.close()


@settings(deadline=None)
@given(ANY)
def test_a_question_looks_for_nothing_that_the_same_text_does_not_have(text: str) -> None:
    found = query_terms(text)
    # Where a word that asks is taken out, what stood around it is no pair.
    assert set(found) <= set(terms(text))
    assert len(set(found)) == len(found)
    assert bool(found) == bool(terms(text))


@settings(deadline=None)
@given(st.text(alphabet="abcXYZ äéñçÖ 12 山峰頻", max_size=60))
def test_case_accents_and_composition_do_not_matter(text: str) -> None:
    assert terms(text.upper()) == terms(text.lower()) == terms(text)
    assert terms(unicodedata.normalize("NFD", text)) == terms(text)
    bare = "".join(c for c in unicodedata.normalize("NFD", text) if not unicodedata.combining(c))
    assert terms(bare) == terms(text)


@settings(deadline=None)
@given(
    st.lists(st.text(alphabet="bdmkz", min_size=3, max_size=9), max_size=20),
    st.sampled_from([" ", "\n", ", ", " — "]),
)
def test_words_without_vowels_are_their_own_terms(words: list[str], between: str) -> None:
    assert terms(between.join(words)) == words


@settings(deadline=None)
@given(st.text(alphabet="山峰最高的国", min_size=1, max_size=40))
def test_pairs_and_characters_of_chinese(text: str) -> None:
    assert Counter(terms(text)) == Counter([*text, *(text[n : n + 2] for n in range(len(text) - 1))])


def test_endless_words_are_cut_alike() -> None:
    assert terms("x" * 10**5) == terms("x" * LONGEST) == ["x" * LONGEST]
    assert len(terms("山" * 1000)) == 1999
