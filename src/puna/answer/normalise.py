"""Ways to compare answers of different length: what is done to log-probabilities before they are ranked.

Of the spans of a window the COMPARED most probable are, whatever number is asked for.

"sum" is the log-probability itself. "mean" and "byte" divide it by the answer's tokens (its end counted) or UTF-8
bytes, and multiply by the mean length of all compared, so that the numbers stay of the same size. "prior" takes away the
log-probability of the answer without the text: what is left is what the text adds (pointwise mutual information,
Holtzman et al. 2021).
"""

from collections.abc import Callable, Iterable, Mapping

NORMALISATIONS = ("sum", "mean", "byte", "prior")
COMPARED = 32


def normalised(
    scores: Mapping[str, float],
    how: str,
    tokens: Mapping[str, int],
    prior: Callable[[Iterable[str]], Mapping[str, float]],
) -> dict[str, float]:
    """Give the scores (nats) by text, normalised; `prior` gives log-probabilities without the text, where needed."""
    if how == "prior":
        without = prior(scores)
        return {text: score - without[text] for text, score in scores.items()}
    if how == "mean":
        return _scaled(scores, tokens)
    if how == "byte":
        return _scaled(scores, {text: len(text.encode()) for text in scores})
    return dict(scores)


def _scaled(scores: Mapping[str, float], sizes: Mapping[str, int]) -> dict[str, float]:
    usual = sum(sizes[text] for text in scores) / max(len(scores), 1)
    return {text: score * usual / sizes[text] for text, score in scores.items()}
