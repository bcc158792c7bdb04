"""From a question to the passages worth reading, each with a prior probability.

A search by words (BM25) gives a ranking; where the library has vectors, a search by meaning gives another, and the two
are joined by reciprocal rank fusion: the score of a passage is the sum over rankings of 1 / (60 + its rank) (Cormack,
Clarke and Büttcher 2009, "Reciprocal rank fusion outperforms Condorcet and individual rank learning methods").

How probable it is beforehand that a passage holds the answer is a softmax over the scores of the n that are read, as
shares of the best one's, and a little for each alike, for a search may have it all wrong:
P(i) = (1 - ε) exp(s_i / (T s_1)) / Σ_j exp(s_j / (T s_1)) + ε / n. Shares, for a question of many words has higher scores
than one of few, and each database its own scale. T is fitted by maximum likelihood: see `fit`.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from puna.library.segment import query_terms
from puna.library.types import Hit, Store

if TYPE_CHECKING:
    from puna.library.embedding import Embedder

PASSAGES = 15  # read for a question
K = 60  # of reciprocal rank fusion
_DEEP = 100  # of each ranking, that fusion looks at
# Where the right one was among the best 15 (3,777 questions of SQuAD, CMRC, DRCD and DuReader over their 10,406 contexts
# and the papers of COVID-QA), its log-probability was -0.736 nats in the mean at this T, -0.718 at the best, 0.086, and
# -2.706 by equal chances. Libraries of 3 to 200 contexts asked for 0.12 to 0.16.
TEMPERATURE = 0.1
SPREAD = 0.02  # ε; costs 0.006 nats there. In a library of few passages BM25 knows little about common words
# The same for fused scores, of which the second is 98 % of the first; fitted to ranks by words alone.
FUSED_TEMPERATURE = 0.015


@dataclass(frozen=True, slots=True)
class Retrieved:
    """A passage to read, and how probable it is that it is the one among them that holds the answer."""

    hit: Hit
    prior: float


def retrieve(
    store: Store, question: str, n: int, *, embedder: "Embedder | None" = None, temperature: float | None = None
) -> list[Retrieved]:
    """Give the n best passages for a question, best first; their priors sum to 1.

    embedder: that of the library's vectors; without it words alone count. temperature: None for that of the kind of
    search.
    """
    terms = query_terms(question)
    if embedder is None:
        hits, usual = store.search(terms, n), TEMPERATURE
    else:
        deep = max(n, _DEEP)
        rankings = [store.search(terms, deep), store.near(embedder.query(question).tolist(), deep)]
        hits, usual = fused(rankings)[:n], FUSED_TEMPERATURE
    chances = priors([hit.score for hit in hits], usual if temperature is None else temperature)
    return [Retrieved(hit, chance) for hit, chance in zip(hits, chances, strict=True)]


def fused(rankings: Iterable[Sequence[Hit]]) -> list[Hit]:
    """Join rankings by reciprocal rank, best first; of equals the one that an earlier ranking has."""
    scores: dict[int, float] = {}
    hits: dict[int, Hit] = {}
    for ranking in rankings:
        for rank, hit in enumerate(ranking, 1):
            hits.setdefault(hit.passage, hit)
            scores[hit.passage] = scores.get(hit.passage, 0.0) + 1 / (K + rank)
    return [replace(hits[each], score=scores[each]) for each in sorted(scores, key=lambda each: -scores[each])]


def priors(scores: Sequence[float], temperature: float) -> list[float]:
    """Give the prior probabilities of passages by their scores, best first; equal ones where none is above 0."""
    return [(1 - SPREAD) * chance + SPREAD / len(scores) for chance in _softmax(_shares(scores), temperature)]


def fit(rows: Sequence[tuple[Sequence[float], int]], steps: int = 60) -> float:
    """Give the temperature under which what happened is likeliest.

    rows: for each question the scores of the passages read, best first, and the place among them of the one that holds
    the answer. The log-likelihood (without ε) is concave in 1/T, and its slope, the shares of the right ones less what is
    expected of them, is 0 at the best T, which is found by bisection of log T between 0.001 and 10.
    """
    shares = [_shares(scores) for scores, _ in rows]

    def slope(temperature: float) -> float:
        expected = (
            math.fsum(p * share for p, share in zip(_softmax(each, temperature), each, strict=True))
            for each in shares
        )
        return math.fsum(each[right] - mean for (_, right), each, mean in zip(rows, shares, expected, strict=True))

    low, high = math.log(0.001), math.log(10)
    for _ in range(steps):
        middle = (low + high) / 2
        # Above 0: sharper is better, a lower temperature.
        low, high = (low, middle) if slope(math.exp(middle)) > 0 else (middle, high)
    return math.exp((low + high) / 2)


def _softmax(shares: Sequence[float], temperature: float) -> list[float]:
    weights = [math.exp((share - 1) / temperature) for share in shares]
    whole = math.fsum(weights)
    return [weight / whole for weight in weights]


def _shares(scores: Sequence[float]) -> list[float]:
    best = max(scores, default=0.0)
    return [score / best if best > 0 else 1.0 for score in scores]
