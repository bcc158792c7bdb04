"""A question to a library: the best passages are read, and give one distribution of answers with citations."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from puna.answer.checks import check
from puna.answer.inquiry import Progress, Stop
from puna.answer.reader import Reader
from puna.answer.settings import Options
from puna.answer.types import Answers, Excerpt, Holding, Source
from puna.errors import InputError, LibraryError
from puna.library.cite import FoundPassage, LibraryAnswers, ReadPassage, cite, headings_of, page_of, widened
from puna.library.embedding import Embedder
from puna.library.retrieve import PASSAGES, Retrieved, retrieve
from puna.library.types import Document, Entry, Store
from puna.tokens.sentences import line_of

_TRIES = 5  # searches, where documents are replaced between being found and being read


@dataclass(frozen=True, slots=True)
class Found:
    """What a search has found, best first, and the documents that it is in, by path. `seconds`: what it took."""

    passages: list[FoundPassage]
    documents: dict[str, Document]
    seconds: float


def find(store: Store, question: str, n: int = PASSAGES, embedder: Embedder | None = None) -> list[FoundPassage]:
    """Give the n best passages for a question, best first. Raises InputError for an empty one, LibraryError."""
    return search(store, question, n, embedder).passages


def ask(
    store: Store,
    reader: Reader,
    question: str,
    candidates: Sequence[str] | None = None,
    *,
    passages: int = PASSAGES,
    embedder: Embedder | None = None,
    progress: Progress | None = None,
    stop: Stop | None = None,
    options: Options,
) -> LibraryAnswers:
    """Answer a question from the best passages of a library; all else as `Reader.ask`.

    Where no passage has a word of the question, or none has a word that could be an answer, there are no answers and the
    probability of none is 1. Raises InputError and LibraryError.
    """
    check(question, candidates)
    found = search(store, question, passages, embedder)
    return answer(found, reader, question, candidates, progress=progress, stop=stop, options=options)


def answer(
    found: Found,
    reader: Reader,
    question: str,
    candidates: Sequence[str] | None = None,
    *,
    progress: Progress | None = None,
    stop: Stop | None = None,
    options: Options,
) -> LibraryAnswers:
    """Answer a question from what a search has found; nothing but the model is asked any more. Raises InputError."""
    began = time.perf_counter() - found.seconds
    order = sorted(found.documents)
    sources = [Source(path, found.documents[path].text) for path in order]
    places = {path: number for number, path in enumerate(order)}
    excerpts = [Excerpt(places[each.source], each.start, each.end, each.prior) for each in found.passages]
    answers, holdings = reader.ask_excerpts(
        question, sources, excerpts, candidates, progress=progress, stop=stop, **options
    )
    read = _judged(found.passages, holdings)
    elapsed = round((time.perf_counter() - began) * 1000, 1)
    return _cited(replace(answers, elapsed_ms=elapsed), read, found.documents)


def search(store: Store, question: str, n: int = PASSAGES, embedder: Embedder | None = None) -> Found:
    """Find the n best passages for a question, with all that an answer from them needs. Raises as `find` does."""
    check(question, None)
    began = time.perf_counter()
    if n < 1:
        raise InputError("E-LIBRARY-ASK-PASSAGES", value=n)
    for last in range(_TRIES - 1, -1, -1):
        hits = retrieve(store, question, n, embedder=embedder)
        try:
            held = {each.hit.document: store.held(each.hit.document) for each in hits}
            texts = {number: store.document(number) for number in held}
        except LibraryError as error:
            if error.code != "E-LIBRARY-NO-DOCUMENT" or not last:
                raise
            continue
        return Found(
            [_passage(each, held[each.hit.document], texts[each.hit.document]) for each in hits],
            {held[number].path: text for number, text in texts.items()},
            time.perf_counter() - began,
        )
    raise AssertionError


def _passage(found: Retrieved, entry: Entry, document: Document) -> FoundPassage:
    hit = found.hit
    return FoundPassage(
        source=entry.path,
        title=document.title,
        start=hit.start,
        end=hit.end,
        line=line_of(document.text, hit.start),
        page=page_of(document, hit.start),
        headings=headings_of(document, hit.start),
        text=document.text[hit.start : hit.end],
        score=hit.score,
        prior=found.prior,
    )


def _judged(found: Sequence[FoundPassage], holdings: Sequence[Holding]) -> list[ReadPassage]:
    """Order passages by the probability that they hold the answer; of equals, as the search did."""
    read = [
        widened(ReadPassage, each, probability=holding.probability, alone=holding.alone)
        for each, holding in zip(found, holdings, strict=True)
    ]
    return sorted(read, key=lambda each: -each.probability)


def _cited(answers: Answers, read: Sequence[ReadPassage], documents: dict[str, Document]) -> LibraryAnswers:
    """Make citations of all places: those of the most probable passages first, unless `why` has ordered them."""
    every = []
    for answer in answers:
        places = [cite(place, documents[place.source], read) for place in answer.evidence]
        if answer.why is None:
            places.sort(key=lambda place: place.passage)
        every.append(replace(answer, evidence=tuple(places)))
    return widened(LibraryAnswers, replace(answers, answers=tuple(every)), passages=tuple(read))
