"""What `retrieval.py` compares: Puna's store, bm25s and tantivy, each with its own words or with Puna's terms."""

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Any, Protocol

from puna.library.segment import folded, pieces, query_terms, stemmed, terms
from puna.library.types import Document, Passage, Store

Place = tuple[int, int, int]  # document, start, end
Cut = Callable[[str], list[str]]
_HAN = re.compile("[\u3400-\u9fff]")


class System(Protocol):
    """Searches a library; made for the passages of each text."""

    def search(self, question: str, limit: int) -> list[Place]:
        """Give the best passages, best first."""


class InStore:
    """A store of Puna's, through the protocol alone."""

    def __init__(self, store: Store, texts: Sequence[str], cut: Sequence[Sequence[Passage]]) -> None:
        self._store = store
        for number, (text, found) in enumerate(zip(texts, cut, strict=True)):
            store.put(str(number), "", 0, Document(text), found)
        self._numbers = {entry.id: int(entry.path) for entry in store.entries()}

    def search(self, question: str, limit: int) -> list[Place]:
        """See System."""
        hits = self._store.search(query_terms(question), limit)
        return [(self._numbers[hit.document], hit.start, hit.end) for hit in hits]


class InBm25s:
    """bm25s with its defaults (k1 = 1.5, b = 0.75, Lucene's idf), on whatever words."""

    def __init__(self, index: Cut, query: Cut, cut: Sequence[Sequence[Passage]]) -> None:
        import bm25s

        self._query, self._places = query, places(cut)
        self._engine = bm25s.BM25()
        self._engine.index([index(passage.text) for found in cut for passage in found], show_progress=False)

    def search(self, question: str, limit: int) -> list[Place]:
        """See System."""
        known = [word for word in self._query(question) if word in self._engine.vocab_dict]
        if not known:
            return []
        most = min(limit, len(self._places))
        found, scores = self._engine.retrieve([known], k=most, show_progress=False)
        return [self._places[n] for n, score in zip(found[0], scores[0], strict=True) if score > 0]


class InTantivy:
    """tantivy: fields, each with an analyser of its own; `field` says in which a text stands, and a question is asked."""

    def __init__(
        self,
        analysers: dict[str, Any],
        field: Callable[[str], str],
        before: Cut,
        query: Cut,
        cut: Sequence[Sequence[Passage]],
    ) -> None:
        import tantivy

        self._tantivy, self._field, self._query, self._places = tantivy, field, query, places(cut)
        self._analysers = analysers
        schema = tantivy.SchemaBuilder().add_integer_field("n", stored=True)
        for name in analysers:
            schema = schema.add_text_field(name, tokenizer_name=name)
        self._schema = schema.build()
        index = tantivy.Index(self._schema)
        for name, analyser in analysers.items():
            index.register_tokenizer(name, analyser)
        writer = index.writer(50_000_000, 1)
        for number, passage in enumerate(passage for found in cut for passage in found):
            document = tantivy.Document()
            document.add_integer("n", number)
            document.add_text(field(passage.text), " ".join(before(passage.text)))
            writer.add_document(document)
        writer.commit()
        writer.wait_merging_threads()
        index.reload()
        self._searcher = index.searcher()

    def search(self, question: str, limit: int) -> list[Place]:
        """See System."""
        name, lib = self._field(question), self._tantivy
        words = dict.fromkeys(self._analysers[name].analyze(" ".join(self._query(question))))
        asked = [(lib.Occur.Should, lib.Query.term_query(self._schema, name, word)) for word in words]
        hits = self._searcher.search(lib.Query.boolean_query(asked), limit).hits
        return [self._places[self._searcher.doc(address)["n"][0]] for _, address in hits]


def places(cut: Sequence[Sequence[Passage]]) -> list[Place]:
    """Give where each passage stands."""
    return [(number, passage.start, passage.end) for number, found in enumerate(cut) for passage in found]


def own_bm25s(cut: Sequence[Sequence[Passage]]) -> InBm25s:
    """As its README has it: its English words without stop words, stemmed; Chinese in jieba's words."""
    import bm25s
    import Stemmer

    english = Stemmer.Stemmer("english")

    def words(text: str) -> list[str]:
        if _HAN.search(text):
            return jieba_words(text)
        (found,) = bm25s.tokenize(text, stopwords="en", stemmer=english, return_ids=False, show_progress=False)
        return found

    return InBm25s(words, words, cut)


def own_tantivy(cut: Sequence[Sequence[Passage]]) -> InTantivy:
    """Its English stemmer, and for texts with Chinese its one and two neighbouring characters."""
    import tantivy

    small, whole = tantivy.Filter.lowercase(), tantivy.Filter.remove_long(40)
    english = tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.simple()).filter(whole).filter(small)
    analysers = {
        "english": english.filter(tantivy.Filter.stemmer("English")).build(),
        "chinese": tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.ngram(1, 2, False)).filter(small).build(),
    }
    return InTantivy(analysers, lambda text: "chinese" if _HAN.search(text) else "english", _same, _same, cut)


def tantivy_with_terms(cut: Sequence[Sequence[Passage]]) -> InTantivy:
    """Puna's terms, parted by spaces."""
    import tantivy

    spaced = tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.whitespace()).build()
    return InTantivy({"terms": spaced}, lambda _: "terms", terms, query_terms, cut)


def _same(text: str) -> list[str]:
    return [text]


def jieba_words(text: str) -> list[str]:
    """Give jieba's words for searching, in small letters, without signs."""
    return [word for word in _jieba().cut_for_search(text.lower()) if any(map(str.isalnum, word))]


@lru_cache(maxsize=1)
def _jieba() -> Any:
    import jieba

    jieba.setLogLevel(60)
    return jieba


def variant(run: str = "both", stems: bool = True) -> Cut:
    """Give terms cut in another way, to compare: `run`: "both", "pairs", "singles" or "words", which are jieba's."""

    def cut(text: str) -> list[str]:
        found: list[str] = []
        for parts, unspaced, _ in pieces(folded(text)):
            if not unspaced:
                found += [stemmed(part) if stems else part for part in parts]
            elif run == "words":
                found += jieba_words("".join(parts))
            else:
                found += parts if run != "pairs" or len(parts) == 1 else []
                found += map("".join, pairwise(parts)) if run != "singles" else []
        return found

    return cut


def not_asking(cut: Cut) -> Cut:
    """Give of a question's words those that Puna looks for, too, under their stems."""

    def asked(question: str) -> list[str]:
        wanted = set(query_terms(question))
        return [word for word in dict.fromkeys(cut(question)) if stemmed(word) in wanted]

    return asked
